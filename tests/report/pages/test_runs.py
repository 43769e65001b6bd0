"""MLflow runs beside each other on a page: their scores, and what their parameters do not share."""

import re

import pytest

from erc_kedro.evaluation.metrics import class_columns
from erc_kedro.evaluation.runs import runs_comparison
from erc_kedro.evaluation.units import units_of
from erc_kedro.report.pages.runs import render_runs
from erc_kedro.report.tables.files import files
from erc_kedro.report.tables.runs import runs_table, tables_of_runs
from tests.evaluation.test_runs import run
from tests.report.sections import EVIL, Page, section


@pytest.fixture(scope="module")
def known():
    return section()


@pytest.fixture(scope="module")
def units(known):
    return {"meld": units_of(known.utterances)}


def compared(runs, units):
    return runs_table(runs, runs_comparison(runs, units))


def test_the_page_shows_scores_and_what_differs(known, units):
    runs = [
        run("a", known.predictions),
        run("b", None, **{"train.learning_rate": "0.2"}),
        run("d", None, corpus=EVIL),
    ]
    table = compared(runs, units)
    html = render_runs(runs, table, named=True)
    page = Page(html)
    assert EVIL not in html
    assert page.row("train.learning_rate")[1:] == ["0.1", "0.2"]
    assert page.row("bbbbbbbb")[6] == "25.0 ± 1.0"
    assert "No runs were chosen" not in page.words
    assert sum(tag == "h2" for tag, _ in page.tags) == 2
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "img")
        assert "src" not in attributes


def test_runs_have_verdicts_over_named_units(known, units):
    other = known.predictions.copy()
    columns = class_columns(other)
    other[columns] = other[columns].to_numpy()[:, ::-1]
    runs = [run("a", known.predictions), run("b", other), run("c", other), run("d", None)]
    table = compared(runs, units)
    page = Page(render_runs(runs, table, named=True))
    assert "a aaaaaaaa is what the others are tested against." in page.words
    assert re.search(r"b bbbbbbbb is \S+ points? (above|below) a aaaaaaaa \(95 % interval", page.words)
    assert "c cccccccc and b bbbbbbbb are the same model" in page.words
    assert "d dddddddd is" not in page.words
    assert "Test has only 6 dialogues" in page.words
    assert "6 dialogues" in page.row("bbbbbbbb")


def test_no_runs_leave_a_sentence():
    table = compared([], {})
    assert "No run of a corpus is tracked yet" in Page(render_runs([], table, named=False)).words
    assert table.empty


def test_whether_a_run_is_synthetic_is_no_number(known, units):
    runs = [run("a", known.predictions)]
    kept = files("runs", tables_of_runs(runs, compared(runs, units))["runs"])
    assert kept["runs.md"].splitlines()[-1].startswith("| meld | no | aaaaaaaa |")


def test_what_scaling_reads_of_test_is_noted_beside_a_run_s_scores(known, units):
    runs = [
        run("a", known.predictions, **{"train.scaling.audio": "speaker"}),
        run("b", known.predictions, **{"train.scaling.audio": "speaker", "train.model.causal": "True"}),
        run("c", known.predictions, **{"train.scaling": "{}", "train.model.hidden": "128"}),
        run(
            "d", known.predictions, **{"train.scaling.audio": "speaker", "train.model.modalities": "['text']"}
        ),
    ]
    notes = compared(runs, units)["note"]
    assert "audio scaled by speaker over the split" in notes[0]
    assert "audio scaled by the speaker's past" in notes[1]
    assert "scaled" not in notes[2]
    assert "scaled" not in notes[3]
    only_text = {"train.scaling.audio": "speaker", "train.model.modalities": "['text']"}
    assert "scaled" not in compared([run("d", known.predictions, **only_text)], {})["note"].iloc[0]


def test_a_name_from_the_store_is_no_path(known, units):
    runs = [
        run("a", None, corpus="../../out", epochs="1"),
        run("b", None, corpus="../../out", epochs="2"),
        run("c", None, epochs="3"),
        run("d", None, epochs="4"),
    ]
    made = tables_of_runs(runs, compared(runs, units))
    assert list(made) == ["runs", "parameters_0", "parameters_meld"]
