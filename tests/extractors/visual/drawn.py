"""Faces drawn from measurements."""

import cv2
import numpy as np

from erc_kedro.extractors.base import FaceTrack


def drawn(openness=0.1, smile=0.0, brow=0.0, frown=0.0, light=1.0, shift=(0, 0)):
    """A shaded face, 96 by 96: brows raised by ``brow`` and inner ends lowered by ``frown``, in pixels."""
    scale = 4
    face = np.full((96 * scale, 96 * scale), 90.0, np.float32)

    def at(x, y):
        return round((x + shift[0]) * scale), round((y + shift[1]) * scale)

    cv2.ellipse(face, at(48, 50), (36 * scale, 44 * scale), 0, 0, 360, 190, -1)
    cv2.ellipse(face, at(50, 56), (4 * scale, 7 * scale), 0, 0, 360, 165, -1)
    for side in (-1, 1):
        cv2.ellipse(face, at(48 + 17 * side, 39), (7 * scale, 3 * scale), 0, 0, 360, 60, -1)
        inner = at(48 + 9 * side, 29 - brow + frown)
        cv2.line(face, inner, at(48 + 26 * side, 29 - brow), 50, 3 * scale)
    x = np.linspace(-1, 1, 30)
    lip = 72 - smile * 6 * (x**2 - 0.5)
    gap = 1.5 + 8 * openness * np.sqrt(1 - x**2)
    outline = [
        at(48 + 14 * a, b) for a, b in zip([*x, *x[::-1]], [*(lip - gap), *(lip + gap)[::-1]], strict=True)
    ]
    cv2.fillPoly(face, [np.array(outline)], 45)
    face = cv2.GaussianBlur(face, (0, 0), 3)
    return np.clip(cv2.resize(face, (96, 96), interpolation=cv2.INTER_AREA) * light, 0, 255).astype(np.uint8)


def track(crops, box=(0.4, 0.3, 0.2, 0.3), step=(0.0, 0.0)):
    """Crops a third of a second apart; the box moves by ``step`` of its size each time."""
    boxes = np.tile(np.array(box, np.float32), (len(crops), 1))
    boxes[:, :2] += np.arange(len(crops))[:, None] * np.array(step) * boxes[:, 2:]
    times = np.arange(len(crops), dtype=np.float32) / 3
    color = np.stack([cv2.cvtColor(cv2.resize(crop, (224, 224)), cv2.COLOR_GRAY2RGB) for crop in crops])
    return FaceTrack(np.stack(crops), color, boxes, times)
