"""Tables as files: numbers stay numbers, and what is printed says the same."""

import io
import re

import numpy as np
import pandas as pd
import pytest

from erc_kedro.figures.section import CorpusSection, Table
from erc_kedro.figures.tables import files, printed
from erc_kedro.pipelines.reporting.nodes import FIGURES
from tests.figures.test_report import EVIL, section

TABLE = Table(
    "Scores × 100 & more",
    pd.DataFrame(
        {
            "experiment": ["full", "a_b|c"],
            "seeds": [5, 1],
            "weighted_f1": [0.61234, 0.5],
            "weighted_f1_std": [0.012, np.nan],
            "low": [0.55, np.nan],
            "high": [0.65, np.nan],
            "difference": [np.nan, -0.1123],
            "p": [np.nan, 0.00001],
            "effect": [np.nan, -2.5],
        }
    ),
)


def test_scores_print_as_papers_do():
    rows = printed(TABLE).to_dict("records")
    assert rows[0] == {
        "experiment": "full",
        "seeds": "5",
        "weighted F1": "61.2 ± 1.2",
        "95 % interval": "55.0 to 65.0",
        "difference": "–",
        "p": "–",
        "effect size d": "–",
    }
    assert list(rows[1].values()) == ["a_b|c", "1", "50.0", "–", "-11.2", "<.001", "-2.50"]


def test_weights_are_not_scores():
    shown = printed(Table("", pd.DataFrame({"part": ["ta"], "joy": [0.1666]}), weights=True))
    assert shown["joy"].tolist() == ["0.17"]


def test_csv_keeps_every_digit():
    text = files("x", TABLE)["x.csv"]
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(text)), TABLE.frame)


def test_markdown_has_a_cell_for_every_column():
    lines = files("x", TABLE)["x.md"].strip().splitlines()[2:]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {7 + 2}
    assert lines[1].startswith("|---|---:|---:|")


def test_latex_is_escaped_and_whole():
    text = files("x", TABLE)["x.tex"]
    assert r"a\_b|c" in text
    assert r"61.2 $\pm$ 1.2" in text
    assert r"Scores $\times$ 100 \& more" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert "–" not in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in rows} == {6}


@pytest.mark.parametrize("name", [EVIL, "50 % sure_of $it"])
def test_names_from_data_cannot_break_latex(name):
    text = files("x", Table(name, pd.DataFrame({name: ["a"], "note": [name]})))["x.tex"]
    body = text[text.index(r"\caption") :]
    assert not re.search(r"(?<!\\)[%_&](?![ ])", body.replace(" & ", "").replace(r"\\", ""))


def test_nothing_made_yet_has_no_tables_and_only_sentences():
    bare = CorpusSection("mine")
    assert bare.tables == {}
    assert tuple(bare.figures) == FIGURES
    for figure in bare.figures.values():
        assert len(figure.data) == 0
        assert "kedro run --pipeline=" in figure.layout.annotations[0].text


def test_every_figure_of_a_whole_corpus_is_drawn():
    whole = section()
    assert tuple(whole.figures) == FIGURES
    assert all(len(figure.data) for figure in whole.figures.values())
