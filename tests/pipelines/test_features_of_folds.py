"""What an extractor learns from training, each fold's learns from its own."""

import numpy as np
import pandas as pd
import pytest

from erc_kedro import schemas
from erc_kedro.audit.features import audit_features
from erc_kedro.audit.provenance import provenance_errors
from erc_kedro.folds import of_view, views
from erc_kedro.pipelines.features.nodes import text_features
from erc_kedro.pipelines.train.nodes import assembled
from tests.conftest import CLASSES, make_corpus
from tests.defaults import FeatureParameters, TrainParameters

COUNTED = FeatureParameters(text={"extractor": "tfidf", "dimension": 6})
DESCRIPTION = {"name": "Talk", "labels": list(CLASSES), "raw": "nowhere"}


@pytest.fixture
def folded():
    """Utterances of twelve dialogues in three folds, and vectors of voice and face."""
    utterances, tables = make_corpus()
    fold = utterances["dialogue_id"].str[1:].astype(int) % 3
    place = utterances["position"].astype("str")
    words = "talk " + utterances["dialogue_id"] + " at" + place + " by " + utterances["speaker"]
    utterances = utterances.assign(fold=fold.astype("str"), text=words)
    return utterances.assign(split=views(utterances)[0].utterances["split"]), tables


def extract(utterances, folder):
    table, _, record = text_features(utterances, DESCRIPTION, folder / "cache", folder / "meld", COUNTED)
    return schemas.features.validate(table), record


def vectors(table):
    return np.stack(table.set_index("utterance_id").sort_index()["vector"])


def test_each_fold_has_the_vectors_that_its_training_alone_would_give(folded, tmp_path):
    utterances, _ = folded
    table, record = extract(utterances, tmp_path)
    assert len(table) == 3 * len(utterances)
    assert provenance_errors({"text": record}, {"text": table}, utterances) == ([], [])
    for view in views(utterances):
        alone, _ = extract(view.utterances.drop(columns="fold"), tmp_path)
        assert (vectors(of_view(table, view)) == vectors(alone)).all()
    # Fitted on the first fold's training, the others would know what they are tested on.
    each = [vectors(of_view(table, view)) for view in views(utterances)]
    assert not np.allclose(each[0], each[1])


def test_what_a_fold_is_tested_on_changes_no_vector_of_its_training(folded, tmp_path):
    utterances, _ = folded
    view = views(utterances)[1]
    tested = utterances["fold"] == view.name
    other = utterances.assign(
        text=utterances["text"].where(~tested, "quite other words " + utterances["text"])
    )
    before, after = (of_view(extract(one, tmp_path)[0], view) for one in (utterances, other))
    kept = ~before["utterance_id"].isin(utterances.loc[tested, "utterance_id"]).to_numpy()
    assert (vectors(before[kept]) == vectors(after[kept])).all()


def test_models_and_the_audit_read_the_vectors_of_their_fold(folded, tmp_path):
    utterances, tables = folded
    table, record = extract(utterances, tmp_path)
    tables = {**tables, "text": table}
    folds = assembled(utterances, tables, list(CLASSES), TrainParameters())
    assert len({data.features[0].numpy().tobytes() for data, _ in folds.values()}) == 3
    assert len({data.features[1][:-1].shape for data, _ in folds.values()}) == 1
    found = audit_features(tables, utterances, {"text": record})
    assert found["counts"]["text"] == {
        split: {"ok": int(count)} for split, count in utterances["split"].value_counts().items()
    }


def test_other_folds_make_the_vectors_those_of_another_corpus(folded, tmp_path):
    utterances, _ = folded
    table, record = extract(utterances, tmp_path)
    names = {"0": "0", "1": "2", "2": "1"}
    moved = utterances.assign(fold=utterances["fold"].map(names))
    errors, _ = provenance_errors({"text": record}, {"text": table}, moved)
    assert "from other utterances" in errors[0]


def test_one_row_an_utterance_and_fold(folded, tmp_path):
    table, _ = extract(folded[0], tmp_path)
    with pytest.raises(Exception, match="two rows"):
        schemas.features.validate(pd.concat([table, table[:1]]))
    with pytest.raises(Exception, match="two rows"):
        schemas.features.validate(pd.concat([table, table[:1]]).drop(columns="fold"))
