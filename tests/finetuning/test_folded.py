"""Each fold has encoders of its own, which know nothing of its test dialogues."""

import numpy as np
import pandas as pd
import pytest

from erc_kedro import schemas
from erc_kedro.audit.checks import AuditError, check_before_training
from erc_kedro.audit.encoders import encoder_errors
from erc_kedro.corpora.tables import utterance_table
from erc_kedro.extractors import finetuned, text
from erc_kedro.folds import of_view, views
from erc_kedro.pipelines.features.nodes import text_features
from erc_kedro.pipelines.finetune.nodes import finetune_corpus
from tests import tiny
from tests.defaults import FeatureParameters
from tests.finetuning.corpus import DESCRIPTION, parameters, toy

FOLDS = ["a", "b", "c"]
AUDIT = {"name": "toy", "errors": [], "not_learnable": []}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Utterances in folds, what reads them, the folder of their encoders, their vectors and their record."""
    root = tmp_path_factory.mktemp("folded")
    base = tiny.bert(root / "bert", layers=1, dropout=0.0)
    table = utterance_table(toy().to_dict("records"))
    number = table["dialogue_id"].factorize()[0]
    table["fold"] = pd.Series(np.array(FOLDS)[number % 3], dtype="str")
    table["split"] = views(table)[0].utterances["split"]
    description = DESCRIPTION | {"raw": str(root / "raw"), "name": "toy", "folds": {"names": FOLDS}}
    asked = parameters(base, epochs=1, folds=0)
    _, summary, history = finetune_corpus(table, description, AUDIT, root / "toy", asked)
    assert set(summary["folds"]) == set(FOLDS)
    assert set(history["fold"]) == set(FOLDS)
    wanted = FeatureParameters(text={"encoder": "finetuned"})
    vectors, predictions, record = text_features(table, description, root / "cache", root / "toy", wanted)
    return table, description, root, (vectors, predictions, record)


def test_the_encoders_of_a_fold_know_nothing_of_what_it_tests(made):
    table, _, root, _ = made
    for view in views(table):
        own = finetuned.find("finetuned", root / "toy" / view.folder)
        assert encoder_errors(own.facts, view.utterances, "toy") == []
        tested = set(view.utterances.loc[view.utterances["split"] == "test", "dialogue_id"])
        assert not tested & {*own.facts["trained_on"], *own.facts["selected_on"]}
        # Another fold's would.
        other = finetuned.find("finetuned", root / "toy" / ("fold_a" if view.name != "a" else "fold_b"))
        assert encoder_errors(other.facts, view.utterances, "toy")


def test_a_fold_reads_the_vectors_of_its_own_encoder(made):
    table, _, root, (vectors, predictions, _) = made
    schemas.features.validate(vectors)
    schemas.predictions.validate(predictions)
    for view in views(table):
        own = finetuned.find("finetuned", root / "toy" / view.folder)
        expected = text.extract(
            view.utterances, own.surroundings(FeatureParameters().text), root / "again", own
        ).vectors
        got = np.stack(of_view(vectors, view)["vector"].to_list())
        assert np.allclose(got, expected, atol=1e-5)
    # What encoders say alone is pooled as models' predictions are.
    assert sorted(predictions.loc[predictions["split"] == "test", "utterance_id"]) == sorted(
        table["utterance_id"]
    )


def test_vectors_of_the_wrong_fold_are_refused_before_training(made):
    table, _, _, (vectors, _, record) = made
    audited = {"errors": [], "provenance": {"text": record}}
    given = (AUDIT, audited, {"text": vectors}, table, "toy", False)
    assert check_before_training("full", *given) == []
    swapped = dict(zip(FOLDS, [*FOLDS[1:], FOLDS[0]], strict=True))
    wrong = {swapped[name]: facts for name, facts in record["encoder_of_fold"].items()}
    audited["provenance"]["text"] = record | {"encoder_of_fold": wrong}
    with pytest.raises(AuditError, match="was fine-tuned on"):
        check_before_training("full", *given)


def test_an_encoder_of_one_split_is_refused_for_folds(made):
    table, description, root, _ = made
    one = FeatureParameters(text={"encoder": str(root / "toy" / "fold_a")})
    with pytest.raises(AuditError, match="encoder: finetuned have one a fold"):
        text_features(table, description, root / "cache", root / "toy", one)
