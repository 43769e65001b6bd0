"""Tables as files: numbers as CSV; as printed, Markdown and LaTeX."""

from dataclasses import replace

import pandas as pd

from erc_kedro.escaping import csv_text, latex, markdown, markdown_table
from erc_kedro.report.section import CorpusSection, Table
from erc_kedro.report.tables import tables_of
from erc_kedro.report.tables.corpus import corpus_tables
from erc_kedro.report.tables.printed import printed, printed_columns

# Without booktabs, its rules are plain ones.
_RULES = [
    rf"\expandafter\providecommand\csname {name}rule\endcsname{{\hline}}" for name in ("top", "mid", "bottom")
]
_TABULAR = r"\begin{tabular}"


def files(name: str, table: Table) -> dict[str, str]:
    """The table by file name, as CSV, Markdown and LaTeX (booktabs)."""
    return {
        f"{name}.csv": csv_text(table.frame),
        f"{name}.md": as_markdown(table),
        f"{name}.tex": as_latex(name, table),
    }


def files_of(section: CorpusSection) -> dict[str, str]:
    """Every table of a corpus as files, which go their own ways: each with scores says what scaling reads."""
    made: dict[str, str] = {}
    note, of_data = section.scaling_note, corpus_tables(section)
    for name, table in tables_of(section).items():
        if note and name not in of_data and note not in table.title:
            table = replace(table, title=f"{table.title}. {note}")
        made |= files(f"{section.name}_{name}", table)
    return made


def as_markdown(table: Table) -> str:
    """The table as printed, below its title."""
    shown = printed(table)
    return f"{markdown(table.title)}\n\n{markdown_table(shown.columns, shown.to_numpy(), _numeric(table))}"


def as_latex(name: str, table: Table) -> str:
    """The table as printed, with its title as caption and ``tab:<name>`` as label."""
    shown, numeric = printed(table), _numeric(table)
    places = [
        "r" if right else "p{6cm}" if shown.iloc[:, at].astype(str).str.len().max() > 40 else "l"
        for at, right in enumerate(numeric)
    ]
    escaped = shown.map(latex).set_axis([latex(name) for name in shown.columns], axis=1)
    made = escaped.to_latex(
        index=False,
        escape=False,
        column_format="".join(places),
        caption=latex(table.title),
        label=f"tab:{name}",
    )
    small = [r"\small", r"\setlength{\tabcolsep}{3pt}"] if len(numeric) > 8 else []
    return made.replace(_TABULAR, "\n".join([*_RULES, *small, _TABULAR]), 1)


def _numeric(table: Table) -> list[bool]:
    """Of each printed column, whether it holds numbers."""
    columns = (table.frame.iloc[:, at] for at in printed_columns(table))
    return [pd.api.types.is_numeric_dtype(column) for column in columns]
