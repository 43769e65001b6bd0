"""A voice's pitch, frame by frame."""

import numpy as np
import scipy.fft

from erc_kedro.extractors.audio.spectrum import BINS, TINY, window
from erc_kedro.extractors.base import RATE

PITCH_HZ = (60.0, 600.0)
# A path's costs, after Boersma (1993): an octave's distance from the highest pitch, a jump by an octave
# between frames, and to begin or end voicing; and the autocorrelation from which a frame may be voiced.
OCTAVE, JUMP, SWITCH, VOICED = 0.01, 0.8, 0.25, 0.5
CANDIDATES = 6
# Lags a sample: a bright high voice has peaks so narrow that one between two lags would lose to that of a
# subharmonic, if it falls upon a lag.
FINE = 2


def track(power: np.ndarray, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch in Hz, zero where unvoiced, and the autocorrelation's height at it, in 0 to 1; both [frames].

    The best path through the peaks of each frame's autocorrelation, divided by the window's own (Boersma
    1993), which undoes the taper.
    """
    rate = FINE * RATE
    raw = scipy.fft.irfft(power, FINE * BINS, axis=1)
    taper = scipy.fft.irfft(np.abs(scipy.fft.rfft(window(), BINS)) ** 2, FINE * BINS)
    lags = np.arange(int(rate / PITCH_HZ[1]) - 1, int(rate / PITCH_HZ[0]) + 2)
    r = raw[:, lags] / np.maximum(raw[:, :1], TINY) / (taper[lags] / taper[0])

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
