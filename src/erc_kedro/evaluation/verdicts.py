"""What a comparison comes to, in a sentence an experiment."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from erc_kedro.evaluation.units import FEWEST, counted
from erc_kedro.sentences import probability

# A difference is shown where chance alone would make one as large less often, after the correction.
SHOWN = 0.05


def verdict(row: Mapping[Any, Any], reference: str, tests: int, same_as: str | None = None) -> str:
    """What is and what is not shown of one experiment.

    Args:
        row: its row of ``schemas.comparison``; the name and the note may be others than there.
        reference: what it was tested against, by the name that the sentence is to use.
        tests: how many comparisons ``p_corrected`` is corrected for.
        same_as: the experiment that it comes to the same as, if any.
    """
    name = row["experiment"]
    if pd.isna(row["weighted_f1"]):
        return f"{name} has no score on test."
    if name == reference:
        return f"{name} is what the others are tested against."
    if same_as is not None:
        return f"{name} and {same_as} are the same model: they predict the same."
    if pd.isna(row["p"]):
        why = row["note"] or (
            "test has a single " + row["unit"] if row["units"] == 1 else f"{reference} has no score on test"
        )
        return f"{name} is not tested against {reference}: {why.removeprefix('not tested: ')}."
    return f"{name} is {_difference(row, reference)} ({_figures(row, tests)}): {_shown(row)}."


def _difference(row: Mapping[Any, Any], reference: str) -> str:
    points = round(100 * row["difference"], 1)
    if points == 0:
        return f"level with {reference}"
    size = f"{abs(points):.1f} {'point' if abs(points) == 1 else 'points'}"
    return f"{size} {'above' if points > 0 else 'below'} {reference}"


def _figures(row: Mapping[Any, Any], tests: int) -> str:
    low, high = (round(100 * row[f"difference_{end}"], 1) + 0.0 for end in ("low", "high"))
    figures = f"95 % interval {low:.1f} to {high:.1f}, p {probability(row['p'])}"
    if tests == 1:
        return figures
    corrected = probability(row["p_corrected"])
    return f"{figures} uncorrected, {corrected} corrected for {tests} comparisons"


def _shown(row: Mapping[Any, Any]) -> str:
    if row["units"] < FEWEST:
        return f"{counted(int(row['units']), row['unit'])} are too few to say"
    if row["p_corrected"] < SHOWN:
        return f"it is shown to be {'better' if row['difference'] > 0 else 'worse'}"
    if row["p"] < SHOWN:
        return "no difference is shown once the number of comparisons is allowed for"
    return "no difference is shown"
