"""MLflow runs beside each other: recomputed scores, paired tests, and why some have none."""

from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn.metrics import f1_score

from erc_kedro.evaluation.metrics import class_columns
from erc_kedro.figures.runs import (
    NO_PREDICTIONS,
    OTHER_DATA,
    UNKNOWN_DATA,
    render_runs,
    runs_table,
    tables_of_runs,
)
from erc_kedro.figures.tables import files
from erc_kedro.schemas import TrackedRun
from tests.figures.test_report import CLASSES, EVIL, Page, section


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
def dialogues(known):
    return {"meld": known.utterances.set_index("utterance_id")["dialogue_id"]}


def test_runs_of_one_corpus_are_scored_anew_and_tested_against_the_first(known, dialogues):
    other = known.predictions.copy()
    columns = class_columns(other)
    other[columns] = other[columns].to_numpy()[:, ::-1]
    runs = [run("a", known.predictions), run("b", other), run("c", None)]
    table = runs_table(runs, dialogues)
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


def test_other_data_is_not_compared(known, dialogues):
    relabelled = known.predictions.copy()
    relabelled["label"] = relabelled["label"].where(relabelled["label"] != "joy", "anger")
    elsewhere = known.predictions.assign(utterance_id="x" + known.predictions["utterance_id"])
    table = runs_table([run("a", known.predictions), run("b", relabelled), run("c", elsewhere)], dialogues)
    assert table["note"].tolist() == ["", OTHER_DATA, UNKNOWN_DATA]
    assert table["p"].isna().all()
    table = runs_table([run("a", known.predictions)], {})
    assert table["note"].tolist() == [UNKNOWN_DATA]


def test_the_page_shows_scores_and_what_differs(known, dialogues):
    runs = [
        run("a", known.predictions),
        run("b", None, **{"train.learning_rate": "0.2"}),
        run("d", None, corpus=EVIL),
    ]
    table = runs_table(runs, dialogues)
    html = render_runs(runs, table, named=True)
    page = Page(html)
    assert EVIL not in html
    assert page.row("train.learning_rate")[1:] == ["0.1", "0.2"]
    assert page.row("bbbbbbbb")[5] == "25.0 ± 1.0"
    assert "No runs were chosen" not in page.words
    assert sum(tag == "h2" for tag, _ in page.tags) == 2
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "img")
        assert "src" not in attributes


def test_no_runs_leave_a_sentence():
    table = runs_table([], {})
    assert "No run of a corpus is tracked yet" in Page(render_runs([], table, named=False)).words
    assert table.empty


def test_runs_of_the_same_predictions_are_one_comparison(known, dialogues):
    other = known.predictions.copy()
    columns = class_columns(other)
    other[columns] = other[columns].to_numpy()[:, ::-1]
    runs = [run("a", known.predictions), run("b", other), run("c", other.sample(frac=1, random_state=0))]
    table = runs_table(runs, dialogues)
    assert table["note"].tolist() == ["", "", "the same predictions as bbbbbbbb"]
    assert table.loc[1, "p_corrected"] == table.loc[1, "p"] == table.loc[2, "p"]


def test_whether_a_run_is_synthetic_is_no_number(known, dialogues):
    runs = [run("a", known.predictions)]
    kept = files("runs", tables_of_runs(runs, runs_table(runs, dialogues))["runs"])
    assert kept["runs.md"].splitlines()[-1].startswith("| meld | no | aaaaaaaa |")


def test_what_scaling_reads_of_test_is_noted_beside_a_run_s_scores(known, dialogues):
    runs = [
        run("a", known.predictions, **{"train.scaling.audio": "speaker"}),
        run("b", known.predictions, **{"train.scaling.audio": "speaker", "train.model.causal": "True"}),
        run("c", known.predictions, **{"train.scaling": "{}", "train.model.hidden": "128"}),
        run(
            "d", known.predictions, **{"train.scaling.audio": "speaker", "train.model.modalities": "['text']"}
        ),
    ]
    notes = runs_table(runs, dialogues)["note"]
    assert "audio scaled by speaker over the split" in notes[0]
    assert "audio scaled by the speaker's past" in notes[1]
    assert "scaled" not in notes[2]
    assert "scaled" not in notes[3]
    only_text = {"train.scaling.audio": "speaker", "train.model.modalities": "['text']"}
    assert "scaled" not in runs_table([run("d", known.predictions, **only_text)], {})["note"].iloc[0]


def test_a_name_from_the_store_is_no_path(known, dialogues):
    runs = [
        run("a", None, corpus="../../out", epochs="1"),
        run("b", None, corpus="../../out", epochs="2"),
        run("c", None, epochs="3"),
        run("d", None, epochs="4"),
    ]
    made = tables_of_runs(runs, runs_table(runs, dialogues))
    assert list(made) == ["runs", "parameters_0", "parameters_meld"]
