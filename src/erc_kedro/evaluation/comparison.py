"""Whether one model is better than another: paired tests over dialogues, corrected for their number."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from erc_kedro.evaluation.intervals import (
    Metric,
    bootstrap_interval,
    dialogue_counts,
    metric_from_counts,
    resampled_scores,
)
from erc_kedro.evaluation.metrics import SCORES, metrics_table, summary
from erc_kedro.folds import pooled_rows, views


def paired_test(
    first: np.ndarray, second: np.ndarray, metric: Metric = "weighted_f1", draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """How much two models differ, and how often chance alone would make them differ as much.

    A permutation test: under the hypothesis of no difference, the two models' predictions of a dialogue
    may be exchanged. Each draw exchanges those of a random half of the dialogues, the same ones for every
    seed (Noreen 1989; Yeh, COLING 2000).

    Args:
        first, second: confusion counts [S seeds, D dialogues, C, C] of the same dialogues in the same
            order (``intervals.dialogue_counts``).
        metric: compared is its mean over seeds.
        draws: random exchanges; p cannot be below 1 / (draws + 1).
        seed: of the random draws.

    Returns:
        The metric of the first less that of the second, and the two-sided p-value.

    Raises:
        ValueError: the counts are not of the same seeds, dialogues and classes.
    """
    if first.shape != second.shape or (first.sum(-1) != second.sum(-1)).any():
        raise ValueError("a paired test needs the same seeds, dialogues and labels of both models")
    seeds, dialogues, size, _ = first.shape

    def mean(counts: np.ndarray) -> np.ndarray:
        return metric_from_counts(counts.reshape(-1, seeds, size, size), metric).mean(axis=1)

    # Whole numbers below 2**53 are exact in float64, whose product runs through BLAS; integers' does not.
    flat = [x.transpose(1, 0, 2, 3).reshape(dialogues, -1).astype(float) for x in (first, second)]
    sums = [x.sum(axis=0) for x in flat]
    observed = float((mean(sums[0]) - mean(sums[1]))[0])
    exchanged = np.random.default_rng(seed).integers(0, 2, (draws, dialogues)).astype(float)
    moved = exchanged @ (flat[1] - flat[0])
    chance = mean(sums[0] + moved) - mean(sums[1] - moved)
    # Draws that exchange nothing that matters differ from the observed by rounding alone.
    as_large = int((np.abs(chance) >= abs(observed) - 1e-12).sum())
    return observed, (as_large + 1) / (draws + 1)


def difference_interval(
    first: np.ndarray,
    second: np.ndarray,
    metric: Metric = "weighted_f1",
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval, over dialogues, of how much two models differ.

    Args:
        first, second, metric: as :func:`paired_test` has them.
        level, draws, seed: as ``intervals.bootstrap_interval`` has them.

    Returns:
        The low and high end; both NaN for fewer than two dialogues.
    """
    if first.shape[1] < 2:
        return float("nan"), float("nan")
    scores = [resampled_scores(counts, metric, draws, seed) for counts in (first, second)]
    low, high = np.quantile(scores[0] - scores[1], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def digest(utterances: pd.DataFrame) -> str:
    """A SHA-256 over which utterances there are, with which labels, in which splits (of folds, pooled).

    Args:
        utterances: the utterances table, or the predictions table's columns of that name.
    """
    rows = pooled_rows([view.utterances for view in views(utterances)])
    columns = rows[["utterance_id", "label", "split"]].sort_values(["utterance_id", "split"])
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
    dialogue_of: "pd.Series[str] | Mapping[str, str]",
    experiments: Sequence[str],
    reference: str,
    draws: int = 10_000,
    same_as: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Test scores of several experiments on one corpus, and each one's test against the reference.

    Args:
        predictions: the predictions table of one head with a column ``experiment``.
        dialogue_of: utterance_id to dialogue_id.
        experiments: the rows, in order; one without predictions has no scores.
        reference: the experiment that the others are tested against, on weighted F1.
        draws: of the bootstrap and of the permutation test.
        same_as: experiments that come to the same as an earlier one, and which; they are no further
            comparison.

    Returns:
        ``schemas.comparison``: a row an experiment. ``difference`` is its weighted F1 less the reference's
        over the seeds that both have; ``p_corrected`` is Holm's, over the tests of this table.
    """
    counts: dict[str, dict[int, np.ndarray]] = {}
    rows = []
    for experiment in experiments:
        own = predictions[predictions["experiment"] == experiment].drop(columns="experiment")
        row: dict[str, object] = {"experiment": experiment, "modalities": "", "made_of": ""}
        row["seeds"] = own["seed"].nunique()
        test = own[(own["split"] == "test") & own["label"].notna()]
        spread = summary(metrics_table(own)).set_index(["split", "metric"])
        for metric in SCORES:
            found = ("test", metric) in spread.index
            row[metric] = spread.loc[("test", metric), "mean"] if found else np.nan
            row[f"{metric}_std"] = spread.loc[("test", metric), "std"] if found else np.nan
        row["low"], row["high"] = (
            bootstrap_interval(test, dialogue_of, draws=draws) if len(test) else (np.nan, np.nan)
        )
        scored = ("val", "weighted_f1") in spread.index
        row["val_weighted_f1"] = spread.loc[("val", "weighted_f1"), "mean"] if scored else np.nan
        row |= dict.fromkeys(("difference", "difference_low", "difference_high", "effect", "p"), np.nan)
        if len(test):
            # Rows in the order of utterances, so that every experiment's dialogues come in the same order.
            test = test.sort_values(["seed", "utterance_id"])
            seeds = test["seed"].unique()
            counts[experiment] = dict(zip(seeds, dialogue_counts(test, dialogue_of), strict=True))
        rows.append({**row, "settings": "", "note": ""})
    same_as = same_as or {}
    for row in rows:
        name = str(row["experiment"])
        if name not in {reference, *same_as} and name in counts and reference in counts:
            mine, other = counts[name], counts[reference]
            shared = [seed for seed in mine if seed in other]
            if len(shared) < max(len(mine), len(other)):
                row["note"] = f"tested on {len(shared)} seeds, which {reference} has, too"
            if not shared:
                row["note"] = f"not tested: no seed that {reference} has, too"
                continue
            pair = tuple(np.stack([counted[seed] for seed in shared]) for counted in (mine, other))
            row["difference"], row["p"] = paired_test(pair[0], pair[1], draws=draws)
            interval = difference_interval(pair[0], pair[1], draws=draws)
            row["difference_low"], row["difference_high"] = interval
            row["effect"] = effect_size(pair[0], pair[1])
    table = pd.DataFrame(rows)
    table["p_corrected"] = holm(table["p"].tolist())
    tests = ["difference", "difference_low", "difference_high", "effect", "p", "p_corrected"]
    for name, first in same_as.items():
        original = table.loc[table["experiment"] == first, tests].to_numpy()
        table.loc[table["experiment"] == name, tests] = original
    return table
