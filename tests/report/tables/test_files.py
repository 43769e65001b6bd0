"""Tables as files: numbers stay numbers, and what is printed says the same."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from erc_kedro.pipelines.reporting.nodes import FIGURES
from erc_kedro.report.plots.drawn import figures_of
from erc_kedro.report.section import CorpusSection, Table
from erc_kedro.report.tables import tables_of
from erc_kedro.report.tables.corpus import corpus_tables
from erc_kedro.report.tables.files import files, files_of
from erc_kedro.report.tables.printed import printed
from tests.report.sections import rendered, section

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
    shown = printed(Table("", pd.DataFrame({"part": ["ta"], "joy": [0.1666]}), "weights"))
    assert shown["joy"].tolist() == ["0.17"]


@pytest.mark.parametrize(
    "classes",
    [
        ["low", "mid", "high"],
        ["calm", "mellow", "shallow"],
        ["truth", "part", "all"],
        ["happy_std", "happy", "emotion"],
        ["label", "no label", "seed"],
        ["1", "2", "10"],
    ],
)
def test_classes_may_be_called_what_they_like(classes):
    whole = section(classes=classes)
    for name in ("confusion", "confusion_rows", "gates", "counts"):
        table = tables_of(whole)[name]
        shown = printed(table)
        assert shown.shape == table.frame.shape
        assert files(name, table)[f"{name}.md"].count("\n") == len(table.frame) + 4
    counts = tables_of(whole)["confusion"].frame
    assert list(counts.columns[1:]) == classes
    truth = whole.predictions.query("head == 'tav' and split == 'test'")["label"]
    assert counts.iloc[:, 1:].sum(axis=1).tolist() == [(truth == name).sum() for name in classes]
    assert printed(tables_of(whole)["confusion"]).iloc[:, 1].tolist() == [str(n) for n in counts.iloc[:, 1]]
    known = whole.utterances["label"].value_counts()
    assert tables_of(whole)["counts"].frame.iloc[:3, -1].tolist() == [known[name] for name in classes]
    assert tables_of(whole)["counts"].frame.iloc[-1, -1] == len(whole.utterances)
    rendered([whole])


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


def test_names_from_data_cannot_break_latex():
    name = r"50 % sure_of $it & a\b ^ ~ {x} #1 <i>"
    text = files("x", Table(name, pd.DataFrame({name: ["a"], "note": [name]})))["x.tex"]
    escaped = (
        r"50 \% sure\_of \$it \& a\textbackslash{}b \textasciicircum{} \textasciitilde{} \{x\} \#1 "
        r"\textless{}i\textgreater{}"
    )
    assert rf"\caption{{{escaped}}}" in text
    # A heading's underscores are spaces.
    assert f"{escaped.replace(chr(92) + '_', ' ')} & note" in text
    assert f"a & {escaped}" in text


def test_nothing_made_yet_has_no_tables_and_only_sentences():
    bare = CorpusSection("mine")
    assert tables_of(bare) == {}
    assert tuple(figures_of(bare)) == FIGURES
    for figure in figures_of(bare).values():
        assert len(figure.data) == 0
        assert "kedro run --pipeline=" in figure.layout.annotations[0].text


def test_every_file_with_scores_says_what_scaling_reads():
    whole = section()
    training = {**whole.training, "parameters": {"scaling": {"audio": "speaker"}}}
    made = files_of(replace(whole, training=training))
    said = {name for name, text in made.items() if text.count("test and later utterances included") == 1}
    printed_files = {name for name in made if not name.endswith(".csv")}
    of_data = {f"meld_{name}.{kind}" for name in corpus_tables(whole) for kind in ("md", "tex")}
    assert {"counts", "irregularities", "coverage", "checks"} <= corpus_tables(whole).keys()
    assert {"meld_headline.tex", "meld_classes.md", "meld_heads.tex"} < said
    assert said == printed_files - of_data


def test_every_figure_of_a_whole_corpus_is_drawn():
    whole = section()
    assert tuple(figures_of(whole)) == FIGURES
    assert all(len(figure.data) for figure in figures_of(whole).values())


def test_differences_have_a_sign_and_nought_has_none():
    frame = pd.DataFrame(
        {"difference": [-1e-16, 0.02], "difference_low": [-1e-16, -0.01], "difference_high": 0.078}
    )
    shown = printed(Table("", frame))
    assert shown.to_numpy().tolist() == [["+0.0", "+0.0 to +7.8"], ["+2.0", "-1.0 to +7.8"]]


def test_long_sentences_wrap_in_latex_and_wide_tables_are_small():
    wide = pd.DataFrame({f"c{n}": [1] for n in range(9)}).assign(text="a word " * 10)
    text = files("x", Table("", wide, "counts"))["x.tex"]
    assert r"\begin{tabular}{rrrrrrrrrp{6cm}}" in text
    assert r"\small" in text


def test_data_make_no_formula_link_or_command_in_any_table():
    name = "=1+1 [a](http://x.example) <b> \x1b[1m \u202e|`c` \\input{x} 😀"
    table = Table(name, pd.DataFrame({name: [name, "[x] y"], "n": [-0.5, 1.0]}), "weights")
    made = files("x", table)
    rows = list(csv.reader(io.StringIO(made["x.csv"])))
    assert all(cell.startswith("'=1+1") for cell in (rows[0][0], rows[1][0]))
    assert rows[1][1] == "-0.5"
    assert r"\[a\](http\://x.example) &lt;b> ␛\[1m \[U+202E\]\|\`c\` \\input{x}" in made["x.md"]
    assert r"=1+1 {[}a](http://x.example) \textless{}b" in made["x.tex"]
    assert "\n{[}x] y & " in made["x.tex"]
    assert r"\ifdefined\Uchar 😀\else U+1F600\fi{}" in made["x.tex"]
    for text in made.values():
        assert not set(text) & {"\x1b", "\u202e"}


def test_long_names_are_cut_where_they_are_printed_and_whole_as_csv():
    name = "l" * 10_000
    made = files("x", Table("", pd.DataFrame({"part": [name], name: [1]}), "counts"))
    assert name in made["x.csv"]
    assert max(map(len, made["x.md"].splitlines())) < 1100
    assert "l" * 400 in made["x.tex"]
    assert name not in made["x.tex"]
