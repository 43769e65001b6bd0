"""What a face looks like and how it moves, measured with OpenCV alone."""

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np

from erc_kedro.extractors.base import FaceTrack, Metadata, one_by_one
from erc_kedro.extractors.visual.crops import GRAY, MARGIN, align, contrast, upright
from erc_kedro.parameters import VisualParameters

# Part of a version: raise it when the same track may get another vector.
VERSION = 2

# Rows and columns of an aligned gray crop. The eyes lie at about row 38, the mouth at about row 70.
FACE = (slice(14, 90), slice(14, 82))
CHANGES = {
    "brows": (slice(18, 34), slice(18, 78)),
    "eyes": (slice(32, 48), slice(18, 78)),
    "nose": (slice(44, 62), slice(34, 62)),
    "mouth": (slice(60, 88), slice(26, 70)),
    "face": FACE,
}
# What is dark in these is the part itself.
PARTS = {
    "left_brow": (slice(18, 35), slice(18, 45)),
    "right_brow": (slice(18, 35), slice(51, 78)),
    "left_eye": (slice(32, 48), slice(20, 44)),
    "right_eye": (slice(32, 48), slice(52, 76)),
    "mouth": (slice(58, 87), slice(28, 68)),
}
# Bands in which rows' brightness is taken: from above a brow to below the eye, and over the mouth.
BANDS = {
    "left_side": (slice(16, 52), slice(22, 44)),
    "right_side": (slice(16, 52), slice(52, 74)),
    "middle": (slice(54, 93), slice(36, 60)),
}
# Cells a side and directions of the histograms of gradients; squares a side of the brightness grid; columns
# in which a part's height is measured; rows of a band.
CELLS, DIRECTIONS, GRID, COLUMNS, ROWS = 4, 6, 6, 5, 10


class FaceDescriptor:
    """What a face looks like and how it moves, measured without a trained network.

    Of each frame, turned upright, its brightness and contrast evened out and its upper face laid over the
    other frames': how steep and dark it is where; how dark, high, long, thick, tilted and curved brows, eyes
    and mouth are; where the head is. Of each two frames in a row: how much each region changed, and how the
    head moved. A vector is the means over the frames and, but for the coarse look, the deviations, and by
    how much the frames were turned.

    Attributes:
        names: what each feature of a vector is.
    """

    color: ClassVar[bool] = False

    def __init__(self, parameters: VisualParameters) -> None:
        """Needs nothing but OpenCV."""
        gray = np.random.default_rng(0).integers(0, 255, (2, GRAY, GRAY)).astype(np.uint8)
        self.names = list(_describe(FaceTrack(gray, None, np.full((2, 4), 0.5), np.arange(2.0))))
        self.metadata = Metadata(
            "OpenCV face measurements", len(self.names), "Apache-2.0", f"{VERSION} OpenCV {cv2.__version__}"
        )

    def __call__(self, signals: Sequence[FaceTrack]) -> np.ndarray:
        """Vectors [len(signals), metadata.dimension], float32 and finite."""
        return one_by_one(signals, lambda track: list(_describe(track).values()), self.metadata.dimension)


def _describe(track: FaceTrack) -> dict[str, float]:
    grays, roll = upright(track.gray)
    reference = np.median(grays, axis=0).astype(np.uint8)
    # From the turned crop back to the frame.
    back = cv2.getRotationMatrix2D((0, 0), -roll, 1.0)[:, :2]
    crops, places = [], []
    for gray, box in zip(grays, track.box, strict=True):
        crop, shift = align(reference, gray)
        crops.append(contrast(crop))
        # A crop shows MARGIN boxes.
        places.append(box[:2] + box[2:] * (0.5 + back @ shift * MARGIN / GRAY))
    looks = [_look(crop) | {"roll": roll} for crop in crops]
    measures = [
        _measure(crop) | {"x": float(x), "y": float(y), "size": float(box[3])}
        for crop, (x, y), box in zip(crops, places, track.box, strict=True)
    ]
    moves = [
        _move(crops[i - 1], crops[i])
        | _travel((places[i] - places[i - 1]) / track.box[i, 2:], track.time_s[i] - track.time_s[i - 1])
        for i in range(1, len(crops))
    ] or [dict.fromkeys([*_move(crops[0], crops[0]), *_travel(np.zeros(2), 1.0)], 0.0)]
    return (
        _over_frames(looks, ("mean",)) | _over_frames(measures) | _over_frames(moves, ("mean", "std", "max"))
    )


def _over_frames(rows: list[dict[str, float]], kinds: tuple[str, ...] = ("mean", "std")) -> dict[str, float]:
    table = np.array([list(row.values()) for row in rows])
    return {
        f"{name}_{kind}": float(value)
        for kind in kinds
        for name, value in zip(rows[0], getattr(table, kind)(axis=0), strict=True)
    }


