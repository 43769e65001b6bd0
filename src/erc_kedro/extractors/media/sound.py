"""Decoded sound of any shape to one channel."""

import itertools
import math
from collections.abc import Iterable, Sequence

import av
import numpy as np

from erc_kedro.extractors.base import RATE, Sound
from erc_kedro.extractors.media.containers import said
from erc_kedro.extractors.media.signals import Side, Unusable

# A channel with so much less energy than the loudest has nothing of what was said in it (-40 dB).
DEAD = 1e-4
# The mean of channels with less of the loudest one's energy than this has lost what was said (-9 dB).
CANCELLED = 0.125
# Rates that sounds have, in samples a second; of others a few bytes would become hours.
RATES = (1000, 1_000_000)


def joined(frames: Sequence[av.AudioFrame], channel: Side | None = None) -> tuple[Sound, list[str]]:
    """Consecutive frames as one sound, and what was left out of it and why.

    Args:
        channel: the one of two that is wanted; None for all, as ``mono`` joins them.

    Raises:
        Unusable: no sound has such a rate, FFmpeg cannot convert it, or there are not two channels to choose
            from.
    """

    def one(channels: np.ndarray) -> tuple[np.ndarray, str]:
        return mono(channels) if channel is None else (_chosen(channels, channel), "")

    for rate in {frame.sample_rate for frame in frames}:
        if not RATES[0] <= rate <= RATES[1]:
            raise Unusable("unreadable", f"a sound of {rate:,} samples a second")
    # Where the number of channels or the rate changes, another sound begins.
    alike = itertools.groupby(frames, _shape)
    try:
        parts, remarks = zip(*(one(_resampled(part)) for _, part in alike), strict=True)
    except av.FFmpegError as error:
        raise Unusable("unreadable", said(error)) from error
    return np.concatenate(parts), list(dict.fromkeys(filter(None, remarks)))


def mono(channels: np.ndarray) -> tuple[np.ndarray, str]:
    """One sound of several channels: their mean, but for those in which there is nothing.

    Where the mean has lost what was said, as that of two channels of opposite phase has, it is the loudest
    channel. Only these samples decide it, so that no other utterance of the file matters.

    Args:
        channels: float32 [channels, samples].

    Returns:
        the sound [samples]; what was left out and why, "" if nothing was.
    """
    count = len(channels)
    energy = np.array([_energy(channel) for channel in channels])
    if not energy.any():
        return channels.mean(0), ""
    loudest = int(energy.argmax())
    heard = energy > DEAD * energy[loudest]
    # The plain mean: FFmpeg's own mix is louder than the same sound in mono.
    mean = channels[heard].mean(0)
    if _energy(mean) < CANCELLED * energy[loudest]:
        return channels[loudest], f"channel {loudest + 1} of {count} alone: the channels cancel each other"
    left = count - int(heard.sum())
    return mean, f"without {left} of {count} channels: nothing is in them" if left else ""


def _chosen(channels: np.ndarray, channel: Side) -> np.ndarray:
    if len(channels) != 2:
        raise Unusable(
            "no_channel", f"of two channels the {channel} one is wanted, and the sound has {len(channels)}"
        )
    return np.asarray(channels[("left", "right").index(channel)])


def _energy(sound: np.ndarray) -> float:
    """How strong a sound is; 0 for one that is not all numbers.

    Of its changes from sample to sample, so that neither a constant nor hum nor rumble passes for speech.
    """
    with np.errstate(invalid="ignore"):
        change = np.diff(sound.astype(np.float64))
        energy = float(change @ change)
    return energy if math.isfinite(energy) else 0.0


def _shape(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _resampled(frames: Iterable[av.AudioFrame]) -> np.ndarray:
    """Frames of one shape, at ``RATE``, float32 [channels, samples]."""
    # Not a plane a channel: of eight or more, PyAV takes what lies behind their list for planes, too.
    resampler = av.AudioResampler(format="flt", rate=RATE)
    parts: list[av.AudioFrame] = []
    for frame in frames:
        # The resampler would fill what lies between two spans with silence.
        frame.pts = None
        parts += resampler.resample(frame)
    parts += resampler.resample(None)
    samples = np.concatenate([part.to_ndarray().reshape(part.samples, -1) for part in parts])
    return np.ascontiguousarray(samples.T)
