"""A speaker's face, followed through an utterance's sampled frames."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import cv2
import numpy as np

from erc_kedro.extractors.base import FaceTrack
from erc_kedro.extractors.visual.crops import (
    COLOR,
    GRAY,
    MARGIN,
    MOUTH,
    UPPER,
    align,
    contrast,
    cut,
    resize,
)
from erc_kedro.extractors.visual.detection import Detector

# The longest side, in pixels, to which a frame is shrunk for the first look and, if that finds nothing, for
# the second; the second one costs four times as much.
LOOKS = (320, 640)
# A face's side, in pixels, when it is looked for near where it was.
FACE = 40
# Sampled frames from one search of the whole frame to the next while a face is followed, while none is, and
# from one second look to the next.
EVERY, EVERY_WITHOUT, EVERY_SECOND = 6, 2, 6
# Sampled frames in a row that a track survives without a detection, whatever its place looks like: what was
# taken for a face once looks the same ever after where nothing moves.
PATIENCE = 3
# Tracks that are followed at a time; each holds its crops.
FOLLOWED = 4
# How alike a place must look to the face last detected (correlation) to be taken for it without a detection.
ALIKE = 0.8


class Picture(Protocol):
    """One sampled frame."""

    @property
    def time_s(self) -> float:
        """When, from the utterance's start."""
        ...

    @property
    def gray(self) -> np.ndarray:
        """Luma, uint8 [H, W]."""
        ...

    @property
    def glance(self) -> bool:
        """Whether it was taken for the lips alone, which only a shared frame has."""
        ...

    def rgb(self) -> np.ndarray:
        """uint8 [H, W, 3]; costly."""
        ...


@dataclass(eq=False)
class Track:
    """A face while it is followed; ``box`` in the frame's pixels, as last found."""

    box: np.ndarray
    gray: list[np.ndarray] = field(default_factory=list)
    color: list[np.ndarray] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    # Sum over its frames of how much more the mouth's region changed than the upper face.
    talk: float = 0.0
    # Detections, and frames since the last.
    detected: int = 0
    missed: int = 0
    # The crop of the last detection.
    sure: np.ndarray = field(default_factory=lambda: np.zeros((GRAY, GRAY), np.uint8))

    @property
    def score(self) -> tuple[bool, float]:
        """How much it looks like the speaker's: found more than once; its size, length and talk."""
        size = float(np.mean([np.sqrt(box[2] * box[3]) for box in self.boxes]))
        return self.detected > 1, size * (0.1 * len(self.gray) + self.talk)


