"""MLflow runs tested against each other: recomputed scores, paired tests, and why some have none."""

from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn.metrics import f1_score

from erc_kedro.evaluation.metrics import class_columns
from erc_kedro.evaluation.runs import NO_PREDICTIONS, OTHER_DATA, UNKNOWN_DATA, runs_comparison
from erc_kedro.evaluation.units import units_of
from erc_kedro.schemas import TrackedRun
from tests.report.sections import CLASSES, section


def run(name, predictions, corpus="meld", **parameters):
    return TrackedRun(
        id=name * 8,
        name=f"{corpus} {name}",
        started=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        status="FINISHED",
        tags={"corpus": corpus, "experiment": name, "synthetic": "False"},
        parameters={"train.learning_rate": "0.1", **parameters},
        metrics={"test.weighted_f1": 0.25, "test.weighted_f1.std": 0.01, "val.weighted_f1": 0.5},
        predictions=predictions,
    )


@pytest.fixture(scope="module")
def known():
    return section()


@pytest.fixture(scope="module")
def units(known):
    return {"meld": units_of(known.utterances)}


def test_runs_of_one_corpus_are_scored_anew_and_tested_against_the_first(known, units):
    other = known.predictions.copy()
    columns = class_columns(other)
    other[columns] = other[columns].to_numpy()[:, ::-1]
    runs = [run("a", known.predictions), run("b", other), run("c", None)]
    table = runs_comparison(runs, units)
    rows = known.predictions.query("head == 'tav' and split == 'test' and label.notna()")
    expected = [
        f1_score(g["label"], np.array(CLASSES)[g[columns].to_numpy().argmax(1)], average="weighted")
        for _, g in rows.groupby("seed")
    ]
    assert table.loc[0, "weighted_f1"] == pytest.approx(np.mean(expected))
    assert np.isnan(table.loc[0, "difference"])
    assert table.loc[1, "difference"] == pytest.approx(
        table.loc[1, "weighted_f1"] - table.loc[0, "weighted_f1"]
    )
    assert 0 < table.loc[1, "p"] <= 1
    assert table.loc[1, "difference_low"] <= table.loc[1, "difference"] <= table.loc[1, "difference_high"]
    assert table.loc[2, "weighted_f1"] == 0.25
    assert table.loc[2, "note"] == NO_PREDICTIONS


def test_other_data_is_not_compared(known, units):
    relabelled = known.predictions.copy()
    relabelled["label"] = relabelled["label"].where(relabelled["label"] != "joy", "anger")
    elsewhere = known.predictions.assign(utterance_id="x" + known.predictions["utterance_id"])
    table = runs_comparison([run("a", known.predictions), run("b", relabelled), run("c", elsewhere)], units)
    assert table["note"].tolist() == ["", OTHER_DATA, UNKNOWN_DATA]
    assert table["p"].isna().all()
    table = runs_comparison([run("a", known.predictions)], {})
    assert table["note"].tolist() == [UNKNOWN_DATA]


def test_runs_of_the_same_predictions_are_one_comparison(known, units):
    other = known.predictions.copy()
    columns = class_columns(other)
    other[columns] = other[columns].to_numpy()[:, ::-1]
    runs = [run("a", known.predictions), run("b", other), run("c", other.sample(frac=1, random_state=0))]
    table = runs_comparison(runs, units)
    assert table["note"].tolist() == ["", "", "the same predictions as bbbbbbbb"]
    assert table.loc[1, "p_corrected"] == table.loc[1, "p"] == table.loc[2, "p"]
