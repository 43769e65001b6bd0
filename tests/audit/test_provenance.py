"""What features were made of is known, or nothing is trained on them."""

import numpy as np
import pandas as pd
import pytest

from erc_kedro.audit.checks import AuditError, check_before_training
from erc_kedro.audit.encoders import contents
from erc_kedro.audit.provenance import provenance
from erc_kedro.corpora.tables import utterance_table

UTTERANCES = utterance_table(
    [
        {
            "utterance_id": f"d{dialogue}_{turn}",
            "dialogue_id": f"d{dialogue}",
            "position": turn,
            "speaker": "ann",
            "text": f"Sentence {dialogue} {turn}.",
            "label": ("glad", "calm")[turn],
            "split": ("train", "val", "test")[dialogue // 2],
        }
        for dialogue in range(6)
        for turn in (0, 1)
    ]
)
SOUND = {"errors": []}


def text_features() -> pd.DataFrame:
    vectors = np.random.default_rng(0).normal(size=(len(UTTERANCES), 3)).astype(np.float32)
    return pd.DataFrame(
        {"utterance_id": UTTERANCES["utterance_id"], "vector": list(vectors), "present": True, "reason": "ok"}
    )


def encoder(*splits: str) -> dict:
    known = UTTERANCES[UTTERANCES["split"].isin(splits)]
    return {"corpus": "toy", "trained_on": contents(known), "selected_on": {}}


def checked(
    table: pd.DataFrame, record: dict | None, utterances: pd.DataFrame = UTTERANCES, **options
) -> None:
    records = {} if record is None else {"text": record}
    audit = {"errors": [], "provenance": records}
    causal = options.get("causal", False)
    return check_before_training("full", SOUND, audit, {"text": table}, utterances, "toy", causal)


def record(table: pd.DataFrame, *knows: str, **settings) -> dict:
    return provenance(table, UTTERANCES, {"name": "made", "settings": settings}, encoder(*knows))


def merged(table: pd.DataFrame) -> pd.DataFrame:
    """As a user would join something to it; pandas drops a table's attributes on the way."""
    other = UTTERANCES[["utterance_id", "split"]].sample(frac=1, random_state=1)
    return other.merge(table, on="utterance_id").drop(columns="split")


def test_an_encoder_that_knows_test_is_refused_after_a_merge_too():
    table = text_features()
    checked(merged(table), record(table, "train"))
    with pytest.raises(AuditError, match="was fine-tuned on 2 dialogues of test: d4, d5"):
        checked(merged(table), record(table, "train", "test"))


def test_text_that_looks_ahead_is_refused_for_a_causal_model_after_a_merge_too():
    table = text_features()
    checked(merged(table), record(table, "train", following=2))
    with pytest.raises(AuditError, match="know the 2 utterances that follow"):
        checked(merged(table), record(table, "train", following=2), causal=True)


@pytest.mark.parametrize("broken", [None, {}, {"extractor": {"name": "made"}}])
def test_features_without_a_record_of_what_made_them_are_refused(broken):
    with pytest.raises(AuditError, match=r"What made the text features.*not recorded.*--pipeline=features"):
        checked(text_features(), broken)


@pytest.mark.parametrize("left", [[], ["corpus", "trained_on"]])
def test_an_encoder_whose_record_does_not_say_what_it_knows_is_refused(left):
    known = record(text_features(), "train", "test")
    known["encoder"] = left and {name: known["encoder"][name] for name in left}
    with pytest.raises(AuditError, match="what it learned from, is not recorded"):
        checked(text_features(), known)


def changed_in(split: str) -> pd.DataFrame:
    table = text_features()
    mine = (UTTERANCES["split"] == split).to_numpy()
    table["vector"] = [vector + moves for vector, moves in zip(table["vector"], mine, strict=True)]
    return table


def test_a_record_of_other_training_vectors_is_refused():
    with pytest.raises(AuditError, match="not those that were recorded"):
        checked(changed_in("train"), record(text_features(), "train"))


@pytest.mark.parametrize("split", ["val", "test"])
def test_changed_vectors_of_validation_or_test_are_said_beside_the_scores(split):
    known = record(text_features(), "train")
    assert checked(text_features(), known) == []
    (caution,) = checked(changed_in(split), known)
    assert (
        caution
        == f"The text features of {split} were changed after they were made: what they are is not known."
    )


@pytest.mark.parametrize("column", ["text", "speaker", "split", "clip"])
def test_features_of_an_earlier_version_of_the_corpus_are_refused(column):
    table = text_features()
    now = UTTERANCES.copy()
    now.loc[now["dialogue_id"] == "d3", column] = "test"
    with pytest.raises(AuditError, match="made from other utterances, splits or clips"):
        checked(table, record(table, "train"), now)
