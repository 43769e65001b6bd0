"""Numbers and tables as they are printed: scores × 100 with one decimal, as papers have them."""

from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.escaping import LONGEST, line
from erc_kedro.report.labels import HEADINGS, NONE
from erc_kedro.report.section import Table
from erc_kedro.sentences import probability

# Printed as they are, not × 100.
_PLAIN = ("temperature", "nll", "nll_scaled", "effect", "amount", "epoch")


def score(mean: float, std: float = float("nan")) -> str:
    """A score in 0 to 1 as printed: × 100, one decimal, with its standard deviation if there is one."""
    if isnan(mean):
        return NONE
    return f"{100 * mean:.1f}" if isnan(std) else f"{100 * mean:.1f} ± {100 * std:.1f}"


def cell(column: str, value: Any, other: Any = None) -> str:
    """A number as a table of scores prints it.

    Args:
        column: its name, which says what it is.
        other: its deviation over seeds, or the upper end of the interval that it begins.
    """
    if value is None or pd.isna(value):
        return NONE
    if isinstance(value, str):
        return line(value, LONGEST)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return str(value) if column in ("seed", "epoch") else f"{value:,}"
    if column in ("p", "p_corrected"):
        return probability(value)
    if column in _PLAIN:
        return f"{value:.2f}".rstrip("0").rstrip(".") if column == "amount" else f"{value:.2f}"
    if column == "coverage":
        return f"{100 * value:.0f}"
    if column.endswith("low"):
        sign = "+" if column == "difference_low" else ""
        return f"{_percent(value):{sign}.1f} to {_percent(other):{sign}.1f}"
    if column == "difference":
        return f"{_percent(value):+.1f}"
    return score(value, float("nan") if other is None else other)


def printed(table: Table) -> pd.DataFrame:
    """The table's cells as printed: scores × 100 with one decimal, ``mean ± deviation``, ``low to high``.

    A text is one line, cut where it is long.
    """
    frame = table.frame
    if table.kind != "scores":
        # By place, since the data may call two columns the same.
        columns = [frame.iloc[:, at] for at in range(frame.shape[1])]
        cells = [[_number(value, table.kind) for value in column] for column in columns]
        headings = [line(name, LONGEST) for name in frame.columns]
        return pd.DataFrame(list(zip(*cells, strict=True)), columns=headings, dtype=object)
    shown = {}
    for column in frame.columns[printed_columns(table)]:
        other = frame.get(f"{column}_std")
        if column.endswith("low"):
            other = frame[f"{column[:-3]}high"]
        pairs = zip(frame[column], [None] * len(frame) if other is None else other, strict=True)
        shown[HEADINGS.get(column, column.replace("_", " "))] = [cell(column, *pair) for pair in pairs]
    return pd.DataFrame(shown, index=frame.index, dtype=object)


def printed_columns(table: Table) -> list[int]:
    """Which columns are printed in one of their own: of scores, no deviation and no upper end."""
    names = list(table.frame.columns)
    return [
        at
        for at, name in enumerate(names)
        if table.kind != "scores"
        or not (name.endswith("_std") or (name.endswith("high") and f"{name[:-4]}low" in names))
    ]


def _percent(value: float) -> float:
    # Rounded first, and without the sign of a nought.
    return round(100 * value, 1) + 0.0


def _number(value: Any, kind: str) -> str:
    if value is None or pd.isna(value):
        return NONE
    if isinstance(value, str):
        return line(value, LONGEST)
    return {"counts": f"{value:,}", "shares": f"{100 * value:.1f}", "weights": f"{value:.2f}"}[kind]
