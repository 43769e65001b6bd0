"""How sure a score is: intervals over the units of a corpus (``evaluation.units``), from confusion counts.

A score is computed anew without each unit in turn (the jackknife), and the spread of these is read by
Student's t with one degree of freedom less than there are units. Simulated coverage, beside that of three
bootstraps: docs/decisions/0020-few-test-dialogues.md.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import t as student

from erc_kedro.evaluation.metrics import class_codes, class_columns, class_names

Metric = Literal["weighted_f1", "accuracy", "macro_f1"]
# Standard errors below differ from none by rounding.
SAME = 1e-9


def unit_counts(predictions: pd.DataFrame, unit_of: "pd.Series[str] | Mapping[str, str]") -> np.ndarray:
    """Confusion counts of each seed and unit.

    Args:
        predictions: predictions of one split and head (see ``evaluation.metrics``).
        unit_of: utterance_id to its unit, as a Series' index and values or a mapping (``Units.of``).

    Returns:
        Integers [S seeds, U units with labelled rows, C truth, C predicted].

    Raises:
        ValueError: for more than one split or head, an utterance without a unit, or seeds that score
            different utterances.
    """
    for column in ("split", "head"):
        if (found := predictions[column].unique()).size > 1:
            raise ValueError(f"one {column} at a time, not {sorted(found)}")
    rows = predictions[predictions["label"].notna()]
    units = rows["utterance_id"].map(unit_of)
    if units.isna().any():
        missing = rows.loc[units.isna(), "utterance_id"].iloc[0]
        raise ValueError(
            f"{units.isna().sum()} predictions of utterances that are in no unit, the first {missing!r}"
        )
    seed, seeds = pd.factorize(rows["seed"])
    unit, names = pd.factorize(units)
    size = len(class_columns(rows))
    truth = class_codes(rows["label"], class_names(rows))
    predicted = rows[class_columns(rows)].to_numpy().argmax(axis=1)
    shape = (len(seeds), len(names), size, size)
    cell = np.ravel_multi_index((seed, unit, truth, predicted), shape)
    counts = np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)
    supports = counts.sum(axis=3)
    if (supports != supports[:1]).any():
        raise ValueError("the seeds score different utterances")
    return counts


def metric_from_counts(counts: np.ndarray, metric: Metric) -> np.ndarray:
    """A metric of confusion counts [..., C truth, C predicted], shape [...]; NaN where there are none.

    The same definitions as ``evaluation.metrics.classification_metrics``.

    Raises:
        ValueError: for an unknown metric.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    truth, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    total = truth.sum(axis=-1)
    # F1 = 2 TP / (2 TP + FP + FN), and 0/0 only for classes that occur nowhere.
    f1 = 2 * hits / np.maximum(truth + predicted, 1)
    with np.errstate(invalid="ignore"):
        if metric == "accuracy":
            return hits.sum(axis=-1) / total
        if metric == "weighted_f1":
            return (f1 * truth).sum(axis=-1) / total
        if metric == "macro_f1":
            return f1.sum(axis=-1) / ((truth + predicted) > 0).sum(axis=-1)
    raise ValueError(f"unknown metric {metric!r}: weighted_f1, accuracy or macro_f1")


def score_interval(
    predictions_of_one_split_and_head: pd.DataFrame,
    unit_of: "pd.Series[str] | Mapping[str, str]",
    metric: Metric = "weighted_f1",
    level: float = 0.95,
) -> tuple[float, float]:
    """Jackknife interval, over units, of the metric's mean over seeds.

    It is made on the logit scale, so that it stays within 0 to 1 and is longer towards the middle. It says
    how the score would vary with other units of the same kind, not with other training runs.

    Args:
        predictions_of_one_split_and_head: rows of the predictions table.
        unit_of: as :func:`unit_counts` has it.
        metric: weighted_f1, accuracy or macro_f1, as in ``evaluation.metrics``.
        level: the interval's coverage, between 0 and 1.

    Returns:
        The low and high end, within 0 to 1; both NaN for fewer than two units.

    Raises:
        ValueError: as :func:`unit_counts`, for an unknown metric or a level outside 0 to 1.
    """
    return interval_of_counts(unit_counts(predictions_of_one_split_and_head, unit_of), metric, level)


def interval_of_counts(
    counts: np.ndarray, metric: Metric = "weighted_f1", level: float = 0.95
) -> tuple[float, float]:
    """:func:`score_interval` of confusion counts [S seeds, U units, C, C]."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    if counts.shape[1] < 2:
        return float("nan"), float("nan")
    score = float(metric_from_counts(counts.sum(axis=1), metric).mean())
    error, steps = jackknife(without_each(counts, metric)), _steps(counts.shape[1], level)
    if error < SAME:
        unseen = share_unseen(counts.shape[1], level)
        return max(score - unseen, 0.0), min(score + unseen, 1.0)
    # The logit's derivative is 1 / (score (1 - score)).
    ends = expit(logit(score) + np.array([-steps, steps]) * error / (score * (1 - score)))
    return float(ends[0]), float(ends[1])


def difference_interval(
    first: np.ndarray, second: np.ndarray, metric: Metric = "weighted_f1", level: float = 0.95
) -> tuple[float, float]:
    """Jackknife interval, over units, of how much two models differ in the metric's mean over seeds.

    Args:
        first, second: confusion counts [S seeds, U units, C, C] of the same units in the same order.
        metric, level: as :func:`score_interval` has them.

    Returns:
        The low and high end of the first less the second, within -1 to 1; both 0 where the counts are the
        same, both NaN for fewer than two units.
    """
    units = first.shape[1]
    if units < 2:
        return float("nan"), float("nan")
    if np.array_equal(first, second):
        return 0.0, 0.0
    whole = (metric_from_counts(counts.sum(axis=1), metric).mean() for counts in (first, second))
    difference = float(next(whole) - next(whole))
    error = jackknife(without_each(first, metric) - without_each(second, metric))
    half = share_unseen(units, level) if error < SAME else _steps(units, level) * error
    return max(difference - half, -1.0), min(difference + half, 1.0)


def without_each(counts: np.ndarray, metric: Metric) -> np.ndarray:
    """The metric's mean over seeds without each unit in turn: [U], of counts [S, U >= 2, C, C]."""
    return metric_from_counts(counts.sum(axis=1, keepdims=True) - counts, metric).mean(axis=0)


def jackknife(without: np.ndarray) -> float:
    """The standard error of a statistic from its values without each unit, [U >= 2].

    sqrt((U - 1) / U * sum of squared deviations) (Tukey 1958). With t of U - 1 degrees of freedom it is
    recommended for few clusters (CV3 of MacKinnon, Nielsen and Webb, Journal of Econometrics 2023).
    """
    return float(np.sqrt((len(without) - 1) * without.var()))


def share_unseen(units: int, level: float) -> float:
    """The largest share of units of another kind that so many alike do not rule out.

    Where all units come to the same there is no spread to go by. If a share q of all units were different,
    none of U drawn ones would be with probability (1 - q)^U, which is (1 - level) / 2 at this q.
    """
    return 1 - ((1 - level) / 2) ** (1 / units)


def _steps(units: int, level: float) -> float:
    return float(student.ppf((1 + level) / 2, units - 1))
