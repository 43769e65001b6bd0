"""Statistics of hand-made contours of a voice."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.fft
from scipy.ndimage import correlate1d, median_filter, uniform_filter1d
from scipy.signal import find_peaks

from erc_kedro.extractors import base
from erc_kedro.extractors.audio import pitch, spectrum
from erc_kedro.extractors.audio.spectrum import BANDS, FRAMES_PER_SECOND, TINY, decibels
from erc_kedro.parameters import AudioParameters

# Goes up whenever Functionals answers another vector to the same sound.
REVISION = 1

CEPSTRA = 15
# Semitones count from A0, as eGeMAPS has them. A sound without voice gets a pitch between a man's and a
# woman's, since a zero would lie far outside all others once scaled.
SEMITONE_HZ, NO_PITCH = 27.5, 31.0
# The quietest that counts below a sound's loudest band, in power: what lies lower is quantisation.
FLOOR = 1e-8
MODULATION_HZ = (0.0, 2.0, 4.0, 8.0, 16.0, 50.0)


class Functionals:
    """Statistics of loudness, pitch, voice quality, timbre, rhythm and their dynamics; no weights, no JIT.

    Silent frames do not count. All features but those named ``level_*`` are the same at any gain.

    Attributes:
        names: of a vector's features, [dimension].
    """

    def __init__(self, parameters: AudioParameters) -> None:
        self.names = list(describe(np.random.default_rng(0).normal(size=base.RATE // 4).astype(np.float32)))
        parts = [str(REVISION), *(_minor(name) for name in ("numpy", "scipy"))]
        self.metadata = base.Metadata("functionals", len(self.names), "Apache-2.0", base.fingerprint(*parts))

    def __call__(self, signals: Sequence[np.ndarray]) -> np.ndarray:
        return base.one_by_one(
            signals, lambda signal: list(describe(signal).values()), self.metadata.dimension
        )


def describe(signal: np.ndarray) -> dict[str, float]:
    """A sound's features by name, always the same names and always finite.

    Levels are in dB below a square mean of 1, pitch in semitones above A0, frequencies in kHz, lengths as the
    root of seconds, rates a second; contours' slopes are a frame's, pitch's a second's.
    """
    sound = signal.astype(np.float64) - signal.mean(dtype=np.float64)
    peak = max(float(np.abs(sound).max()), TINY)
    sound = (sound / peak).astype(np.float32)
    power = spectrum.power(sound)
    mel = spectrum.mel_bands(power)
    mel_db = decibels(np.maximum(mel, FLOOR * mel.max()))
    total = mel.sum(1)
    level = decibels(np.maximum(total, FLOOR * total.max()))
    active = _active(level)
    first, last = np.flatnonzero(active)[[0, -1]]
    span = slice(first, last + 1)
    # Outside its first and last active frame a sound is not looked at.
    power, mel, mel_db, level, active = (a[span] for a in (power, mel, mel_db, level, active))
    seconds = len(level) / FRAMES_PER_SECOND
    pitch_hz, harmonicity = pitch.track(power, active)
    voiced = pitch_hz > 0
    # Where nothing is voiced, voiced statistics are those of the active frames.
    sung = voiced if voiced.any() else active

    out: dict[str, float] = {"duration_log": float(np.log(seconds))}
    # As loud as bands are heard, beside the sound's own mean.
    heard = mel**0.3
    heard = heard / max(heard[active].sum(1).mean(), TINY)
    loudness = heard.sum(1)
    out |= _of_level(level, active, 20 * np.log10(peak))
    out |= _of_loudness(loudness, active)
    out |= _of_pitch(pitch_hz, harmonicity, level, active)
    out |= _of_rhythm(level, loudness, active, voiced)
    out |= _of_modulation(mel_db, level, active)

    relative = mel_db - level[:, None]
    out |= _table("mel", relative, active, {"mean": np.mean, "std": np.std})
    out |= _table("mel_delta", _slope(mel_db), active, {"std": np.std})
    # The first cepstrum is the level again.
    mfcc = scipy.fft.dct(mel_db, axis=1, norm="ortho")[:, 1:CEPSTRA]
    out |= _table("mfcc", mfcc, active, {"mean": np.mean, "std": np.std})
    out |= _table("mfcc_voiced", mfcc, sung, {"mean": np.mean, "std": np.std})
    out |= _table("mfcc_delta", _slope(mfcc), active, {"std": np.std})
    out |= _table("mfcc_delta2", _slope(_slope(mfcc)), active, {"std": np.std})

    shapes = spectrum.shapes(power, mel)
    change = np.diff(heard, axis=0, prepend=heard[:1])
    shapes["flux"] = np.sqrt(np.square(change).sum(1))
    rest = active & ~voiced
    rest = rest if rest.any() else active
    kinds: dict[str, Callable[..., Any]] = {
        "mean": np.mean,
        "std": np.std,
        "p20": _percentile(20),
        "p80": _percentile(80),
    }
    for name, contour in shapes.items():
        out |= _table(name, contour, active, kinds)
        out |= _table(f"{name}_voiced", contour, sung, {"mean": np.mean, "std": np.std})
        out |= _table(f"{name}_unvoiced", contour, rest, {"mean": np.mean})
        out |= _table(f"{name}_delta", _slope(contour), active, {"std": np.std})
    for name, contour in spectrum.harmonics(power, pitch_hz).items():
        out |= _table(name, contour, slice(None), {"mean": np.mean, "std": np.std})
    return out


def _active(level: np.ndarray) -> np.ndarray:
    """Frames that are not pauses: near the loud ones, the nearer the less the pauses lie below them."""
    low, high = np.percentile(level, (5, 95))
    # A word in a long silence is less than 5 % of it.
    high = max(high, level.max() - 12)
    return level >= high - np.clip(0.85 * (high - low), 20, 35)


def _of_level(level: np.ndarray, active: np.ndarray, gain: float) -> dict[str, float]:
    at = level[active]
    low, middle, high = np.percentile(at, (10, 50, 90))
    # The recording's gain is in these three alone.
    out = {"level_mean": at.mean() + gain, "level_p90": high + gain, "level_max": at.max() + gain}
    rise = _slope(level)[active]
    return out | {
        "dynamics_std": at.std(),
        "dynamics_range": high - low,
        "dynamics_low": middle - low,
        "dynamics_crest": at.max() - middle,
        "dynamics_delta_std": rise.std(),
        "dynamics_rising": _mean(rise[rise > 0]),
        "dynamics_falling": _mean(rise[rise < 0]),
        "dynamics_trend": _trend(np.flatnonzero(active), at),
    }


def _of_loudness(loudness: np.ndarray, active: np.ndarray) -> dict[str, float]:
    low, middle, high = np.percentile(loudness[active], (20, 50, 80))
    rise = _slope(loudness)[active]
    return {
        "loudness_std": loudness[active].std(),
        "loudness_p20": low,
        "loudness_p50": middle,
        "loudness_p80": high,
        "loudness_delta_std": rise.std(),
        "loudness_rising": _mean(rise[rise > 0]),
        "loudness_rising_std": _std(rise[rise > 0]),
        "loudness_falling": _mean(rise[rise < 0]),
        "loudness_falling_std": _std(rise[rise < 0]),
    }


def _of_pitch(
    pitch_hz: np.ndarray, harmonicity: np.ndarray, level: np.ndarray, active: np.ndarray
) -> dict[str, float]:
    voiced = pitch_hz > 0
    where = np.flatnonzero(voiced)
    semitones = 12 * np.log2(np.where(voiced, pitch_hz, SEMITONE_HZ) / SEMITONE_HZ)
    heard = semitones[voiced] if len(where) else np.array([NO_PITCH])
    p5, p20, p50, p80, p95 = np.percentile(heard, (5, 20, 50, 80, 95))
    # From frame to frame within a voiced stretch.
    joined = voiced[1:] & voiced[:-1]
    step = np.diff(semitones)[joined]
    smooth = median_filter(semitones, 5, mode="nearest") if len(where) else semitones
    slope = _slope(smooth)[voiced & (uniform_filter1d(voiced.astype(float), 5, mode="nearest") > 0.99)]
    slope *= FRAMES_PER_SECOND
    third = max(len(heard) // 3, 1)
    ratio = np.clip(harmonicity, 1e-3, 1 - 1e-3)
    hnr = 10 * np.log10(ratio / (1 - ratio))
    sung = voiced if len(where) else active
    period_step = np.abs(np.expm1(step * np.log(2) / 12))
    return {
        "f0_mean": heard.mean(),
        "f0_std": heard.std(),
        "f0_p5": p5,
        "f0_p20": p20,
        "f0_p50": p50,
        "f0_p80": p80,
        "f0_p95": p95,
        "f0_range_20_80": p80 - p20,
        "f0_range_5_95": p95 - p5,
        "f0_step": np.log1p(100 * _mean(np.abs(step))),
        "f0_rising": _mean(slope[slope > 0]),
        "f0_rising_std": _std(slope[slope > 0]),
        "f0_falling": _mean(slope[slope < 0]),
        "f0_falling_std": _std(slope[slope < 0]),
        "f0_rising_share": _mean((slope > 0).astype(float)),
        "f0_slope_std": _std(slope),
        "f0_trend": _trend(where, heard) if len(where) else 0.0,
        "f0_end": heard[-third:].mean() - heard[:third].mean(),
        # Jitter and shimmer of frames, not of periods.
        "jitter": np.log1p(100 * (np.median(period_step) if len(step) else 0.0)),
        "shimmer": _mean(np.abs(np.diff(level)[joined])),
        "hnr_mean": hnr[sung].mean(),
        "hnr_std": hnr[sung].std(),
        "hnr_p20": np.percentile(hnr[sung], 20),
        "hnr_p80": np.percentile(hnr[sung], 80),
        "hnr_active_mean": hnr[active].mean(),
        "hnr_active_std": hnr[active].std(),
        "f0_with_level": _correlation(semitones[voiced], level[voiced]),
    }


def _of_rhythm(
    level: np.ndarray, loudness: np.ndarray, active: np.ndarray, voiced: np.ndarray
) -> dict[str, float]:
    seconds = len(level) / FRAMES_PER_SECOND
    out = {"voiced_share": voiced[active].mean(), "pause_share": 1 - active.mean()}
    for name, where in (("voiced", voiced), ("unvoiced", ~voiced), ("pause", ~active)):
        lengths = _runs(where) / FRAMES_PER_SECOND
        out[f"{name}_rate"] = len(lengths) / seconds
        out[f"{name}_length_mean"] = np.sqrt(_mean(lengths))
        out[f"{name}_length_std"] = np.sqrt(_std(lengths))
    smooth = uniform_filter1d(loudness, 7, mode="nearest")
    peaks, found = find_peaks(smooth, prominence=0.15)
    gaps = np.diff(peaks) / FRAMES_PER_SECOND
    return out | {
        "syllable_rate": len(peaks) / seconds,
        "syllable_gap_std": _std(gaps),
        "syllable_prominence": _mean(found["prominences"]),
        "syllable_height_std": _std(smooth[peaks]),
    }


def _of_modulation(mel_db: np.ndarray, level: np.ndarray, active: np.ndarray) -> dict[str, float]:
    """How a contour's variance is shared among modulation rates, in dB: of the level, and of eight bands."""
    bounds = np.linspace(0, BANDS, 9).astype(int)
    groups = [mel_db[:, low:high].mean(1) for low, high in pairwise(bounds)]
    contours = np.column_stack([level, *groups])
    # Pauses lie at the foot of what is active, so that the depth of a silence is not a modulation.
    contours = np.maximum(contours, contours[active].min(0))
    contours = contours - contours.mean(0)
    count = max(len(contours), 200)
    energy = np.abs(scipy.fft.rfft(contours, count, axis=0)) ** 2
    rates = np.fft.rfftfreq(count, 1 / FRAMES_PER_SECOND)
    sums = np.stack([energy[(rates >= low) & (rates < high)].sum(0) for low, high in pairwise(MODULATION_HZ)])
    # A contour that does not move has equal shares, not the shares of rounding errors.
    noise = 1e-4 * len(contours)
    shares = 10 * np.log10((sums + noise) / (sums + noise).sum(0))
    labels = ["level", *(f"band{i}" for i in range(len(groups)))]
    return {
        f"modulation_{label}_{int(low)}hz": shares[i, j]
        for j, label in enumerate(labels)
        for i, low in enumerate(MODULATION_HZ[:-1])
    }


