"""A voice by formant synthesis: glottal pulses and noise through the resonances of a vocal tract."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, lfilter, sosfilt

# Samples a second.
RATE = 16_000

# The first three resonances of an adult's vowels in Hz, by the letter that a word has first.
_VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (300, 2250, 3000),
    "o": (570, 840, 2410),
    "u": (320, 900, 2240),
}
_FRICATIVES = "sfhczvx"
_STOPS = "ptkbdgqj"
_SHORTEST_S, _LONGEST_S = 1.0, 3.0
# Silence before the first and after the last word.
_EDGE_S = 0.08


@dataclass(frozen=True)
class Voice:
    """Whose voice it is: its usual pitch in Hz, and its resonances as a multiple of an adult man's."""

    pitch: float
    tract: float


@dataclass(frozen=True)
class Delivery:
    """How something is said, as differences from the speaker's usual voice.

    Attributes:
        pitch: semitones above the usual pitch.
        range: standard deviation of accents in semitones.
        slope: semitones gained from the first to the last word.
        level: dB louder than usual.
        rate: words a second.
        breath: noise in the voice; 0 is none, 1 a whisper.
        tension: the spectrum's tilt; -1 is soft, 1 pressed.
        tremor: depth of a 6 Hz trembling in semitones.
        smile: resonances raised by spread lips; -1 is lowered by rounded ones.
        creak: irregularity of the pulses, 0 to 1.
    """

    pitch: float = 0.0
    range: float = 1.2
    slope: float = -1.0
    level: float = 0.0
    rate: float = 5.0
    breath: float = 0.1
    tension: float = 0.0
    tremor: float = 0.0
    smile: float = 0.0
    creak: float = 0.0


def speak(rng: np.random.Generator, voice: Voice, delivery: Delivery, words: Sequence[str]) -> np.ndarray:
    """Says a syllable for each word.

    Args:
        rng: of the timing, the accents and the noise.
        voice: whose.
        delivery: how.
        words: a comma at a word's end makes a pause.

    Returns:
        1 to 3 seconds of float32 at ``RATE``, below 1 in size.
    """
    pauses = np.array([0.6 if word.endswith(",") else 0.0 for word in words])
    lengths = rng.uniform(0.8, 1.2, len(words))
    span = (lengths.sum() + pauses.sum()) / max(delivery.rate, 1.0)
    span = float(np.clip(span, _SHORTEST_S - 2 * _EDGE_S, _LONGEST_S - 2 * _EDGE_S))
    scale = span / (lengths.sum() + pauses.sum())
    starts = _EDGE_S + scale * (np.cumsum(lengths + pauses) - lengths - pauses)
    ends = starts + scale * lengths
    samples = round(RATE * (span + 2 * _EDGE_S))

    pitch = voice.pitch * 2 ** (_contour(rng, delivery, (starts + ends) / 2, samples) / 12)
    source = _source(rng, pitch, delivery)
    weights = {vowel: np.zeros(samples) for vowel in _VOWELS}
    voiced, hissed = np.zeros(samples), np.zeros(samples)
    for word, start, end in zip(words, starts, ends, strict=True):
        letters = [letter for letter in word.lower() if letter.isalpha()] or ["a"]
        onset = start + (end - start) * 0.28
        first, middle, last = (round(RATE * time) for time in (start, onset, end))
        vowel = next((letter for letter in letters if letter in _VOWELS), "i")
        weights[vowel][first:last] = 1
        voiced[middle:last] = 1
        if letters[0] in _FRICATIVES:
            hissed[first:middle] = 0.35
        elif letters[0] in _STOPS:
            hissed[middle - round(0.02 * RATE) : middle] = 0.6
        else:
            voiced[first:middle] = 0.4
    sound = np.zeros(samples)
    for vowel, weight in weights.items():
        if weight.any():
            smooth = uniform_filter1d(weight, round(0.05 * RATE))
            sound += smooth * sosfilt(_tract(_VOWELS[vowel], voice.tract, delivery.smile), source)
    sound *= uniform_filter1d(voiced, round(0.03 * RATE))
    sound /= np.sqrt(np.mean(sound[voiced > 0.9] ** 2))
    high = sosfilt(butter(2, (2500, 7000), "bandpass", fs=RATE, output="sos"), rng.normal(size=samples))
    sound += uniform_filter1d(hissed, round(0.01 * RATE)) * high
    sound *= 0.06 * 10 ** (delivery.level / 20)
    # No room is silent.
    sound += 0.0004 * rng.normal(size=samples)
    return np.tanh(sound).astype(np.float32)


def _contour(rng: np.random.Generator, delivery: Delivery, middles: np.ndarray, samples: int) -> np.ndarray:
    """Semitones above the usual pitch at each sample."""
    time = np.arange(samples) / RATE
    # Accents alternate, as stressed and unstressed words do.
    accents = np.where(np.arange(len(middles)) % 2, -1.0, 1.0) + rng.normal(0, 0.4, len(middles))
    course = delivery.pitch + delivery.range * np.interp(time, middles, accents)
    course += delivery.slope * (time / time[-1] - 0.5)
    course += delivery.tremor * np.sin(2 * np.pi * 6 * time + rng.uniform(0, 2 * np.pi))
    steps = rng.normal(0, 1, samples // 80 + 2)
    return course + delivery.creak * 1.5 * np.interp(np.arange(samples), 80 * np.arange(len(steps)), steps)


def _source(rng: np.random.Generator, pitch: np.ndarray, delivery: Delivery) -> np.ndarray:
    """The flow's derivative at the glottis: Rosenberg's pulse, tilted, with breath."""
    phase = np.cumsum(pitch) / RATE
    part = phase % 1
    opening, closing = 0.45, 0.15
    flow = np.where(part < opening, 0.5 - 0.5 * np.cos(np.pi * part / opening), 0.0)
    falling = (part >= opening) & (part < opening + closing)
    flow[falling] = np.cos(np.pi / 2 * (part[falling] - opening) / closing)
    pulses = np.diff(flow, prepend=0)
    # Every second pulse is weaker in a creaky voice.
    pulses *= 1 - 0.6 * delivery.creak * (np.floor(phase) % 2)
    pulses /= pulses.std()
    breath = float(np.clip(delivery.breath, 0, 1))
    mixed = (1 - breath) * pulses + breath * 0.6 * rng.normal(size=len(pulses))
    pole = float(np.clip(0.55 - 0.4 * delivery.tension, 0, 0.95))
    return np.asarray(lfilter([1 - pole], [1, -pole], mixed))


def _tract(resonances: Sequence[float], size: float, smile: float) -> np.ndarray:
    """Second-order sections of the resonances in a row, each of gain 1 at 0 Hz."""
    sections = []
    for number, (centre, width) in enumerate(zip((*resonances, 3500), (80, 100, 140, 200), strict=True)):
        spread = 1 + (0.1 if number else 0.04) * smile
        radius = np.exp(-np.pi * width / RATE)
        angle = 2 * np.pi * centre * size * spread / RATE
        poles = (1.0, -2 * radius * np.cos(angle), radius**2)
        sections.append((sum(poles), 0.0, 0.0, *poles))
    return np.array(sections)