class FaceFollower:
    """Follows faces through a clip's sampled frames and finds out which is the speaker's.

    The whole frame is searched at first, when a face is lost and now and then; in between only the place
    where a face was. What a search proposes counts only if a closer look at the place confirms it. A shot cut
    ends all tracks. Nothing of a frame is kept but the faces' crops.

    Attributes:
        seen: frames looked at.
    """

    def __init__(self, detector: Detector, color: bool) -> None:
        """Starts a clip.

        Args:
            detector: finds faces.
            color: whether RGB crops are wanted too.
        """
        self.seen = 0
        self._detector = detector
        self._color = color
        self._live: list[Track] = []
        self._best: Track | None = None
        self._shape: tuple[int, ...] = ()
        self._thumbnail: np.ndarray | None = None
        self._since_search = self._since_second = EVERY

    @property
    def with_face(self) -> int:
        """Frames in which the speaker's face was there."""
        speaker = self._speaker()
        return len(speaker.gray) if speaker else 0

    def see(self, picture: Picture) -> None:
        """Looks at the next frame."""
        gray = picture.gray
        self.seen += 1
        if self._is_cut(gray):
            self._end(self._live)
            self._since_search = self._since_second = EVERY
        # Several faces may want it, and it costs.
        rgb = cache(picture.rgb)
        image = rgb() if self._detector.color else gray
        boxes: list[np.ndarray] = []
        missing: list[Track] = []
        for track in self._live:
            detected = _look(self._detector, image, track.box, reach=1.0)
            box = match(gray, track) if detected is None else detected
            if box is None:
                missing.append(track)
            elif any(_overlap(box, other) > 0.4 for other in boxes):
                # Two tracks have come upon one face; the better one was asked first.
                track.missed = PATIENCE + 1
            else:
                boxes.append(box)
                self._add(track, box, picture, rgb, detected is not None)
        self._since_search += 1
        self._since_second += 1
        if missing or self._since_search >= (EVERY if self._live else EVERY_WITHOUT):
            for box in self._search(image):
                if any(_overlap(box, other) > 0.2 for other in boxes):
                    continue
                boxes.append(box)
                again = next((track for track in missing if _near(track.box, box)), None)
                if again:
                    missing.remove(again)
                else:
                    self._live.append(again := Track(box))
                self._add(again, box, picture, rgb, True)
        for track in missing:
            track.missed += 1
        self._live.sort(key=lambda track: track.score, reverse=True)
        self._end([t for i, t in enumerate(self._live) if i >= FOLLOWED or t.missed > PATIENCE])

    def choose(self, sound: Any) -> str:
        """Called when all frames were seen: why it cannot be told whose face is the speaker's; "" if it can.

        Args:
            sound: of the utterance, or why there is none; a face that is alone in its frame needs none.
        """
        return ""

    def track(self) -> FaceTrack | None:
        """The speaker's face so far: large, long there, its mouth moving most; None without one."""
        speaker = self._speaker()
        if speaker is None:
            return None
        return FaceTrack(
            gray=np.stack(speaker.gray),
            color=np.stack(speaker.color) if self._color else None,
            box=np.stack(speaker.boxes).astype(np.float32),
            time_s=np.array(speaker.times, np.float32),
        )

    def _speaker(self) -> Track | None:
        tracks = [*self._live, *([self._best] if self._best else [])]
        best = max(tracks, key=lambda track: track.score, default=None)
        # One look is not enough where there could have been two.
        return best if best and (best.detected > 1 or self.seen <= 2) else None

    def _end(self, tracks: list[Track]) -> None:
        """Stops following some; only the best of all that have ended is kept."""
        self._best = max(
            [*tracks, *([self._best] if self._best else [])], key=lambda track: track.score, default=None
        )
        self._live = [track for track in self._live if track not in tracks]

    def _is_cut(self, gray: np.ndarray) -> bool:
        """Whether a new shot begins with this frame."""
        step = max(1, max(gray.shape) // 160)
        before, shape = self._thumbnail, self._shape
        self._thumbnail = resize(gray[::step, ::step], 24, 24).astype(np.float32)
        self._shape = gray.shape
        if before is None:
            return False
        if shape != gray.shape:
            return True
        change = float(np.abs(self._thumbnail - before).mean())
        return change > 10 and _correlation(before, self._thumbnail) < 0.5

    def _search(self, image: np.ndarray) -> list[np.ndarray]:
        """Faces anywhere in a frame, the largest first, each confirmed by a closer look."""
        self._since_search = 0
        longest = max(image.shape[:2])
        for look in LOOKS:
            if look > LOOKS[0]:
                if self._live or self._since_second < EVERY_SECOND or longest <= LOOKS[0]:
                    break
                self._since_second = 0
            scale = min(1.0, look / longest)
            small = resize(image, round(image.shape[1] * scale) or 1, round(image.shape[0] * scale) or 1)
            proposed = self._detector.find(small, sure=False) / scale
            proposed = proposed[np.argsort(-proposed[:, 3])][: 2 * FOLLOWED]
            looks = [_look(self._detector, image, box, reach=0.75) for box in proposed]
            if found := [box for box in looks if box is not None]:
                return found
        return []

    def _add(
        self, track: Track, box: np.ndarray, picture: Picture, rgb: Callable[[], np.ndarray], detected: bool
    ) -> None:
        if track.gray:
            # A cascade's boxes differ in size by a step or two from frame to frame; heads do not.
            middle, size = box[:2] + box[2:] / 2, (box[2:] + track.box[2:]) / 2
            box = np.concatenate([middle - size / 2, size])
        track.box = box
        gray = picture.gray
        crop = cut(gray, box, GRAY)
        if track.gray:
            a, b = contrast(track.gray[-1]), contrast(align(track.gray[-1], crop)[0])
            change = np.abs(a - b)
            track.talk += max(0.0, float(change[MOUTH].mean() - change[UPPER].mean()))
        track.gray.append(crop)
        if self._color:
            track.color.append(cut(rgb(), box, COLOR))
        track.boxes.append(box / np.tile(gray.shape[::-1], 2))
        track.times.append(picture.time_s)
        if detected:
            track.sure, track.missed = crop, 0
            track.detected += 1
        else:
            track.missed += 1


def _look(detector: Detector, image: np.ndarray, box: np.ndarray, reach: float) -> np.ndarray | None:
    """The face nearest to a box's middle within ``reach`` of its sides, or None."""
    side = float(max(box[2:]))
    x, y = (round(float(v)) for v in box[:2] + box[2:] / 2 - reach * side)
    width = round(2 * reach * side)
    left, top = max(0, x), max(0, y)
    window = image[top : max(0, y + width), left : max(0, x + width)]
    scale = FACE / side
    size = [round(n * scale) for n in window.shape[:2]]
    if min(size) < 0.7 * FACE:
        return None
    found = detector.find(resize(window, size[1], size[0]), 0.7 * FACE, 1.4 * FACE) / scale
    if not len(found):
        return None
    found[:, :2] += (left, top)
    away = found[:, :2] + found[:, 2:] / 2 - (box[:2] + box[2:] / 2)
    return np.asarray(found[np.argmin(np.hypot(*away.T))], np.float64)


def match(gray: np.ndarray, track: Track) -> np.ndarray | None:
    """Where something looks like the track's face as last detected, near its last place; or None."""
    # A third of the crop's size is detailed enough to recognise a face.
    size = GRAY // 3
    wide = track.box.copy()
    wide[:2] -= 0.25 * wide[2:]
    wide[2:] *= 1.5
    around = cut(gray, wide, round(1.5 * size))
    edge = size // 6
    face = resize(track.sure, size, size)[edge:-edge, edge:-edge]
    _, best, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(around, face, cv2.TM_CCOEFF_NORMED))
    if best < ALIKE:
        return None
    pixel = MARGIN * float(max(track.box[2:])) / size
    middle = np.array([x, y]) + (len(face) - len(around)) / 2
    return np.concatenate([track.box[:2] + middle * pixel, track.box[2:]])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(1e-6, np.sqrt((a * a).sum() * (b * b).sum())))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Shared area of two boxes over that of both together."""
    low = np.maximum(a[:2], b[:2])
    high = np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = float(np.prod(np.maximum(0, high - low)))
    return shared / float(a[2:].prod() + b[2:].prod() - shared)


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two boxes may be of one head, one sampled frame apart."""
    away = a[:2] + a[2:] / 2 - b[:2] - b[2:] / 2
    side = max(a[2:].max(), b[2:].max())
    return bool(np.hypot(*away) < side and 0.6 < a[3] / b[3] < 1.6)
