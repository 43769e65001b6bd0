"""Voices to vectors: functionals of hand-made contours, openSMILE's sets, pretrained speech transformers."""

import json
import logging
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.fft
from scipy.ndimage import correlate1d, median_filter, uniform_filter1d
from scipy.signal import find_peaks

from erc_kedro.extractors import base
from erc_kedro.parameters import AudioParameters

logger = logging.getLogger(__name__)

# Goes up whenever LibrosaFunctionals answers another vector to the same sound.
REVISION = 1

# One spectrum serves pitch and timbre: 40 ms hold the three periods that a voice of 75 Hz needs, and padding
# to 1024 leaves the autocorrelation unwrapped up to the longest lag.
WINDOW, HOP, BINS = 640, 160, 1024
FRAMES_PER_SECOND = base.RATE / HOP
BANDS, CEPSTRA = 26, 15
PITCH_HZ = (60.0, 600.0)
# Semitones count from A0, as eGeMAPS has them. A sound without voice gets a pitch between a man's and a
# woman's, since a zero would lie far outside all others once scaled.
SEMITONE_HZ, NO_PITCH = 27.5, 31.0
# The quietest that counts below a sound's loudest band, in power: what lies lower is quantisation.
FLOOR = 1e-8
# What stands for nothing at all, beside sounds whose peak is 1.
TINY = 1e-12
MODULATION_HZ = (0.0, 2.0, 4.0, 8.0, 16.0, 50.0)


