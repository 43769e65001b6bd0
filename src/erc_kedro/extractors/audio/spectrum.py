"""A sound's spectra and what is read off each of them: bands, levels, shape, harmonics."""

from functools import cache

import numpy as np
import scipy.fft

from erc_kedro.extractors.audio import mel
from erc_kedro.extractors.base import RATE

# One spectrum serves pitch and timbre: 40 ms hold the three periods that a voice of 75 Hz needs, and padding
# to 1024 leaves the autocorrelation unwrapped up to the longest lag.
WINDOW, HOP, BINS = 640, 160, 1024
FRAMES_PER_SECOND = RATE / HOP
BANDS = 26
# What stands for nothing at all, beside sounds whose peak is 1.
TINY = 1e-12


def power(sound: np.ndarray) -> np.ndarray:
    """Power spectra [frames, BINS / 2 + 1], one every HOP samples; silence is put before and after."""
    padded = np.pad(sound, (WINDOW - HOP) // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectra = scipy.fft.rfft(frames * window(), BINS, axis=1)
    return spectra.real**2 + spectra.imag**2


@cache
def window() -> np.ndarray:
    """Hann's window [WINDOW], scaled so that a spectrum sums to the sound's mean square."""
    hann = np.hanning(WINDOW + 2)[1:-1]
    return (hann * np.sqrt(2 / BINS / np.square(hann).sum())).astype(np.float32)


@cache
def _hertz() -> np.ndarray:
    return np.fft.rfftfreq(BINS, 1 / RATE).astype(np.float32)


def mel_bands(power: np.ndarray) -> np.ndarray:
    """Spectra [frames, BINS / 2 + 1] summed into mel bands [frames, BANDS]."""
    return power @ _weights()


@cache
def _weights() -> np.ndarray:
    return mel.filters(mel.htk(50, RATE / 2, BANDS), BINS).T


@cache
def _slopes() -> dict[str, tuple[slice, np.ndarray]]:
    """Regressions that give spectral slopes."""
    hertz, slopes = _hertz(), {}
    for name, low, high in (("slope_low", 0, 500), ("slope_high", 500, 1500)):
        where = slice(*np.searchsorted(hertz, (low, high)))
        distance = hertz[where] - hertz[where].mean()
        slopes[name] = (where, (distance / np.square(distance).sum() * 1000).astype(np.float32))
    return slopes


def shapes(power: np.ndarray, bands: np.ndarray) -> dict[str, np.ndarray]:
    """Contours [frames] of a spectrum's shape, each the same at any gain; frequencies in kHz.

    Args:
        bands: of the same spectra, by ``mel_bands``.
    """
    hertz = _hertz()
    power = np.maximum(power, max(1e-10 * power.max(), TINY))
    db = decibels(power)
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
    out["alpha_ratio"] = decibels(power[:, middle:high].sum(1)) - decibels(power[:, low:middle].sum(1))
    out["hammarberg"] = db[:, low:two].max(1) - db[:, two:high].max(1)
    for name, (where, weights) in _slopes().items():
        out[name] = db[:, where] @ weights
    out["flatness"] = db[:, low:].mean(1) - decibels(power[:, low:].mean(1))
    shares = bands / np.maximum(bands.sum(1, keepdims=True), TINY)
    out["entropy"] = -(shares * np.log2(shares + 1e-10)).sum(1)
    return out


def harmonics(power: np.ndarray, pitch_hz: np.ndarray) -> dict[str, np.ndarray]:
    """Voiced frames' first harmonic over the second, and over the strongest near the third formant, in dB."""
    voiced = pitch_hz > 0
    if not voiced.any():
        return {"h1_h2": np.zeros(1), "h1_a3": np.zeros(1)}
    spectra, pitch = power[voiced], pitch_hz[voiced]
    width = RATE / BINS

    def height(frequency: np.ndarray) -> np.ndarray:
        bins = np.rint(frequency / width).astype(int)[:, None] + np.arange(-1, 2)
        return decibels(np.take_along_axis(spectra, bins, 1).max(1))

    third = spectra[:, int(2200 / width) : int(3500 / width)].max(1)
    first = height(pitch)
    # Harmonics that a line keeps from passing would else be as far down as rounding happens to be.
    return {
        "h1_h2": np.clip(first - height(2 * pitch), -40, 40),
        "h1_a3": np.clip(first - decibels(third), -20, 80),
    }


def decibels(power: np.ndarray) -> np.ndarray:
    """Power in dB; nothing at all is 120 dB below 1."""
    return 10 * np.log10(np.maximum(power, TINY))
