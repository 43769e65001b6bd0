"""How far probabilities can be trusted, and what is gained by leaving the doubtful ones to a person.

All of it looks at one split and head of the predictions table, seed by seed.
"""

import numpy as np
import pandas as pd

from erc_kedro.evaluation.metrics import (
    ECE_BINS,
    PREDICTION,
    calibration_error,
    class_codes,
    class_columns,
    class_names,
    classification_metrics,
    confidence_bins,
    over_seeds,
)

# Shares of the utterances that are answered, the most confident first.
COVERAGES = tuple(np.round(np.arange(0.05, 1.01, 0.05), 2).tolist())
# A probability that float32 rounds to 0 is taken for this.
TINY = 1e-12


def temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The T that makes softmax(log p / T) most likely (Guo et al., ICML 2017, section 4.2).

    Args:
        probabilities: [N, C].
        truth: the true class of each, integers [N].

    Raises:
        ValueError: for no rows.
    """
    from scipy.optimize import minimize_scalar

    if not len(truth):
        raise ValueError("a temperature needs at least one labelled utterance")
    logs = np.log(np.clip(probabilities, TINY, 1).astype(float))

    def loss(log_t: float) -> float:
        scaled = logs / np.exp(log_t)
        return float((_log_sum(scaled) - scaled[np.arange(len(truth)), truth]).mean())

    # Wider than any network needs; where all are right, the likeliest T is as small as allowed.
    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def temperature_scaled(probabilities: np.ndarray, by: float) -> np.ndarray:
    """softmax(log p / by), [N, C]; the most probable class stays the same."""
    logits = np.log(np.clip(probabilities, TINY, 1).astype(float)) / by
    return np.exp(logits - _log_sum(logits)[:, None])


def calibration_table(predictions: pd.DataFrame, split: str = "test", head: str = PREDICTION) -> pd.DataFrame:
    """Calibration of each seed before and after a temperature that is fitted on validation alone.

    Returns:
        One row a seed with columns seed, temperature, ece, ece_scaled, nll, nll_scaled (mean
        negative log-likelihood); NaN for what needs a temperature where validation has no labels. No
        rows where the split has none.
    """
    rows = []
    for seed, here in _by_seed(predictions, split, head):
        p, truth = _arrays(here)
        known = predictions[predictions["seed"] == seed]
        val = known[(known["split"] == "val") & (known["head"] == head) & known["label"].notna()]
        fitted = temperature(*_arrays(val)) if len(val) else np.nan
        after = temperature_scaled(p, fitted) if len(val) else np.full_like(p, np.nan)
        rows.append((seed, fitted, _ece(p, truth), _ece(after, truth), _nll(p, truth), _nll(after, truth)))
    columns = ["seed", "temperature", "ece", "ece_scaled", "nll", "nll_scaled"]
    return pd.DataFrame(rows, columns=columns)


def reliability(predictions: pd.DataFrame, split: str = "test", head: str = PREDICTION) -> pd.DataFrame:
    """Confidence against accuracy, all seeds together, before and after each seed's temperature.

    Returns:
        One row a non-empty bin with columns scaled (bool: by the temperature), bin (from 0, of 15 of equal
        width), confidence, accuracy (means) and count. No rows where the split has no labels; none
        scaled where validation has none.
    """
    temperatures = calibration_table(predictions, split, head).set_index("seed")["temperature"]
    parts: dict[bool, list[pd.DataFrame]] = {False: [], True: []}
    for seed, here in _by_seed(predictions, split, head):
        p, truth = _arrays(here)
        for after in (False, True):
            if after and np.isnan(temperatures[seed]):
                continue
            shown = temperature_scaled(p, temperatures[seed]) if after else p
            confidence = shown.max(axis=1)
            correct = p.argmax(axis=1) == truth
            parts[after].append(
                pd.DataFrame(
                    {"bin": confidence_bins(confidence), "confidence": confidence, "accuracy": correct}
                )
            )
    tables = [
        pd.concat(every)
        .groupby("bin")
        .agg(confidence=("confidence", "mean"), accuracy=("accuracy", "mean"), count=("accuracy", "size"))
        .reset_index()
        .assign(scaled=after)
        for after, every in parts.items()
        if every
    ]
    columns = ["scaled", "bin", "confidence", "accuracy", "count"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def selective_table(predictions: pd.DataFrame, split: str = "test", head: str = PREDICTION) -> pd.DataFrame:
    """Scores of the most confident utterances alone (selective prediction, Geifman and El-Yaniv 2017).

    Returns:
        One row a coverage (0.05 to 1) with columns coverage, utterances (of one seed), accuracy,
        accuracy_std, weighted_f1, weighted_f1_std: means and deviations over seeds. The weighted F1
        is that of the answered utterances, by their own class counts.
    """
    rows = []
    for seed, here in _by_seed(predictions, split, head):
        p, _truth = _arrays(here)
        classes = class_names(here)
        names = here["label"].reset_index(drop=True)
        order = np.argsort(-p.max(axis=1), kind="stable")
        for coverage in COVERAGES:
            kept = order[: max(int(np.ceil(coverage * len(order) - 1e-9)), 1)]
            scores = classification_metrics(names.iloc[kept], p[kept], classes)
            rows.append((seed, coverage, len(kept), scores["accuracy"], scores["weighted_f1"]))
    table = pd.DataFrame(rows, columns=["seed", "coverage", "utterances", "accuracy", "weighted_f1"])
    result = over_seeds(table, ["coverage"])
    result.insert(1, "utterances", table.groupby("coverage", sort=False)["utterances"].max().to_numpy())
    return result


def _by_seed(predictions: pd.DataFrame, split: str, head: str) -> list[tuple[int, pd.DataFrame]]:
    here = (predictions["split"] == split) & (predictions["head"] == head) & predictions["label"].notna()
    rows = predictions[here]
    return [(int(seed), rows[rows["seed"] == seed]) for seed in sorted(rows["seed"].unique())]


def _arrays(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return rows[class_columns(rows)].to_numpy(), class_codes(rows["label"], class_names(rows))


def _ece(probabilities: np.ndarray, truth: np.ndarray) -> float:
    if np.isnan(probabilities).any():
        return float("nan")
    confidence = probabilities.max(axis=1)
    return calibration_error(probabilities.argmax(axis=1) == truth, confidence, ECE_BINS)


def _nll(probabilities: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.log(np.clip(probabilities[np.arange(len(truth)), truth], TINY, 1)).mean())


def _log_sum(scaled: np.ndarray) -> np.ndarray:
    from scipy.special import logsumexp

    return logsumexp(scaled, axis=1)