class LibrosaFunctionals:
    """Statistics of loudness, pitch, voice quality, timbre, rhythm and their dynamics; no weights, no JIT.

    Silent frames do not count. All numbers but those named ``level_*`` are the same at any gain.

    Attributes:
        names: of a vector's numbers, [dimension].
    """

    def __init__(self, parameters: AudioParameters) -> None:
        self.names = list(describe(np.random.default_rng(0).normal(size=base.RATE // 4).astype(np.float32)))
        parts = [str(REVISION), *(_minor(name) for name in ("librosa", "numpy", "scipy"))]
        self.card = base.Card("librosa functionals", len(self.names), "ISC", base.fingerprint(*parts))

    def __call__(self, signals: Sequence[np.ndarray]) -> np.ndarray:
        return _rows(signals, lambda signal: list(describe(signal).values()), self.card.dimension)


def describe(signal: np.ndarray) -> dict[str, float]:
    """A sound's numbers by name, always the same names and always finite.

    Levels are in dB below a square mean of 1, pitch in semitones above A0, frequencies in kHz, lengths as the
    root of seconds, rates a second; contours' slopes are a frame's, pitch's a second's.
    """
    sound = signal.astype(np.float64) - signal.mean(dtype=np.float64)
    peak = max(float(np.abs(sound).max()), TINY)
    sound = (sound / peak).astype(np.float32)
    power = _power(sound)
    hertz, mel_weights, slopes = _constants()

    mel = power @ mel_weights
    mel_db = _db(np.maximum(mel, FLOOR * mel.max()))
    total = mel.sum(1)
    level = _db(np.maximum(total, FLOOR * total.max()))
    active = _active(level)
    first, last = np.flatnonzero(active)[[0, -1]]
    span = slice(first, last + 1)
    # Outside its first and last active frame a sound is not looked at.
    power, mel, mel_db, level, active = (a[span] for a in (power, mel, mel_db, level, active))
    seconds = len(level) / FRAMES_PER_SECOND
    pitch_hz, harmonicity = _pitch(power, active)
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

    shapes = _shapes(power, mel, hertz, slopes)
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
    for name, contour in _harmonics(power, pitch_hz).items():
        out |= _table(name, contour, slice(None), {"mean": np.mean, "std": np.std})
    return out


def _power(sound: np.ndarray) -> np.ndarray:
    """Power spectra [frames, BINS / 2 + 1], one every HOP samples; silence is put before and after."""
    padded = np.pad(sound, (WINDOW - HOP) // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectra = scipy.fft.rfft(frames * _window(), BINS, axis=1)
    return spectra.real**2 + spectra.imag**2


@cache
def _window() -> np.ndarray:
    window = np.hanning(WINDOW + 2)[1:-1]
    # So that a spectrum sums to the sound's mean square.
    return (window * np.sqrt(2 / BINS / np.square(window).sum())).astype(np.float32)


@cache
def _constants() -> tuple[np.ndarray, np.ndarray, dict[str, tuple[slice, np.ndarray]]]:
    """Bins' frequencies; mel bands as weights [bins, BANDS]; regressions that give spectral slopes."""
    from librosa.filters import mel

    hertz = np.fft.rfftfreq(BINS, 1 / base.RATE).astype(np.float32)
    weights = mel(sr=base.RATE, n_fft=BINS, n_mels=BANDS, fmin=50, fmax=base.RATE / 2, htk=True, norm=None)
    slopes = {}
    for name, low, high in (("slope_low", 0, 500), ("slope_high", 500, 1500)):
        where = slice(*np.searchsorted(hertz, (low, high)))
        distance = hertz[where] - hertz[where].mean()
        slopes[name] = (where, (distance / np.square(distance).sum() * 1000).astype(np.float32))
    return hertz, weights.T.astype(np.float32), slopes


def _active(level: np.ndarray) -> np.ndarray:
    """Frames that are not pauses: near the loud ones, the nearer the less the pauses lie below them."""
    low, high = np.percentile(level, (5, 95))
    # A word in a long silence is less than 5 % of it.
    high = max(high, level.max() - 12)
    return level >= high - np.clip(0.85 * (high - low), 20, 35)


# A path's costs, after Boersma (1993): an octave's distance from the highest pitch, a jump by an octave
# between frames, and to begin or end voicing; and the autocorrelation from which a frame may be voiced.
OCTAVE, JUMP, SWITCH, VOICED = 0.01, 0.8, 0.25, 0.5
CANDIDATES = 6
# Lags a sample: a bright high voice has peaks so narrow that one between two lags would lose to that of a
# subharmonic, if it falls upon a lag.
FINE = 2


def _pitch(power: np.ndarray, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch in Hz, zero where unvoiced, and the autocorrelation's height at it, in 0 to 1; both [frames].

    The best path through the peaks of each frame's autocorrelation, divided by the window's own (Boersma
    1993), which undoes the taper.
    """
    rate = FINE * base.RATE
    raw = scipy.fft.irfft(power, FINE * BINS, axis=1)
    window = scipy.fft.irfft(np.abs(scipy.fft.rfft(_window(), BINS)) ** 2, FINE * BINS)
    lags = np.arange(int(rate / PITCH_HZ[1]) - 1, int(rate / PITCH_HZ[0]) + 2)
    r = raw[:, lags] / np.maximum(raw[:, :1], TINY) / (window[lags] / window[0])

    middle, before, after = r[:, 1:-1], r[:, :-2], r[:, 2:]
    is_peak = (middle > before) & (middle >= after)
    bend = np.where(is_peak, before - 2 * middle + after, 1)
    shift = np.where(is_peak & (bend < 0), 0.5 * (before - after) / np.where(bend < 0, bend, 1), 0)
    height = np.where(is_peak, np.minimum(middle - 0.25 * (before - after) * shift, 1), -1)
    score = height - OCTAVE * np.log2(PITCH_HZ[0] * lags[1:-1] / rate)
    best = np.argpartition(-score, CANDIDATES, axis=1)[:, :CANDIDATES]
    frequency = rate / (lags[1:-1][best] + np.take_along_axis(shift, best, 1))
    strength = np.take_along_axis(score, best, 1)
    strength[~active] = -1

    # The last state is "unvoiced".
    local = np.column_stack([strength, np.full(len(r), VOICED)])
    octaves = np.column_stack([np.log2(frequency), np.full(len(r), np.nan)])
    cost = JUMP * np.abs(octaves[1:, :, None] - octaves[:-1, None, :])
    cost = np.where(np.isnan(cost), SWITCH, cost)
    cost[:, -1, -1] = 0
    total, back = local[0], []
    for gain, price in zip(local[1:], cost, strict=True):
        arrivals = total - price
        source = arrivals.argmax(1)
        back.append(source)
        total = gain + arrivals[np.arange(len(source)), source]
    state = int(total.argmax())
    path = [state]
    for source in reversed(back):
        state = int(source[state])
        path.append(state)
    chosen = np.array(path[::-1])
    voiced = (chosen < CANDIDATES) & (local[np.arange(len(r)), chosen] > 0)
    which = np.minimum(chosen, CANDIDATES - 1)[:, None]
    pitch = np.where(voiced, np.take_along_axis(frequency, which, 1)[:, 0], 0)
    heights = np.take_along_axis(height, np.take_along_axis(best, which, 1), 1)[:, 0]
    return pitch, np.where(voiced, heights, np.maximum(height.max(1), 0)).clip(0, 1)


def _of_level(level: np.ndarray, active: np.ndarray, gain: float) -> dict[str, float]:
    at = level[active]
    low, middle, high = np.percentile(at, (10, 50, 90))
    # Only where sound is, and how strong it is there, tells of the recording's gain.
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


def _shapes(
    power: np.ndarray, mel: np.ndarray, hertz: np.ndarray, slopes: dict[str, tuple[slice, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Contours [frames] of a spectrum's shape, each the same at any gain; frequencies in kHz."""
    power = np.maximum(power, max(1e-10 * power.max(), TINY))
    decibels = _db(power)
    khz = hertz / 1000
    share = power / power.sum(1, keepdims=True)
    centroid = share @ khz
    width = np.sqrt(np.maximum(share @ khz**2 - centroid**2, 0))
    running = share.cumsum(1)
    out = {"centroid": centroid, "width": width}
    for percent in (25, 50, 75, 90):
        out[f"rolloff{percent}"] = khz[np.minimum((running < percent / 100).sum(1), len(khz) - 1)]
    low, middle, high = np.searchsorted(hertz, (50, 1000, 5000))
    two = np.searchsorted(hertz, 2000)
    out["alpha_ratio"] = _db(power[:, middle:high].sum(1)) - _db(power[:, low:middle].sum(1))
    out["hammarberg"] = decibels[:, low:two].max(1) - decibels[:, two:high].max(1)
    for name, (where, weights) in slopes.items():
        out[name] = decibels[:, where] @ weights
    out["flatness"] = decibels[:, low:].mean(1) - _db(power[:, low:].mean(1))
    bands = mel / np.maximum(mel.sum(1, keepdims=True), TINY)
    out["entropy"] = -(bands * np.log2(bands + 1e-10)).sum(1)
    return out


def _harmonics(power: np.ndarray, pitch_hz: np.ndarray) -> dict[str, np.ndarray]:
    """Voiced frames' first harmonic over the second, and over the strongest near the third formant, in dB."""
    voiced = pitch_hz > 0
    if not voiced.any():
        return {"h1_h2": np.zeros(1), "h1_a3": np.zeros(1)}
    spectra, pitch = power[voiced], pitch_hz[voiced]
    width = base.RATE / BINS

    def height(frequency: np.ndarray) -> np.ndarray:
        bins = np.rint(frequency / width).astype(int)[:, None] + np.arange(-1, 2)
        return _db(np.take_along_axis(spectra, bins, 1).max(1))

    third = spectra[:, int(2200 / width) : int(3500 / width)].max(1)
    first = height(pitch)
    # Harmonics that a line keeps from passing would else be as far down as rounding happens to be.
    return {
        "h1_h2": np.clip(first - height(2 * pitch), -40, 40),
        "h1_a3": np.clip(first - _db(third), -20, 80),
    }


def _db(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, TINY))


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


class _Smile:
    """openSMILE's functionals; undefined ones are zero.

    Sounds shorter than 60 ms, of which openSMILE says nothing, are mirrored at their end up to that. What
    goes beyond -1 or 1 is clipped.
    """

    shortest = 960
    feature_set: str

    def __init__(self, parameters: AudioParameters) -> None:
        try:
            import opensmile
        except ImportError as error:
            raise ValueError(
                f"features.audio.extractor: {parameters.extractor} needs openSMILE; "
                'pip install -e ".[opensmile]"'
            ) from error
        self._smile = opensmile.Smile(
            opensmile.FeatureSet[self.feature_set], opensmile.FeatureLevel.Functionals, num_workers=1
        )
        licence = "openSMILE's: private, research and educational use only"
        logger.warning("%s: the licence of openSMILE allows research use only.", parameters.extractor)
        parts = [self.feature_set, version("opensmile"), str(self.shortest)]
        self.card = base.Card(
            f"openSMILE {self.feature_set}", self._smile.num_features, licence, base.fingerprint(*parts)
        )

    def __call__(self, signals: Sequence[np.ndarray]) -> np.ndarray:
        return _rows(signals, self._one, self.card.dimension)

    def _one(self, signal: np.ndarray) -> np.ndarray:
        missing = max(self.shortest - len(signal), 0)
        # The package casts to 16 bits, in which a sample of 1 would come out as -1.
        clipped = np.clip(signal, -1, 1 - 2**-15)
        padded = np.pad(clipped, (0, missing), mode="reflect")
        return np.nan_to_num(self._smile.process_signal(padded, base.RATE).to_numpy()[0])


class Egemaps(_Smile):
    """The 88 functionals of eGeMAPS v02."""

    feature_set = "eGeMAPSv02"


class Compare(_Smile):
    """The 6373 functionals of ComParE 2016."""

    feature_set = "ComParE_2016"


class SpeechTransformer:
    """A wav2vec2, HuBERT or WavLM: its layers' mean, then mean and standard deviation over time."""

    def __init__(self, parameters: AudioParameters) -> None:
        from transformers import AutoFeatureExtractor, AutoModel

        from erc_kedro.extractors import hub

        name = str(parameters.model)
        kinds = (AutoFeatureExtractor.from_pretrained, hub.model(AutoModel))
        (self._prepare, self._model), weights, licence = hub.load(name, kinds, "features.audio.model")
        config = self._model.config
        if not hasattr(config, "conv_stride"):
            raise ValueError(f"features.audio.model: {name!r} is no wav2vec2, HuBERT or WavLM")
        if self._prepare.sampling_rate != base.RATE:
            raise ValueError(
                f"features.audio.model: {name!r} hears {self._prepare.sampling_rate} samples a second; "
                f"only {base.RATE} are given"
            )
        self._layers = {"last": slice(-1, None), "last_four": slice(-4, None), "all": slice(None)}[
            parameters.layers
        ]
        # What one step of the convolutions sees; less would be an error of theirs.
        self._shortest = 1
        for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1], strict=True):
            self._shortest = (self._shortest - 1) * stride + kernel
        settings = json.dumps(self._prepare.to_dict(), sort_keys=True, default=str)
        parts = [
            weights,
            settings,
            "mean, deviation",
            parameters.layers,
        ]
        self.card = base.Card(name, 2 * config.hidden_size, licence, base.fingerprint(*parts))

    def __call__(self, signals: Sequence[np.ndarray]) -> np.ndarray:
        # One at a time: padding to a batch's longest would enter the group norm over time that the base
        # models have, so that a vector would depend on its neighbours.
        return _rows(signals, self._one, self.card.dimension)

    def _one(self, signal: np.ndarray) -> np.ndarray:
        import torch

        heard = self._prepare(signal, sampling_rate=base.RATE, return_tensors="pt").input_values
        # A sound below the model's shortest ends in zeros, as silence does.
        heard = torch.nn.functional.pad(heard, (0, max(self._shortest - heard.shape[1], 0)))
        with torch.inference_mode():
            states = self._model(heard.to(self._model.device), output_hidden_states=True).hidden_states
            mixed = torch.stack(states[self._layers]).mean(0)[0]
            return torch.cat([mixed.mean(0), mixed.std(0, correction=0)]).cpu().numpy()


def _rows(signals: Sequence[np.ndarray], one: Callable[[np.ndarray], Any], dimension: int) -> np.ndarray:
    out = np.empty((len(signals), dimension), np.float32)
    for row, signal in zip(out, signals, strict=True):
        row[:] = one(signal)
    return out


def _minor(package: str) -> str:
    return package + ".".join(version(package).split(".")[:2])
