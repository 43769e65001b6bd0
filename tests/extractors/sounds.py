"""Sounds whose pitch, rate and colour are known, and odd ones."""

import numpy as np

from erc_kedro.extractors.base import RATE


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(size=int(seconds * RATE)).astype(np.float32) * 0.1


def voice(
    pitch=150.0, seconds=1.6, syllables=4.0, tilt=1.0, glide=0.0, vibrato=0.0, breath=0.0, gain=0.1, seed=0
):
    """Harmonics of a pitch in syllables: ``glide`` in octaves a second, ``tilt`` as the harmonics' decay."""
    time = np.arange(int(seconds * RATE)) / RATE
    frequency = pitch * 2 ** (glide * time + vibrato * np.sin(2 * np.pi * 5 * time))
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    top = int(7000 / frequency.max())
    sound = sum(np.sin(k * phase) / k**tilt for k in range(1, top + 1))
    sound = sound + breath * np.random.default_rng(seed).normal(size=len(time))
    if syllables:
        sound = sound * (0.55 - 0.45 * np.cos(2 * np.pi * syllables * time))
    return (gain * sound).astype(np.float32)


ODD = {
    "50 ms of noise": noise(0.05),
    "50 ms of voice": voice(seconds=0.05),
    "pure tone": np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32),
    "clipped noise": np.sign(noise(0.5)),
    "constant": np.full(RATE // 2, 0.3, np.float32),
    "huge": noise(0.3) * 3e5,
    "faint": noise(0.3) * 1e-20,
    "click": np.eye(1, RATE, RATE // 3, dtype=np.float32)[0],
    "silence, then voice": np.concatenate([np.zeros(RATE, np.float32), voice(seconds=0.3)]),
    "voice on an offset": voice() + 5,
}


def alone(extractor, sounds):
    return np.vstack([extractor([sound]) for sound in sounds])
