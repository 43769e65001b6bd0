"""Ratings put into classes, as ``ingestion.bins`` names them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.tables import Found
from erc_kedro.sentences import few

# A class's own number, or its lower and upper end, None for an open one.
Bins = Mapping[str, float | tuple[float | None, float | None]]


def class_of(rating: float, bins: Bins) -> str | None:
    """The class whose number a rating is, else whose range it is in, else none.

    A range holds its ends, but for an upper one with which another range begins.
    """
    below = []
    for name, numbers in bins.items():
        if not isinstance(numbers, tuple):
            if rating == numbers:
                return name
            continue
        low, high = numbers
        low, high = -math.inf if low is None else low, math.inf if high is None else high
        # The range that begins with it goes before the one that ends with it.
        below += [(rating == high, name)] if low <= rating <= high else []
    return min(below)[1] if below else None


def put_into_classes(raw: Path, rows: list[dict[str, Any]], bins: Bins, found: Found) -> None:
    """Makes classes of the rows' labels; one in no class becomes none, and is listed.

    Raises:
        CorpusError: a label is not a number.
    """
    outside = []
    for row in rows:
        if row["label"] is None:
            continue
        try:
            rating = float(row["label"].replace(",", "."))
        except ValueError:
            rating = math.nan
        # Python reads 1_5 as 15.
        if not math.isfinite(rating) or "_" in row["label"]:
            raise CorpusError(
                f"{raw}, row {row['line']}, column label: {row['label']!r} is not a number, but "
                "ingestion.bins puts ratings into classes; correct the cell, or leave bins out"
            )
        name = class_of(rating, bins)
        if name is None:
            outside.append(f"{row['label']} ({row['utterance_id']})")
        row["label"] = name
    if outside:
        found.append(("outside_bins", raw.name, f"{len(outside)}: {few(outside)}"))
