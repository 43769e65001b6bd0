"""Triangular filters on the mel scale, as spectrograms are summed into bands."""

import numpy as np

from erc_kedro.extractors.base import RATE

# Slaney's scale: even steps up to 1 kHz, and from there on 27 to a factor of 6.4.
LINEAR_HZ, KNEE_HZ, LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def htk(low: float, high: float, count: int) -> np.ndarray:
    """Edges of ``count`` bands in Hz, evenly spaced on the scale of O'Shaughnessy (1987), which HTK uses.

    Returns:
        float64 [count + 2]; a band rises from an edge to the next, its middle, and falls to the one after.
    """
    mels = np.linspace(2595 * np.log10(1 + low / 700), 2595 * np.log10(1 + high / 700), count + 2)
    return 700 * (10 ** (mels / 2595) - 1)


def slaney(low: float, high: float, count: int) -> np.ndarray:
    """As ``htk``, on the scale of Slaney's Auditory Toolbox (1998, Interval Research, report 1998-010)."""
    knee = KNEE_HZ / LINEAR_HZ

    def mel(hertz: float) -> float:
        return hertz / LINEAR_HZ if hertz < KNEE_HZ else knee + np.log(hertz / KNEE_HZ) / LOG_STEP

    mels = np.linspace(mel(low), mel(high), count + 2)
    return np.where(mels < knee, LINEAR_HZ * mels, KNEE_HZ * np.exp(LOG_STEP * (mels - knee)))


def filters(edges: np.ndarray, fft: int) -> np.ndarray:
    """Weights of a spectrum's bins in each band, triangles of height 1: float32 [bands, fft // 2 + 1]."""
    hertz = np.fft.rfftfreq(fft, 1 / RATE)
    widths = np.diff(edges)[:, None]
    rising = (hertz - edges[:-2, None]) / widths[:-1]
    falling = (edges[2:, None] - hertz) / widths[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def of_equal_area(weights: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Filters scaled to an area of 1 Hz, as Slaney has them, so that white noise is as strong in all."""
    return (weights * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