def _percentile(percent: int) -> Callable[..., np.ndarray]:
    return lambda values, axis: np.percentile(values, percent, axis=axis)


def _table(
    name: str, contours: np.ndarray, where: Any, kinds: dict[str, Callable[..., Any]]
) -> dict[str, float]:
    """Functionals of one contour [frames] or of several [frames, contours], over some of the frames."""
    chosen = contours[where]
    out = {}
    for kind, function in kinds.items():
        values = function(chosen, axis=0)
        if chosen.ndim == 1:
            out[f"{name}_{kind}"] = values
        else:
            out |= {f"{name}{i}_{kind}": value for i, value in enumerate(values)}
    return out


def _slope(contour: np.ndarray) -> np.ndarray:
    """A contour's slope a frame, by regression over five frames."""
    return correlate1d(contour, np.arange(-2, 3) / 10, axis=0, mode="nearest")


def _trend(where: np.ndarray, values: np.ndarray) -> float:
    """A regression's slope a second, of values at frames."""
    distance = (where - where.mean()) / FRAMES_PER_SECOND
    spread = np.square(distance).sum()
    # Over a fifth of a second a slope means little and may be huge.
    return float(distance @ values / spread) if len(where) > FRAMES_PER_SECOND / 5 else 0.0


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 3:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / (np.sqrt((a @ a) * (b @ b)) + 1e-3))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _std(values: np.ndarray) -> float:
    return float(values.std()) if len(values) else 0.0


def _runs(where: np.ndarray) -> np.ndarray:
    """Lengths of the stretches of truth."""
    edges = np.diff(np.concatenate([[0], where.astype(int), [0]]))
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


def _minor(package: str) -> str:
    return package + ".".join(version(package).split(".")[:2])
