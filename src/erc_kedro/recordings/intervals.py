"""Who, or what, holds how much of a stretch of time."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np


class Intervals:
    """Stretches of time, each with a value, found by time."""

    def __init__(self, stretches: Iterable[tuple[float, float, str]]) -> None:
        ordered = sorted(stretches)
        self._starts = np.array([start for start, _, _ in ordered], float)
        self._ends = np.array([end for _, end, _ in ordered], float)
        # The latest end so far: what begins early may last.
        self._reach = np.maximum.accumulate(self._ends) if ordered else self._ends
        self._values = [value for _, _, value in ordered]

    def during(self, start_s: float, end_s: float) -> dict[str, float]:
        """Each value's seconds between two points in time, where it has any."""
        first = int(np.searchsorted(self._reach, start_s, "right"))
        last = int(np.searchsorted(self._starts, end_s, "left"))
        held: dict[str, float] = defaultdict(float)
        if first < last:
            lasts = np.minimum(self._ends[first:last], end_s) - np.maximum(self._starts[first:last], start_s)
            for at in np.flatnonzero(lasts > 0):
                held[self._values[first + at]] += float(lasts[at])
        return dict(held)
