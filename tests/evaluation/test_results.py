"""All results of a corpus at once: what each needs, and that they are what the functions compute."""

import numpy as np
import pandas as pd
import pytest

from erc_kedro.evaluation.intervals import score_interval
from erc_kedro.evaluation.metrics import metrics_table
from erc_kedro.evaluation.results import corpus_results, weights_by_emotion
from tests.report.sections import CLASSES, section

TABLES = ("predictions", "metrics", "utterances", "contributions", "degraded")
OF_PREDICTIONS = {
    "probabilities",
    "classes",
    "confusion",
    "calibration",
    "reliability",
    "selective",
    "errors",
}
SLICES = {"shift", "position", "length", "speaker"}


@pytest.fixture(scope="module")
def tables():
    whole = section()
    return {name: getattr(whole, name) for name in TABLES} | {"labels": CLASSES}


def test_nothing_made_has_no_results():
    assert corpus_results() == {}


@pytest.mark.parametrize(
    ("left_out", "lost"),
    [
        ("predictions", OF_PREDICTIONS | SLICES),
        ("metrics", {"summary", "headline"}),
        ("utterances", SLICES | {"weights", "gates", "fusion", "counts"}),
        ("contributions", {"weights", "gates", "pairs", "products", "fusion"}),
        ("degraded", {"degraded"}),
    ],
)
def test_a_table_that_is_missing_takes_what_rests_on_it(tables, left_out, lost):
    whole = corpus_results(**tables)
    assert lost <= whole.keys()
    found = corpus_results(**{**tables, left_out: None})
    assert not lost & found.keys()
    for name in found.keys() - {"headline", "errors"}:
        pd.testing.assert_frame_equal(found[name], whole[name])


def test_the_headline_s_interval_is_the_bootstrap_s_and_of_test_weighted_f1_alone(tables):
    rows = corpus_results(**tables)["headline"].set_index(["split", "metric"])
    test = tables["predictions"].query("split == 'test' and head == 'tav' and label.notna()")
    expected = score_interval(test, tables["utterances"].set_index("utterance_id")["dialogue_id"])
    assert tuple(rows.loc[("test", "weighted_f1"), ["low", "high"]]) == expected
    assert rows["low"].notna().sum() == 1
    without = corpus_results(**{**tables, "utterances": None})["headline"]
    assert without["low"].isna().all()
    assert np.array_equal(without["mean"], rows["mean"])


def test_unlabelled_test_utterances_leave_probabilities_and_no_score(tables):
    predictions = tables["predictions"].copy()
    predictions.loc[predictions["split"] == "test", "label"] = None
    found = corpus_results(**{**tables, "predictions": predictions, "metrics": metrics_table(predictions)})
    assert "probabilities" in found
    assert not (OF_PREDICTIONS - {"probabilities"} | SLICES) & found.keys()
    assert set(found["headline"]["split"]) == {"val"}


def test_one_seed_is_the_first(tables):
    found = corpus_results(**tables)
    first = tables["predictions"].query("seed == 0 and head == 'tav' and split == 'test' and label.notna()")
    assert found["confusion_one_seed"].to_numpy().sum() == len(first) > 0
    assert found["confusion"].to_numpy().sum() == 3 * len(first)
    assert found["classes_one_seed"]["support"].sum() == found["classes"]["support"].sum() == len(first)


def test_labels_may_be_called_what_columns_are(tables):
    utterances = tables["utterances"].replace({"label": {"joy": "all", "anger": "part"}})
    labels = ["all", "part", "neutral"]
    found = weights_by_emotion(tables["contributions"], utterances, "gate", labels)
    assert list(found.columns) == ["(part)", *labels, "(all)"]
    counts = corpus_results(utterances=utterances, labels=labels)["counts"]
    assert counts["label"].tolist() == [*labels, "(no label)", "(all)"]
    assert counts["all"].iloc[-1] == len(utterances)
