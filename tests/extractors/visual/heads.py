"""Frames made of a photograph that scikit-image brings along, and what is followed through them."""

from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data

from erc_kedro.extractors.visual.detection import Haar
from erc_kedro.extractors.visual.tracking import FaceFollower

PHOTO = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2GRAY)
# The head alone, and its mouth's place in it: x, y, in shares.
HEAD = PHOTO[40:190, 155:295]
MOUTH = (0.55, 0.69)
BRICK = cv2.resize(skimage.data.brick(), (640, 360))


@dataclass(frozen=True)
class Still:
    """A frame that counts how often its colours are asked for."""

    gray: np.ndarray
    time_s: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "asked", [])

    def rgb(self):
        self.asked.append(1)
        return cv2.cvtColor(np.ascontiguousarray(self.gray), cv2.COLOR_GRAY2RGB)


def scene(*heads, background=BRICK):
    """A frame with heads in it, each (left, top, height[, openness of the mouth])."""
    frame = background.copy()
    for left, top, height, *openness in heads:
        head = HEAD.copy()
        if openness:
            x, y = int(MOUTH[0] * head.shape[1]), int(MOUTH[1] * head.shape[0])
            cv2.ellipse(head, (x, y), (14, 2 + int(12 * openness[0])), 0, 0, 360, 25, -1)
            head = cv2.GaussianBlur(head, (0, 0), 1)
        head = cv2.resize(head, (height * HEAD.shape[1] // HEAD.shape[0], height))
        frame[top : top + height, left : left + head.shape[1]] = head
    return frame


def follow(frames, color=False, detector=None):
    follower = FaceFollower(detector or Haar(), color)
    for number, frame in enumerate(frames):
        follower.see(frame if isinstance(frame, Still) else Still(frame, number / 3))
    return follower


def middle(track):
    return (track.box[:, :2] + track.box[:, 2:] / 2).mean(0)
