"""Whether one model is better than another: paired tests over units, corrected for their number."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.evaluation.intervals import (
    Metric,
    difference_interval,
    metric_from_counts,
    score_interval,
    unit_counts,
)
from erc_kedro.evaluation.metrics import SCORES, WITHOUT_MAJORITY, metrics_table, summary
from erc_kedro.evaluation.units import Units
from erc_kedro.evaluation.verdicts import verdict
from erc_kedro.folds import is_folded

# What a row is tested by, against the reference.
TESTS = ("difference", "difference_low", "difference_high", "effect", "p", "p_corrected")


def paired_test(
    first: np.ndarray, second: np.ndarray, metric: Metric = "weighted_f1", draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """How much two models differ, and how often chance alone would make them differ as much.

    A permutation test: under the hypothesis of no difference, the two models' predictions of a unit may be
    exchanged. Where there are no more than ``draws`` ways to do so, p is the share of all of them; else each
    draw exchanges those of a random half of the units. The same ones are exchanged for every seed (Noreen
    1989; Yeh, COLING 2000).

    Args:
        first, second: confusion counts [S seeds, U units, C, C] of the same units in the same order
            (``intervals.unit_counts``).
        metric: compared is its mean over seeds.
        draws: random exchanges; p cannot be below 1 / (draws + 1).
        seed: of the random draws.

    Returns:
        The metric of the first less that of the second, and the two-sided p-value, NaN for fewer than two
        units.

    Raises:
        ValueError: the counts are not of the same seeds, units and classes.
    """
    if first.shape != second.shape or (first.sum(-1) != second.sum(-1)).any():
        raise ValueError("a paired test needs the same seeds, units and labels of both models")
    seeds, units, size, _ = first.shape

    def mean(counts: np.ndarray) -> np.ndarray:
        return metric_from_counts(counts.reshape(-1, seeds, size, size), metric).mean(axis=1)

    # Whole numbers below 2**53 are exact in float64, whose product runs through BLAS; integers' does not.
    flat = [x.transpose(1, 0, 2, 3).reshape(units, -1).astype(float) for x in (first, second)]
    sums = [x.sum(axis=0) for x in flat]
    observed = float((mean(sums[0]) - mean(sums[1]))[0])
    if units < 2:
        return observed, float("nan")
    every = 2**units <= draws
    if every:
        exchanged = (np.arange(2**units)[:, None] >> np.arange(units) & 1).astype(float)
    else:
        exchanged = np.random.default_rng(seed).integers(0, 2, (draws, units)).astype(float)
    moved = exchanged @ (flat[1] - flat[0])
    chance = mean(sums[0] + moved) - mean(sums[1] - moved)
    # Draws that exchange nothing that matters differ from the observed by rounding alone.
    as_large = int((np.abs(chance) >= abs(observed) - 1e-12).sum())
    # What was observed is one of all ways, and is counted beside random ones.
    return observed, as_large / len(chance) if every else (as_large + 1) / (draws + 1)


def digest(utterances: pd.DataFrame) -> str:
    """A SHA-256 over which utterances there are, with which labels, in which splits or folds."""
    names = ["utterance_id", "label", "split", *(["fold"] if is_folded(utterances) else [])]
    columns = utterances[names].sort_values("utterance_id")
    return hashlib.sha256(columns.to_csv(index=False).encode()).hexdigest()


def digest_of_cells(table: pd.DataFrame) -> str:
    """A SHA-256 over a table's cells in their order, the same when it was saved and loaded."""
    return hashlib.sha256(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()).hexdigest()


