"""A face cut out of a frame, and laid over the same face in other frames."""

import cv2
import numpy as np

# Sides of the crops, in pixels, and of the square they show, in sides of the face's box.
GRAY, COLOR, MARGIN = 96, 224, 1.25
# Rows and columns of a gray crop: the upper face, which holds still when one talks, and the mouth's region.
UPPER = (slice(26, 62), slice(18, 78))
MOUTH = (slice(60, 92), slice(24, 72))
# The lips, and what is between them, wherever a mouth is in its region.
LIPS = (slice(58, 87), slice(28, 68))
# What of a gray crop is symmetric, how far its middle may be off, and by how much a face is turned to find
# out how it is upright, in degrees; faces that are turned further are hardly ever detected.
HALVES, ASIDE = (slice(24, 90), slice(14, 82)), 8
TURNS = range(-21, 22, 3)


def cut(image: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """The square around a box (left, top, width, height) with a margin, ``size`` pixels wide.

    Where it reaches beyond the image, the image's border is repeated.
    """
    side = max(2, round(MARGIN * float(max(box[2:]))))
    middle = (float(box[0] + box[2] / 2 - 0.5), float(box[1] + box[3] / 2 - 0.5))
    return resize(cv2.getRectSubPix(image, (side, side), middle), size, size)


def contrast(crop: np.ndarray) -> np.ndarray:
    """A gray crop without its brightness and contrast, as its upper face has them; float32 [GRAY, GRAY].

    The mouth has no say in it: opening it would darken the whole face.
    """
    upper = crop[UPPER]
    return (crop.astype(np.float32) - float(upper.mean())) / (float(upper.std()) + 4.0)


def align(reference: np.ndarray, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A gray crop moved so that its upper face lies where the reference's does.

    Boxes of the same still face differ by a few pixels; without this that would pass for motion.

    Returns:
        the crop; how far its face was to the right and below, in pixels [2].
    """
    reach = 8
    rows, columns = UPPER
    around = crop[rows.start - reach : rows.stop + reach, columns.start - reach : columns.stop + reach]
    fit = cv2.matchTemplate(around, reference[rows, columns], cv2.TM_CCOEFF_NORMED)
    _, _, _, (x, y) = cv2.minMaxLoc(fit)
    shift = np.array([x + _vertex(fit[y], x), y + _vertex(fit[:, x], y)]) - reach
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(crop, move, (GRAY, GRAY), flags=flags, borderMode=cv2.BORDER_REPLICATE), shift


def upright(gray: np.ndarray) -> tuple[np.ndarray, float]:
    """A track's gray crops turned so that the face's halves mirror each other; uint8 [F, GRAY, GRAY].

    All by one angle, the one at which the median crop is most symmetric: eyes are not found in every frame,
    and how the head moves from frame to frame is to be seen.

    Returns:
        the crops; by how many degrees they were turned, counterclockwise; 0 where no angle stands out.
    """
    middle = np.median(gray, axis=0).astype(np.float32)
    # Light from one side is no feature of a face.
    detail = middle - cv2.GaussianBlur(middle, (0, 0), 3)
    fits = []
    for degrees in TURNS:
        face = _turn(detail, degrees)[HALVES]
        mirrored = np.ascontiguousarray(face[:, ::-1][:, ASIDE:-ASIDE])
        fits.append(cv2.matchTemplate(face, mirrored, cv2.TM_CCOEFF_NORMED).max())
    best = int(np.argmax(fits))
    # Where the last angle is the best, something else than the face is symmetric.
    if not 0 < best < len(TURNS) - 1:
        return gray, 0.0
    roll = TURNS[best] + TURNS.step * _vertex(np.array(fits), best)
    return np.stack([_turn(crop, roll) for crop in gray]), roll


def _turn(crop: np.ndarray, degrees: float) -> np.ndarray:
    move = cv2.getRotationMatrix2D(((GRAY - 1) / 2, (GRAY - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(crop, move, (GRAY, GRAY), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _vertex(values: np.ndarray, at: int) -> float:
    """Where between its neighbours a maximum lies, by a parabola: -0.5 to 0.5."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(value) for value in values[at - 1 : at + 2])
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """An image at another size; a large one is not looked at pixel by pixel."""
    if image.shape[:2] == (height, width):
        return image
    # Of a much larger image every so many pixels are enough; four of them a side still make up one.
    step = max(1, image.shape[0] // (4 * height))
    image = image[::step, ::step]
    shrinks = height < image.shape[0]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
