"""How sure a score is: bootstrap intervals over dialogues.

Utterances of one dialogue share speakers and topic, so dialogues, not utterances, are drawn.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from erc_kedro.evaluation.metrics import class_codes, class_columns, class_names

Metric = Literal["weighted_f1", "accuracy", "macro_f1"]


def dialogue_counts(
    predictions: pd.DataFrame, dialogue_of: "pd.Series[str] | Mapping[str, str]"
) -> np.ndarray:
    """Confusion counts of each seed and dialogue.

    Args:
        predictions: predictions of one split and head (see ``evaluation.metrics``).
        dialogue_of: utterance_id to dialogue_id, as a Series' index and values or a mapping.

    Returns:
        Integers [S seeds, D dialogues with labelled rows, C truth, C predicted].

    Raises:
        ValueError: for more than one split or head, an utterance without a dialogue, or seeds that
            score different utterances.
    """
    for column in ("split", "head"):
        if (found := predictions[column].unique()).size > 1:
            raise ValueError(f"one {column} at a time, not {sorted(found)}")
    rows = predictions[predictions["label"].notna()]
    dialogues = rows["utterance_id"].map(dialogue_of)
    if dialogues.isna().any():
        missing = rows.loc[dialogues.isna(), "utterance_id"].iloc[0]
        raise ValueError(f"{dialogues.isna().sum()} predictions without a dialogue, the first {missing!r}")
    seed, seeds = pd.factorize(rows["seed"])
    dialogue, names = pd.factorize(dialogues)
    size = len(class_columns(rows))
    truth = class_codes(rows["label"], class_names(rows))
    predicted = rows[class_columns(rows)].to_numpy().argmax(axis=1)
    shape = (len(seeds), len(names), size, size)
    cell = np.ravel_multi_index((seed, dialogue, truth, predicted), shape)
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


def resampled_scores(counts: np.ndarray, metric: Metric, draws: int, seed: int) -> np.ndarray:
    """A metric's mean over seeds for each draw of as many dialogues as there are, with replacement.

    Args:
        counts: [S seeds, D dialogues, C, C] (:func:`dialogue_counts`).
        metric, draws, seed: as :func:`bootstrap_interval` has them; equal ``draws``, ``seed`` and D draw
            the same dialogues.

    Returns:
        [draws].
    """
    seeds, dialogues, size, _ = counts.shape
    drawn = np.random.default_rng(seed).multinomial(dialogues, [1 / dialogues] * dialogues, size=draws)
    # Whole numbers below 2**53 are exact in float64, whose product runs through BLAS; integers' does not.
    flat = counts.transpose(1, 0, 2, 3).reshape(dialogues, -1).astype(float)
    resampled = (drawn.astype(float) @ flat).reshape(draws, seeds, size, size)
    return metric_from_counts(resampled, metric).mean(axis=1)


def bootstrap_interval(
    predictions_of_one_split_and_head: pd.DataFrame,
    dialogue_of: "pd.Series[str] | Mapping[str, str]",
    metric: Metric = "weighted_f1",
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval, over dialogues, of the metric's mean over seeds.

    Each draw takes as many dialogues as there are, with replacement, the same ones for every seed
    (Efron and Tibshirani 1993, chapter 13). It says how the score would vary with other test
    dialogues, not with other training runs.

    Args:
        predictions_of_one_split_and_head: rows of the predictions table.
        dialogue_of: utterance_id to dialogue_id.
        metric: weighted_f1, accuracy or macro_f1, as in ``evaluation.metrics``.
        level: the interval's coverage, between 0 and 1.
        draws: number of resamples.
        seed: of the random draws.

    Returns:
        The low and high end; both NaN for fewer than two dialogues.

    Raises:
        ValueError: as :func:`dialogue_counts`, for an unknown metric or a level outside 0 to 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    counts = dialogue_counts(predictions_of_one_split_and_head, dialogue_of)
    if counts.shape[1] < 2:
        return float("nan"), float("nan")
    scores = resampled_scores(counts, metric, draws, seed)
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