def effect_size(first: np.ndarray, second: np.ndarray, metric: Metric = "weighted_f1") -> float:
    """Cohen's d over seeds: the difference of the means in pooled standard deviations (Cohen 1988).

    Args:
        first, second, metric: as :func:`paired_test` has them.

    Returns:
        NaN for fewer than three seeds, whose deviation says nothing, and where no seed differs from another.
    """
    a, b = (metric_from_counts(counts.sum(axis=1), metric) for counts in (first, second))
    if len(a) < 3:
        return float("nan")
    pooled = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    # Equal seeds differ by rounding.
    return float((a.mean() - b.mean()) / pooled) if pooled > 1e-9 else float("nan")


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number by Holm's step-down method (1979); NaN stays and does not count."""
    values = np.asarray(p, dtype=float)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    scaled = values[order] * (len(order) - np.arange(len(order)))
    values[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return values.tolist()


def comparison_table(
    predictions: pd.DataFrame,
    units: Units,
    experiments: Sequence[str],
    reference: str,
    draws: int = 10_000,
    same_as: Mapping[str, str] | None = None,
    majority: str | None = None,
) -> pd.DataFrame:
    """Test scores of several experiments on one corpus, and each one's test against the reference.

    Args:
        predictions: the predictions table of one head with a column ``experiment``.
        units: what intervals and tests are over.
        experiments: the rows, in order; one without predictions has no scores.
        reference: the experiment that the others are tested against, on weighted F1.
        draws: of the permutation test.
        same_as: experiments that come to the same as an earlier one, and which; they are no further
            comparison.
        majority: the label that F1 is also given without (:func:`metrics.metrics_table`).

    Returns:
        ``schemas.comparison``: a row an experiment. ``difference`` is its weighted F1 less the reference's
        over the seeds that both have; ``p_corrected`` is Holm's, over the tests of this table.
    """
    counts: dict[str, dict[int, np.ndarray]] = {}
    rows = []
    for experiment in experiments:
        own = predictions[predictions["experiment"] == experiment].drop(columns="experiment")
        row: dict[str, Any] = {"experiment": experiment, "modalities": "", "made_of": ""}
        row["seeds"] = own["seed"].nunique()
        test = own[(own["split"] == "test") & own["label"].notna()]
        spread = summary(metrics_table(own, majority)).set_index(["split", "metric"])
        for metric in SCORES if majority is None else (*SCORES, *WITHOUT_MAJORITY):
            found = ("test", metric) in spread.index
            row[metric] = spread.loc[("test", metric), "mean"] if found else np.nan
            row[f"{metric}_std"] = spread.loc[("test", metric), "std"] if found else np.nan
        row["low"], row["high"] = score_interval(test, units.of) if len(test) else (np.nan, np.nan)
        scored = ("val", "weighted_f1") in spread.index
        row["val_weighted_f1"] = spread.loc[("val", "weighted_f1"), "mean"] if scored else np.nan
        row |= {"unit": units.kind, "units": test["utterance_id"].map(units.of).nunique()}
        row |= dict.fromkeys(TESTS, np.nan)
        if len(test):
            # Rows in the order of utterances, so that every experiment's units come in the same order.
            test = test.sort_values(["seed", "utterance_id"])
            seeds = test["seed"].unique()
            counts[experiment] = dict(zip(seeds, unit_counts(test, units.of), strict=True))
        rows.append({**row, "settings": "", "note": ""})
    same_as = same_as or {}
    for row in rows:
        name = row["experiment"]
        if name not in {reference, *same_as} and name in counts and reference in counts:
            row |= _tested(counts[name], counts[reference], reference, draws)
    table = pd.DataFrame(rows)
    table["p_corrected"] = holm(table["p"].tolist())
    number = int(table["p"].notna().sum())
    for name, first in same_as.items():
        original = table.loc[table["experiment"] == first, list(TESTS)].to_numpy()
        table.loc[table["experiment"] == name, list(TESTS)] = original
    table["verdict"] = [
        verdict(row, reference, number, same_as.get(row["experiment"])) for row in table.to_dict("records")
    ]
    return table


def _tested(
    mine: Mapping[int, np.ndarray], other: Mapping[int, np.ndarray], reference: str, draws: int
) -> dict[str, Any]:
    """One experiment's columns of the test, from the counts [U, C, C] of its seeds and of the reference's."""
    shared = [seed for seed in mine if seed in other]
    if not shared:
        return {"note": f"not tested: no seed that {reference} has, too"}
    first, second = (np.stack([counted[seed] for seed in shared]) for counted in (mine, other))
    difference, p = paired_test(first, second, draws=draws)
    low, high = difference_interval(first, second)
    made: dict[str, Any] = {
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        "effect": effect_size(first, second),
        "p": p,
    }
    if len(shared) < max(len(mine), len(other)):
        made["note"] = f"tested on {len(shared)} seeds, which {reference} has, too"
    return made
