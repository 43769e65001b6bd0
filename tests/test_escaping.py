"""What comes from data is shown, and commands nothing."""

import csv
import io
import logging
import re

import pandas as pd
import pytest

from erc_kedro.escaping import Visible, csv_text, latex, line, markdown, markdown_table, visible


@pytest.mark.parametrize(
    "text", ["=1+1", "+x", "-x", "@SUM(1)", "\t=1", "\r\n=1", "\tplain", "＝1", "﹢1", "\u200b=1"]
)
def test_no_cell_of_text_is_a_formula(text):
    made = csv_text(pd.DataFrame({text: [text, "plain"], "n": [-0.5, 2.0]}))
    rows = list(csv.reader(io.StringIO(made, newline="")))
    assert rows[0][0].startswith("'")
    assert rows[1] == [rows[0][0], "-0.5"]
    assert rows[2] == ["plain", "2.0"]


@pytest.mark.parametrize("separator", [";", "\t", "\n", "; "])
def test_no_cell_becomes_a_formula_where_cells_are_parted_elsewhere(separator):
    """Many spreadsheets part cells at semicolons and tabs, within a comma's quotes, too."""
    made = csv_text(pd.DataFrame({"n": [1], "text": [f"a{separator}=1+1{separator}-b"]}))
    for cell in re.split(r"[,;\t\n]", made):
        assert not cell.lstrip().startswith(("=", "+", "-", "@")), cell
    assert csv_text(pd.DataFrame({"text": ["a; b-c; d"]})).splitlines()[1] == "a; b-c; d"


def test_numbers_and_gaps_stay_what_they_are_and_the_index_is_made_safe_too():
    table = pd.DataFrame(
        {
            "a": [-1, 2],
            "b": [-0.5, None],
            "c": ["-0.5", None],
            "d": pd.array([1, None], "Int64"),
            "e": [True, False],
        }
    )
    pd.testing.assert_frame_equal(
        pd.read_csv(io.StringIO(csv_text(table))), pd.read_csv(io.StringIO(table.to_csv(index=False)))
    )
    counts = pd.crosstab(pd.Series(["=a", "b"], name="truth"), pd.Series(["@x", "y"]))
    assert csv_text(counts, index=True).splitlines()[:2] == ["truth,'@x,y", "'=a,1,0"]
    assert csv_text(pd.DataFrame()).strip() == ""


def test_two_columns_of_one_name_keep_their_cells():
    made = csv_text(pd.DataFrame([["=a", 1], ["b", 2]], columns=["x", "x"]))
    assert made.splitlines() == ["x,x", "'=a,1", "b,2"]


def test_what_nobody_sees_is_shown():
    assert visible("a\0\x1b[1m\x7f\x9b\u202e\u2066\ud800") == "a␀␛[1m␡[U+009B][U+202E][U+2066][U+D800]"
    # Line ends, tabs and what holds emoji together do no harm.
    assert visible("a\n\tb 👩\u200d👧 שלום") == "a\n\tb 👩\u200d👧 שלום"
    assert line(" a\n\n b\r\tc\u2028d ") == "a b c d"
    assert line("x" * 20, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no_gates", "no_gates"),
        ("-11.2", "-11.2"),
        ("_a_", r"\_a\_"),
        ("- a", r"\- a"),
        ("---", r"\---"),
        ("1. a", "&#49;. a"),
        ("> a", r"\> a"),
        ("[a](b) ![c](d)", r"\[a\](b) !\[c\](d)"),
        ("http://x.example www.x.example", r"http\://x.example www\.x.example"),
        ("a@b.example", "a&#8288;@b.example"),
        ("a|b`c*d*~~e~~$f$", r"a\|b\`c\*d\*\~\~e\~\~\$f\$"),
        ("a\n\n# b", r"a \# b"),
    ],
)
def test_markdown_shows_text_as_it_stands(text, shown):
    from markdown_it import MarkdownIt

    assert markdown(text) == shown
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown(text))
    assert html.startswith("<p>")
    assert html.count("<") == 2


def test_latex_prints_what_it_has_a_font_for_and_names_the_rest():
    assert latex("50 % [a] *b* é ß") == r"50 \% {[}a] {*}b{*} é ß"
    assert latex("a 你好 «") == (
        r"a \ifdefined\Uchar 你好\else U+4F60 U+597D\fi{} \ifdefined\Uchar «\else U+00AB\fi{}"
    )
    assert latex("a\n\nb\x1b") == r"a b\ifdefined\Uchar ␛\else U+241B\fi{}"


def test_lines_of_the_log_command_no_terminal():
    record = logging.LogRecord("a", logging.WARNING, "", 0, "label %s", ("\x1b]0;x\x07\u202e",), None)
    assert (
        Visible(logging.Formatter("%(levelname)s %(message)s")).format(record)
        == "WARNING label ␛]0;x␇[U+202E]"
    )


def test_a_markdown_table_has_as_many_cells_in_every_line_whatever_they_hold():
    table = markdown_table(["name", "a|b"], [["x\ny | *z*", 3], ["l" * 1000, None]], [False, True])
    lines = table.splitlines()
    assert lines[:3] == [r"| name | a\|b |", "|---|---:|", r"| x y \| \*z\* | 3 |"]
    assert {line.replace(r"\|", "").count("|") for line in lines} == {3}
    assert len(lines[3]) < 520
    assert markdown_table(["a", "b"], []).splitlines() == ["| a | b |", "|---|---|"]
