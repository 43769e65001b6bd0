"""Features that are no measurement: the label in another writing, or a row's number.

A feature gives the label away if utterances that are sorted by it stand class by class. Counted are
neighbours of different classes, among all classes and among any two groups of them, so that codes, one-hot
columns, soft targets, bits of a code, and copies that were scaled, permuted or made noisy are all found;
nothing is fitted. ``docs/decisions/0012-what-is-no-feature.md`` has what real and random features reach.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

# Of the changes of class that chance makes, so many are missing: .28 is the most that published acoustics or
# text vectors reach, .75 any measured number of fifty utterances.
THRESHOLD = 0.9
# Where chance makes fewer avoidable changes than this, too few utterances say too little; but a feature with
# a value a class and no exception, as only codes are, differs from chance by less.
_LEAST_CHANGES, _LEAST_OF_CODE = 20.0, 10.0
# Looked at are at most so many utterances, of the most frequent classes, and all groupings of so many.
_MOST_ROWS = 2000
_MOST_CLASSES = 30
_MOST_GROUPED = 8
# Features at a time: a sorted copy of all would be large.
_CHUNK = 512


def label_agreement(matrix: np.ndarray, labels: pd.Series) -> np.ndarray:
    """How well each feature by itself predicts the label, from 0 (as chance does) to 1 (without exception).

    Args:
        matrix: features [N, D], finite.
        labels: [N], null where unknown.

    Returns:
        [D]: 1 - (changes of class between neighbours in the order of that feature - the unavoidable ones) /
        (the same, expected of a random order), the highest over the groupings of classes; 0 where there are
        too few utterances to tell.
    """
    known = np.flatnonzero(labels.isin(labels.value_counts().index[:_MOST_CLASSES]))
    # Equal values keep this order, which must not be that of the dialogues: their turns resemble each other.
    rows = np.random.default_rng(0).permutation(known)[:_MOST_ROWS]
    classes, names = pd.factorize(labels.iloc[rows], sort=True)
    count = len(names)
    sizes = np.bincount(classes, minlength=count)
    best = np.zeros(matrix.shape[1])
    tests = []
    for group in _groupings(count):
        parts = np.bincount(group, weights=sizes)
        avoidable = len(rows) - (parts**2).sum() / max(len(rows), 1) - (len(parts) - 1)
        if avoidable >= _LEAST_OF_CODE:
            tests.append(((group[:, None] != group[None, :]).ravel(), len(parts) - 1, avoidable))
    for first in range(0, matrix.shape[1], _CHUNK) if tests else ():
        part = matrix[rows, first : first + _CHUNK]
        order = np.argsort(part, axis=0, kind="stable")
        ordered = classes[order]
        values = 1 + (np.diff(np.take_along_axis(part, order, axis=0), axis=0) != 0).sum(0)
        pairs = ordered[:-1] * count + ordered[1:] + np.arange(part.shape[1]) * count**2
        counts = np.bincount(pairs.ravel(), minlength=part.shape[1] * count**2).reshape(-1, count**2)
        for differs, unavoidable, avoidable in tests:
            agreement = 1 - (counts[:, differs].sum(1) - unavoidable) / avoidable
            if avoidable < _LEAST_CHANGES:
                agreement = (agreement == 1) & (values == unavoidable + 1)
            best[first : first + _CHUNK] = np.maximum(best[first : first + _CHUNK], agreement)
    return best


def _groupings(classes: int) -> Iterator[np.ndarray]:
    """All classes apart, and each way to halve them; for many classes, each one against all others."""
    yield np.arange(classes)
    most = classes // 2 if classes <= _MOST_GROUPED else 1
    for size in range(1, most + 1) if classes > 2 else ():
        for chosen in combinations(range(classes), size):
            yield np.isin(np.arange(classes), chosen).astype(int)


def row_numbers(matrix: np.ndarray) -> np.ndarray:
    """Which features count utterances: whole ones, none twice, that rise from row to row or have few gaps.

    Args:
        matrix: features [N, D] of utterances in their order.

    Returns:
        bool [D]; none where there are fewer than 40 utterances, whose counts may differ by chance.
    """
    found = np.zeros(matrix.shape[1], bool)
    if len(matrix) < 40:
        return found
    # Most are no whole numbers, which a few rows show.
    whole = np.flatnonzero((matrix[:40] == np.round(matrix[:40])).all(0))
    part = matrix[:, whole].astype(np.float64)
    ordered = np.sort(part, axis=0)
    each_once = (part == np.round(part)).all(0) & (np.diff(ordered, axis=0) > 0).all(0)
    few_gaps = ordered[-1] - ordered[0] < 2 * len(matrix)
    found[whole] = each_once & (few_gaps | (np.diff(part, axis=0) > 0).all(0))
    return found
