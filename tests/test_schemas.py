"""What the tables' schemas refuse, and which heads rest on which modalities."""

import pandas as pd
import pandera.errors
import pytest

from erc_kedro import schemas


def test_heads_rest_on_their_modalities():
    assert schemas.heads_of(["text"]) == ["t", "ta", "tv", "tav"]
    assert schemas.heads_of(["audio", "visual"]) == ["a", "v", "ta", "tv", "av", "tav"]
    assert schemas.heads_of([]) == []


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("position", 5, "positions count"),
        ("split", "dev", "split"),
        ("utterance_id", "d0_u1", "utterance_id"),
        ("frame_side", "middle", "frame_side"),
    ],
)
def test_a_wrong_utterance_table_is_refused_by_column(column, value, named):
    from tests.conftest import make_corpus

    utterances, _ = make_corpus(2, seed=1)
    utterances = utterances[utterances["dialogue_id"] == utterances["dialogue_id"].mode()[0]]
    utterances = utterances.reset_index(drop=True)
    utterances["utterance_id"] = [f"d0_u{i}" for i in range(len(utterances))]
    schemas.utterances.validate(utterances)
    wrong = utterances.copy()
    wrong[column] = wrong[column].astype(object)
    wrong.loc[0, column] = value
    if column == "position":
        wrong[column] = wrong[column].astype("int64")
    with pytest.raises((pandera.errors.SchemaError, pandera.errors.SchemaErrors), match=named):
        schemas.utterances.validate(pd.DataFrame(wrong))
