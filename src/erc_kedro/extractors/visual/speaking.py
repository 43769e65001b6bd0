"""In a frame that several people share, the face of the one who speaks: its mouth moves with the voice.

The wider a mouth is open, the darker is its region, and the louder is the voice. A face is the speaker's if
its mouth goes with this voice much better than with other courses of loudness of the same spectrum
(surrogates with random phases: Theiler et al., 1992), and better than every other mouth in view. Where that
cannot be told, nobody's is.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d

from erc_kedro.extractors.base import RATE
from erc_kedro.extractors.media.signals import GLANCES
from erc_kedro.extractors.visual.crops import GRAY, LIPS, align, contrast, cut
from erc_kedro.extractors.visual.detection import Detector
from erc_kedro.extractors.visual.tracking import FaceFollower, Picture, Track, match

# Part of a key: raise it when another face may be taken.
VERSION = 1
# So often a second a voice's loudness is taken, over so many of these steps at a time; by how many a mouth
# may be early or late. So many times it must be seen.
STEPS, SMOOTH, LAGS, LEAST = 50, 5, range(-8, 9, 2), 20
# Seconds whose mean is taken off, so that what changes slowly, such as the light, says nothing.
SLOW_S = 1.5
# Surrogates of a voice.
SURROGATES = 200
# What the speaker's mouth must reach: its correlation with the voice, by how much that is above the next
# mouth's, and by how many of their deviations above the mean of those with surrogates (Fisher's z).
ALIKE, AHEAD, SURE = 0.4, 0.15, 4.0


@dataclass
class _Mouth:
    """What was seen of one face's mouth: how dark its region was, and when, in seconds."""

    times: list[float] = field(default_factory=list)
    dark: list[float] = field(default_factory=list)
    sizes: list[np.ndarray] = field(default_factory=list)
    first: np.ndarray | None = None

    def see(self, gray: np.ndarray, box: np.ndarray, time_s: float) -> None:
        # Boxes differ in size from detection to detection; heads do not.
        self.sizes.append(box[2:])
        size = np.mean(self.sizes, axis=0)
        crop = cut(gray, np.concatenate([box[:2] + box[2:] / 2 - size / 2, size]), GRAY)
        self.first = crop if self.first is None else self.first
        lips = contrast(align(self.first, crop)[0])[LIPS]
        self.times.append(time_s)
        # Skin is the brighter part, whatever the light.
        self.dark.append(float(np.clip(np.percentile(lips, 60) - lips, 0, None).mean()))


class VoiceFollower(FaceFollower):
    """Follows the faces of a shared frame, and takes the one whose mouth moves with the voice."""

    def __init__(self, detector: Detector, color: bool) -> None:
        """As ``FaceFollower``."""
        super().__init__(detector, color)
        self._mouths: dict[Track, _Mouth] = {}
        self._speaking: Track | None = None

    def see(self, picture: Picture) -> None:
        """Looks at the next frame; at the lips alone, if it is a glance."""
        if not picture.glance:
            super().see(picture)
        gray, now = picture.gray, picture.time_s
        for track in self._live:
            box = track.box if track.times[-1] == now else match(gray, track)
            if box is not None:
                self._mouths.setdefault(track, _Mouth()).see(gray, box, now)

    def choose(self, sound: Any) -> str:
        """As ``FaceFollower.choose``."""
        mouths = {track: mouth for track, mouth in self._mouths.items() if track.detected > 1}
        if not mouths:
            # Nobody is seen; that is said elsewhere.
            return ""
        if not isinstance(sound, np.ndarray):
            return "there is no sound to tell the speaker's face by"
        voice = _courses(sound)
        fits = sorted(
            ((*_fit(mouth, voice), track) for track, mouth in mouths.items()), key=lambda fit: -fit[1]
        )
        (alike, sure, best), others = fits[0], [alike for alike, *_ in fits[1:]]
        if sure < SURE or alike < ALIKE:
            return f"no mouth of {len(fits)} faces moves with the voice for certain"
        if max(others, default=-1.0) > alike - AHEAD:
            return f"the mouths of several of {len(fits)} faces move with the voice"
        self._speaking = best
        return ""

    def _speaker(self) -> Track | None:
        return self._speaking or super()._speaker()


def _fit(mouth: _Mouth, voice: np.ndarray) -> tuple[float, float]:
    """How a mouth goes with a voice: their correlation, and how far it is above those with surrogates.

    Args:
        voice: as ``_courses`` gives it.
    """
    if len(mouth.dark) < LEAST:
        return 0.0, 0.0
    places = (np.array(mouth.times) * STEPS).astype(int)
    dark = _quick(np.array(mouth.dark), GLANCES)
    found = np.full(len(voice), -1.0)
    for lag in LAGS:
        there = (places + lag >= 0) & (places + lag < voice.shape[1])
        if there.sum() >= LEAST - 2:
            found = np.maximum(found, _correlations(dark[there], voice[:, (places + lag)[there]]))
    own, *chance = np.arctanh(np.clip(found, -0.999, 0.999))
    return float(found[0]), float((own - np.mean(chance)) / max(np.std(chance), 1e-6))


def _courses(sound: np.ndarray) -> np.ndarray:
    """How loud a voice is at each step, and its surrogates after it [1 + SURROGATES, steps]."""
    step = RATE // STEPS
    steps = np.pad(sound, (0, -len(sound) % step)).reshape(-1, step)
    power = uniform_filter1d(np.mean(steps.astype(np.float64) ** 2, axis=1), SMOOTH)
    # The root of the amplitude: a shout is not ten times as wide open as a murmur. What SciPy sums up may end
    # a little below zero.
    own = _quick(np.maximum(power, 0) ** 0.25, STEPS)
    spectrum = np.fft.rfft(own)
    turns = np.random.default_rng(0).random((SURROGATES, len(spectrum)))
    return np.vstack([own, np.fft.irfft(np.abs(spectrum) * np.exp(2j * np.pi * turns), len(own))])


def _quick(course: np.ndarray, rate: float) -> np.ndarray:
    """A course of so many values a second without what changes slowly."""
    return course - uniform_filter1d(course, round(SLOW_S * rate))


def _correlations(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Of one course [N] with many [M, N]."""
    one, many = one - one.mean(), many - many.mean(1, keepdims=True)
    sizes = np.linalg.norm(one) * np.linalg.norm(many, axis=1)
    return np.asarray(many @ one / np.maximum(sizes, 1e-9))
