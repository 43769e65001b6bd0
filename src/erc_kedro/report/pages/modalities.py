"""The section of a comparison on what each modality adds, as Markdown."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from erc_kedro.escaping import code, markdown, markdown_table
from erc_kedro.report.tables.printed import cell, score
from erc_kedro.sentences import probability

_HEADER = (
    "modality",
    "against",
    "experiment",
    "weighted F1 of all",
    "of the experiment",
    "difference",
    "95 % interval of it",
    "p",
    "p, corrected",
)
_AGAINST = {
    "added": "trained without it",
    "shown": "not shown it when it predicts",
    "alone": "trained on it alone",
}
_RIGHT = [False, False, False, *[True] * 6]


def modalities_markdown(table: pd.DataFrame, reference: str) -> list[str]:
    """The table of ``schemas.compared_modalities`` of one corpus, and its notes; no lines if it is empty."""
    test = table[table["split"] == "test"]
    lines = []
    if len(test):
        lines += [
            "### Each modality added and taken away",
            "",
            f"Weighted F1 × 100 of {code(reference)} on test, and what it is above the same model with fewer "
            "modalities, over the seeds that both have: a modality that helps has a difference above 0. "
            f"Interval and test as above, p corrected for {test['experiment'].nunique()} comparisons.",
            "",
            markdown_table(_HEADER, (_cells(row) for row in test.to_dict("records")), _RIGHT),
        ]
    for note in table.loc[table["note"] != "", "note"]:
        lines += [f"**{markdown(note)}**", ""]
    return lines


def _cells(row: Mapping[Any, Any]) -> list[str]:
    return [
        row["modality"],
        _AGAINST[row["comparison"]],
        row["experiment"],
        score(row["reference_score"]),
        score(row["score"]),
        cell("difference", row["difference"]),
        cell("difference_low", row["difference_low"], row["difference_high"]),
        probability(row["p"]),
        probability(row["p_corrected"]),
    ]
