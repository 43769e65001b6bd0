"""Of several faces in a frame, the one whose mouth moves with the voice, or none."""

from typing import Any

import numpy as np

from erc_kedro.extractors.visual.crops import GRAY, align, contrast, cut
from erc_kedro.extractors.visual.detection import Detector
from erc_kedro.extractors.visual.tracking import FaceFollower, Track, match

VERSION = 1


class _Lips:
    def __init__(self) -> None:
        self.times, self.patches, self.uppers = [], [], []
        self.reference = None
        self.sizes = []

    def see(self, gray, box, time):
        self.sizes.append(box[2:])
        size = np.mean(self.sizes, axis=0)
        middle = box[:2] + box[2:] / 2
        crop = cut(gray, np.concatenate([middle - size / 2, size]), GRAY)
        if self.reference is None:
            self.reference = crop
        crop, shift = align(self.reference, crop)
        self.times.append(time)
        self.patches.append(contrast(crop))


class VoiceFollower(FaceFollower):
    def __init__(self, detector: Detector, color: bool) -> None:
        super().__init__(detector, color)
        self._lips: dict[Track, _Lips] = {}
        self._all = []

    def see(self, picture: Any) -> None:
        if not picture.glance:
            super().see(picture)
        gray = picture.gray
        for track in self._live:
            box = match(gray, track) if picture.glance or track.missed else track.box
            if box is not None:
                self._lips.setdefault(track, _Lips()).see(gray, box, picture.time_s)
