"""From the probabilities of several seeds to one, and from a wanted accuracy to a threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erc_kedro.evaluation.calibration import temperature_scaled

# What is decided is right so often where nobody asks otherwise: a package without a project has no
# conf/base, whose score.accuracy this is.
ACCURACY = 0.8
# A threshold that rests on fewer utterances of validation is chance.
_FEWEST = 10


def ensemble(probabilities: np.ndarray, temperatures: Sequence[float]) -> np.ndarray:
    """The mean over seeds of calibrated probabilities: [N, C] of [S, N, C].

    Each seed has a temperature that was fitted on validation; Lakshminarayanan et al. (NeurIPS 2017) average
    members in the same way.
    """
    return np.mean(
        [temperature_scaled(p, by) for p, by in zip(probabilities, temperatures, strict=True)], axis=0
    )


@dataclass(frozen=True)
class Threshold:
    """The confidence from which an emotion is decided.

    Attributes:
        value: None where no threshold reaches the accuracy.
        answered: the share of validation's utterances that are at least so sure.
        accuracy: of these, how many are right.
    """

    value: float | None
    answered: float
    accuracy: float


def threshold(confidence: np.ndarray, correct: np.ndarray, accuracy: float) -> Threshold:
    """The lowest confidence from which validation's utterances are right as often as asked.

    Args:
        confidence: float [N] of validation's utterances; correct: bool [N].
        accuracy: that is wanted of those which are decided.
    """
    order = np.argsort(-confidence, kind="stable")
    confidence, correct = confidence[order], correct[order]
    counts = np.arange(1, len(confidence) + 1)
    reached = correct.cumsum() / counts
    # Utterances of one confidence are decided together.
    last = np.append(np.diff(confidence) != 0, True)[: len(confidence)]
    good = np.flatnonzero(last & (reached >= accuracy) & (counts >= min(_FEWEST, len(counts))))
    if not len(good):
        return Threshold(None, 0.0, float("nan"))
    at = int(good[-1])
    return Threshold(float(confidence[at]), float(counts[at] / len(counts)), float(reached[at]))