def _look(crop: np.ndarray) -> dict[str, float]:
    """Gradients' directions by cell, and brightness by square."""
    # Half the size: a finer look would be upset by a box that is a little off.
    face = cv2.resize(crop[FACE], (CELLS * 9, CELLS * 10), interpolation=cv2.INTER_AREA)
    steep, turned = cv2.cartToPolar(cv2.Sobel(face, cv2.CV_32F, 1, 0), cv2.Sobel(face, cv2.CV_32F, 0, 1))
    direction = (turned / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
    down, across = np.indices(face.shape)
    cell = (down // 10 * CELLS + across // 9) * DIRECTIONS + direction
    histogram = np.bincount(cell.ravel(), steep.ravel(), CELLS * CELLS * DIRECTIONS)
    # The root keeps one strong edge from outweighing all others.
    histogram = np.sqrt(histogram / max(1e-6, histogram.sum()))
    light = cv2.resize(crop[FACE], (GRID, GRID), interpolation=cv2.INTER_AREA)
    return {f"gradient_{i}": v for i, v in enumerate(histogram)} | {
        f"light_{i}": v for i, v in enumerate(light.ravel())
    }


def _measure(crop: np.ndarray) -> dict[str, float]:
    """Where the dark parts of brows, eyes and mouth are; heights and lengths in crop pixels."""
    found: dict[str, float] = {}
    smooth = cv2.GaussianBlur(crop, (0, 0), 1.0)
    for part, where in PARTS.items():
        found |= {f"{part}_{name}": value for name, value in _part(smooth[where]).items()}
    for side in ("left", "right"):
        found[f"{side}_brow_eye"] = (
            found[f"{side}_eye_row"]
            + PARTS[f"{side}_eye"][0].start
            - found[f"{side}_brow_row"]
            - PARTS[f"{side}_brow"][0].start
        )
    # Brows that fall towards the nose are an angry face's, whichever side they are on.
    found["brows_inward"] = found["left_brow_tilt"] - found["right_brow_tilt"]
    found["eyes_level"] = found["right_eye_row"] - found["left_eye_row"]
    for band, where in BANDS.items():
        rows = cv2.resize(smooth[where], (1, ROWS), interpolation=cv2.INTER_AREA)
        found |= {f"{band}_{row}": float(v) for row, v in enumerate(rows.ravel())}
    return found


def _part(region: np.ndarray) -> dict[str, float]:
    """A dark part's shape in its region [rows, columns]: its amount, middle, extent and course."""
    # Skin is the brighter part of a region, whatever the light.
    dark = np.clip(np.percentile(region, 60) - region, 0, None)
    amount, darkest = float(dark.mean()), float(dark.max())
    # Squared, a wide faint shadow weighs little against a lip or a brow.
    dark = dark**2 + 1e-3
    rows = np.arange(region.shape[0])
    by_row, by_column = dark.sum(1) / dark.sum(), dark.sum(0) / dark.sum()
    row = float(by_row @ rows)
    columns = np.arange(region.shape[1])
    column = float(by_column @ columns)
    steps = np.array_split(columns, COLUMNS)
    heights = np.array([float(dark[:, a].sum(1) @ rows) / float(dark[:, a].sum()) for a in steps])
    across = np.linspace(-1, 1, COLUMNS)
    # Least squares on five evenly spaced points.
    tilt = float(heights @ across / (across @ across))
    bow = across**2 - (across**2).mean()
    curve = float(heights @ bow / (bow @ bow))
    return {
        "dark": amount,
        "darkest": darkest,
        "row": row,
        "column": column,
        "thick": float(np.sqrt(by_row @ (rows - row) ** 2)),
        "long": float(np.sqrt(by_column @ (columns - column) ** 2)),
        "tilt": tilt,
        "curve": curve,
        "edge": float(np.abs(np.diff(region, axis=0)).mean()),
    } | {f"height_{i}": h for i, h in enumerate(heights - row)}


def _move(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """How much each region changed, in units of the face's contrast."""
    change = np.abs(after - before)
    found = {f"change_{name}": float(change[where].mean()) for name, where in CHANGES.items()}
    return found | {"change_mouth_alone": found["change_mouth"] - found["change_eyes"]}


def _travel(boxes: np.ndarray, seconds: float) -> dict[str, float]:
    """How fast the head moved, in box sides a second."""
    x, y = (float(v) / max(float(seconds), 1e-3) for v in boxes)
    return {"across": abs(x), "down": abs(y), "speed": float(np.hypot(x, y))}
