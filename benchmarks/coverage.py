"""How often 95 % intervals hold the true value: simulated dialogues, drawn from populations that are known.

Labels are drawn as two corpora have them: a dialogue's share of each emotion is Dirichlet, with the
concentrations that fit the annotations of IEMOCAP (151 dialogues, six classes) and of MELD's training split
best; its length is gamma with their mean and deviation. Some dialogues are harder than others: the log-odds
of the true class have a part of their own, of deviation 0.3, and each model's a further 0.2, with which
intervals are about as long as on the corpora themselves (docs/results.md).

The second model of a pair repeats seven of ten predictions of the first and makes the rest anew, a little
worse.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from erc_kedro.evaluation.intervals import (
    Metric,
    difference_interval,
    interval_of_counts,
    metric_from_counts,
)

UNITS = (5, 8, 15, 31, 151, 280)
LEVEL = 0.95
# Where every draw is scored without each of its units in turn, more of them would take hours.
MOST_STUDENTISED = 15
METHODS = ("percentile", "BCa", "studentised", "ours")


@dataclass(frozen=True)
class Population:
    """Attributes:
    concentration: Dirichlet's, of the shares of the classes in a dialogue [C].
    length, deviation, longest: of dialogues, in utterances.
    """

    concentration: tuple[float, ...]
    length: float
    deviation: float
    longest: int


POPULATIONS = {
    "iemocap": Population((0.22, 0.14, 0.36, 0.14, 0.46, 0.17), 49.2, 16.9, 110),
    "meld": Population((1.10, 0.31, 0.33, 1.93, 5.26, 0.75, 1.43), 9.6, 5.8, 33),
}


def coverage(
    population: str, units: int, repeats: int, bootstrapped: int, draws: int, metric: Metric = "weighted_f1"
) -> dict[str, Any]:
    """Share of intervals that hold the true value, and their length, of a score and of a difference.

    Args:
        units: dialogues of a test split.
        repeats: test splits that are drawn.
        bootstrapped: the first of them, for which the bootstraps are made, too.
        draws: of each bootstrap.
    """
    rng = np.random.default_rng([units, *population.encode()])
    # Of so many dialogues, a score is the population's.
    many = drawn(np.random.default_rng(0), POPULATIONS[population], 100_000)
    first, second = (float(metric_from_counts(counts.sum(axis=0), metric)) for counts in many)
    ends: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for repeat in range(repeats):
        pair = drawn(rng, POPULATIONS[population], units)
        for what, models in (("score", pair[:1]), ("difference", pair)):
            ends.setdefault((what, "ours"), []).append(ours(models, metric))
            if repeat < bootstrapped:
                for method, interval in bootstraps(models, metric, draws, rng):
                    ends.setdefault((what, method), []).append(interval)
    truth = {"score": first, "difference": first - second}
    rows = []
    for (what, method), found in ends.items():
        low, high = np.array(found).T
        rows.append(
            {
                "what": what,
                "method": method,
                # An interval that could not be made holds nothing.
                "covers": float(((low <= truth[what]) & (truth[what] <= high)).mean()),
                "length": float(np.nanmedian(high - low)),
                "longest": float(np.nanmax(high - low)),
            }
        )
    return {"truth": truth, "rows": rows}


def ours(models: tuple[np.ndarray, ...], metric: Metric = "weighted_f1") -> tuple[float, float]:
    """The project's interval of one model's score, or of the first model's less the second's."""
    pair = [counts[None] for counts in models]
    if len(pair) == 1:
        return interval_of_counts(pair[0], metric, LEVEL)
    return difference_interval(pair[0], pair[1], metric, LEVEL)


def drawn(rng: np.random.Generator, population: Population, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Confusion counts of two models on the same dialogues, each [U, C, C]."""
    concentration = np.array(population.concentration)
    shape = (population.length / population.deviation) ** 2
    length = (
        rng.gamma(shape, population.length / shape, units).round().clip(1, population.longest).astype(int)
    )
    labels = rng.multinomial(length, rng.dirichlet(concentration, units))
    prior = concentration / concentration.sum()
    # Frequent classes are recognised more often.
    own = 1 + 0.3 * np.log(prior)
    hard = rng.normal(0, 0.3, units)
    chances = []
    for worse in (0.0, 0.12):
        logits = np.broadcast_to(np.log(prior), (units, len(prior), len(prior))).copy()
        further = hard + rng.normal(0, 0.2, units) - worse
        logits[:, np.arange(len(prior)), np.arange(len(prior))] = own + further[:, None]
        chances.append(special.softmax(logits, axis=-1))
    first = rng.multinomial(labels, chances[0])
    kept = rng.binomial(first, 0.7)
    return first, kept + rng.multinomial((first - kept).sum(axis=-1), chances[1])


def bootstraps(
    models: tuple[np.ndarray, ...], metric: Metric, draws: int, rng: np.random.Generator
) -> Iterator[tuple[str, tuple[float, float]]]:
    """The same by three bootstraps: SciPy's percentile and BCa, and the studentised."""
    stacked = np.stack([counts.astype(float) for counts in models])
    signs = np.array([1.0, -1.0])[: len(models), None]
    units, size = stacked.shape[1], stacked.shape[2]
    flat = stacked.transpose(1, 0, 2, 3).reshape(units, -1)

    def score(sums: np.ndarray) -> np.ndarray:
        by_model = sums.reshape(*sums.shape[:-1], len(models), size, size)
        return metric_from_counts(by_model, metric) @ signs[:, 0]

    def of_indices(drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        lines = drawn.reshape(-1, drawn.shape[-1])
        cells = lines + units * np.arange(len(lines))[:, None]
        times = np.bincount(cells.ravel(), minlength=units * len(lines)).reshape(-1, units)
        return score(times.astype(float) @ flat).reshape(drawn.shape[:-1])

    options = {"n_resamples": draws, "confidence_level": LEVEL, "vectorized": True, "rng": rng}
    made = stats.bootstrap((np.arange(units),), of_indices, method="percentile", **options)
    yield "percentile", tuple(made.confidence_interval)
    options["n_resamples"] = 0
    made = stats.bootstrap((np.arange(units),), of_indices, method="BCa", bootstrap_result=made, **options)
    yield "BCa", tuple(made.confidence_interval)
    if units <= MOST_STUDENTISED:
        yield "studentised", studentised(flat, score, draws, rng)


def studentised(flat: np.ndarray, score: Any, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Bootstrap-t (Efron and Tibshirani 1993, chapter 12.5); standard errors by the jackknife.

    Draws whose own standard error is nought have no t and are left out.
    """
    units = len(flat)
    times = rng.multinomial(units, [1 / units] * units, size=draws).astype(float)
    sums, whole = times @ flat, score(flat.sum(axis=0))
    # A unit that was not drawn is not left out either.
    without = score(sums[:, None] - np.where(times[..., None] > 0, flat, 0))
    mean = (times * without).sum(axis=1, keepdims=True) / units
    errors = np.sqrt((units - 1) / units * (times * (without - mean) ** 2).sum(axis=1))
    known = errors > 1e-9
    if not known.any():
        return float("nan"), float("nan")
    t = (score(sums[known]) - whole) / errors[known]
    low, high = np.quantile(t, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    own = score(flat.sum(axis=0) - flat)
    error = np.sqrt((units - 1) * own.var())
    return float(whole - high * error), float(whole - low * error)
