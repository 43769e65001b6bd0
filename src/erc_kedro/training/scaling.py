"""Features brought to one scale: by training's mean and deviation, or by a speaker's own."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Utterances from which a speaker's own statistics are believed.
_ENOUGH = 5
# How many utterances training's statistics count for beside a speaker's past.
_PRIOR = 30
# A feature whose deviation is a smaller share of its size than this is constant but for float32's rounding.
_ROUNDING = 2 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Statistics:
    """Of one modality's training features: what a trained model scales new ones by.

    Attributes:
        mean, deviation: float64 [D]; the deviation of a feature that only rounding moves is infinite.
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> "Statistics":
        """Those of some utterances' features [N, D]."""
        mean, deviation = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
        # Relative, since features may be as small as they like.
        return cls(mean, np.where(deviation > _ROUNDING * np.abs(x).max(0), deviation, np.inf))

    def standardised(self, x: np.ndarray) -> np.ndarray:
        """Features [N, D] in deviations from the mean, float32."""
        # Far outliers (a clipped clip, a failed tracker) are pulled in, not believed.
        return np.clip((x - self.mean) / self.deviation, -10, 10).astype(np.float32)


def scaled(
    x: np.ndarray,
    present: np.ndarray,
    known: Statistics | None,
    groups: Mapping[str, np.ndarray],
    how: str,
) -> np.ndarray:
    """One modality's features on the scale that a model reads.

    Args:
        x: float32 [N, D]; present: bool [N]; absent ones become zeros.
        known: of training's utterances, or None where none of these has the modality.
        groups: for ``speaker`` and ``speaker_past``, which utterances are one speaker's: integers [N].
        how: as ``assemble`` has it.
    """
    if how == "none" or not present.any():
        return x
    result = np.zeros_like(x)
    training = known or Statistics(np.zeros(x.shape[1]), np.ones(x.shape[1]))
    if how == "train":
        result[present] = training.standardised(x[present])
        return result
    group = groups[how]
    for name in np.unique(group[present]):
        rows = present & (group == name)
        own = x[rows]
        if how == "speaker_past":
            result[rows] = _running(own, training).standardised(own)
        # Too few utterances say nothing of a speaker's range; the training statistics stand in.
        elif len(own) < _ENOUGH and known is not None:
            result[rows] = training.standardised(own)
        else:
            of_speaker = Statistics.of(own)
            # What training holds constant no weight has learned to read, however this speaker varies it.
            deviation = np.where(np.isfinite(training.deviation), of_speaker.deviation, np.inf)
            result[rows] = Statistics(of_speaker.mean, deviation).standardised(own)
    return result


def _running(x: np.ndarray, training: Statistics) -> Statistics:
    """Statistics [N, D] of one speaker's utterances x [N, D] up to and with each.

    They are those of the utterances so far and of ``_PRIOR`` more that have training's mean and deviation.
    """
    away = x.astype(np.float64) - training.mean
    weight = _PRIOR + np.arange(1, len(x) + 1)[:, None]
    shift = away.cumsum(0) / weight
    variance = (_PRIOR * np.square(training.deviation) + np.square(away).cumsum(0)) / weight - np.square(
        shift
    )
    return Statistics(training.mean + shift, np.sqrt(np.maximum(variance, 0)))
