"""A drawn face that speaks an emotion with mouth, brows, eyes and the head's movement."""

from dataclasses import dataclass

import cv2
import numpy as np

# Pixels of a scene with one person, and frames a second.
WIDTH, HEIGHT = 320, 240
FPS = 12.5

_SIDE = 192
_CENTRE = (96, 100)
# Coordinates handed to OpenCV are whole numbers of 1/16 pixel.
_SHIFT = 4

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Whose face it is, and where in the scene it is seen.

    Attributes:
        skin, hair, shirt: RGB, 0 to 255.
        size: of the head; 1 is about 110 pixels wide.
        slim: height of the face to its width, as a multiple of the usual.
        long_hair: whether the hair falls to the shoulders.
        x, y: the face's centre in pixels; 100 or more from the frame's edges.
        light: -1 to 1, the side it comes from.
    """

    skin: Colour
    hair: Colour
    shirt: Colour
    size: float
    slim: float
    long_hair: bool
    x: float
    y: float
    light: float


@dataclass(frozen=True)
class Expression:
    """What a face does, as differences from one at rest.

    Attributes:
        curve: the mouth's corners, 1 is up.
        open: the mouth, 1 is wide open.
        wide: the mouth's width, 1 is half as wide again.
        skew: one corner higher than the other.
        brow: the brows' height, 1 is as high as they go.
        slant: the brows' inner ends, 1 is raised, -1 lowered.
        eyes: the lids, 1 is wide open, -1 nearly closed.
        wrinkle: of the nose, 0 to 1.
        tilt: of the head, degrees.
        nod, shake, shiver: how far the head moves, in pixels.
    """

    curve: float = 0.0
    open: float = 0.0
    wide: float = 0.0
    skew: float = 0.0
    brow: float = 0.0
    slant: float = 0.0
    eyes: float = 0.0
    wrinkle: float = 0.0
    tilt: float = 0.0
    nod: float = 0.0
    shake: float = 0.0
    shiver: float = 0.0


REST = Expression()


def room(rng: np.random.Generator) -> np.ndarray:
    """An empty room, uint8 RGB [HEIGHT, WIDTH, 3]: a wall in soft light, a floor and some furniture."""
    # Walls of little colour: the shades lie close together.
    shades = rng.uniform(80, 190, (5, 1)) + rng.uniform(-18, 18, (5, 3))
    wall, floor, *things = shades
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    light = 1.1 - 0.3 * np.hypot(across - rng.uniform(0, WIDTH), down - rng.uniform(0, 80)) / WIDTH
    picture = np.where((down > rng.uniform(170, 200))[..., None], floor, wall) * light[..., None]
    for thing in things:
        left, top = int(rng.uniform(0, WIDTH - 40)), int(rng.uniform(20, 150))
        width, height = int(rng.uniform(25, 70)), int(rng.uniform(25, 90))
        picture[top : top + height, left : left + width] = (
            thing * light[top : top + height, left : left + width, None]
        )
    return cv2.GaussianBlur(np.clip(picture, 0, 255).astype(np.uint8), (0, 0), 2.5)


class Actor:
    """One person before one background, drawn frame by frame.

    Args:
        look: whose face.
        background: uint8 RGB [HEIGHT, WIDTH, 3].
    """

    def __init__(self, look: Look, background: np.ndarray) -> None:
        self._look = look
        self._head = _bare_head(look)
        self._scene = _with_shoulders(look, background)
        # The head never leaves this part of the frame, and the rest of it never changes.
        self._corner = np.rint([look.x, look.y]).astype(int) - _CENTRE
        left, top = self._corner
        self._where = np.s_[top : top + _SIDE, left : left + _SIDE]

    def frame(
        self, expression: Expression, talking: float, time_s: float, blink: bool, jolt: np.ndarray
    ) -> np.ndarray:
        """One frame.

        Args:
            expression: what the face does.
            talking: the voice's energy at this moment, 0 to 1; it opens the mouth.
            time_s: the moment, which says how far a nod or a shake has come.
            blink: whether the eyes are closed.
            jolt: standard normal draws [2], the direction of a shiver.

        Returns:
            uint8 RGB [HEIGHT, WIDTH, 3].
        """
        look = self._look
        head = self._head.copy()
        _draw_features(head, look, expression, talking, blink)
        x = look.x + expression.shake * np.sin(2 * np.pi * 1.9 * time_s) + expression.shiver * jolt[0]
        y = look.y + expression.nod * np.sin(2 * np.pi * 1.6 * time_s) + expression.shiver * jolt[1]
        matrix = cv2.getRotationMatrix2D(_CENTRE, expression.tilt, look.size)
        matrix[0, 2] += x - self._corner[0] - _CENTRE[0]
        matrix[1, 2] += y - self._corner[1] - _CENTRE[1]
        placed = cv2.warpAffine(head, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)
        alpha = cv2.merge([placed[..., 3]] * 3)
        above = cv2.multiply(placed[..., :3], alpha, scale=1 / 255)
        picture = self._scene.copy()
        part = picture[self._where]
        part[:] = cv2.add(above, cv2.multiply(part, 255 - alpha, scale=1 / 255))
        return picture


def _grid() -> tuple[np.ndarray, np.ndarray]:
    down, across = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32)
    return across - _CENTRE[0], down - _CENTRE[1]


def _bump(x: np.ndarray, y: np.ndarray, wide: float, high: float) -> np.ndarray:
    return np.asarray(np.exp(-((x / wide) ** 2) - (y / high) ** 2))


def _bare_head(look: Look) -> np.ndarray:
    """Skin and hair without features, uint8 RGBA [_SIDE, _SIDE, 4].

    The shading is what a detector of frontal faces looks for: dark sockets beside a bright bridge, above
    bright cheeks.
    """
    x, y = _grid()
    half_width, half_height = 54.0, 68.0 * look.slim
    oval = np.sqrt((x / half_width) ** 2 + (y / half_height) ** 2)
    beside = np.abs(x)
    shade = 1.0 - 0.2 * (x / half_width) ** 2 - 0.08 * y / half_height + 0.07 * look.light * x / half_width
    shade -= 0.38 * _bump(beside - 23, y + 17, 16, 11)
    shade += 0.12 * _bump(x, y + 6, 7, 20)
    shade += 0.14 * _bump(beside - 26, y - 12, 16, 12)
    shade -= 0.3 * _bump(beside - 6, y - 17, 4, 3)
    shade -= 0.1 * _bump(x, y - 54, 12, 4)
    skin = np.array(look.skin, np.float32) * shade[..., None]
    strands = 0.85 + 0.15 * np.sin(0.5 * x) * _bump(x, y + 60, 60, 60)
    hair = np.array(look.hair, np.float32) * strands[..., None]
    hairline = y < -47 * look.slim + 0.008 * x**2
    around = np.sqrt((x / 61) ** 2 + ((y + 8) / (72 * look.slim)) ** 2) < 1
    if look.long_hair:
        around |= (beside < 62) & (y > -10) & (y < 70)
    face = (oval < 1) & ~hairline
    picture = np.where(face[..., None], skin, hair)
    alpha = 255.0 * (face | (around & ((y < -5) | look.long_hair | hairline)))
    whole = np.dstack([picture, alpha]).clip(0, 255).astype(np.uint8)
    return cv2.GaussianBlur(whole, (0, 0), 1.0)


def _with_shoulders(look: Look, background: np.ndarray) -> np.ndarray:
    scene = background.copy()
    x, y, size = look.x, look.y, look.size
    neck = tuple(0.75 * value for value in look.skin)
    _fill(
        scene,
        np.array([[x - 20 * size, y], [x + 20 * size, y], [x + 24 * size, 240], [x - 24 * size, 240]]),
        neck,
    )
    centre = (round(x), round(y + 150 * size))
    cv2.ellipse(scene, centre, (round(95 * size), round(72 * size)), 0, 0, 360, look.shirt, -1, cv2.LINE_AA)
    return scene


def _fill(picture: np.ndarray, points: np.ndarray, colour: tuple[float, ...]) -> None:
    cv2.fillPoly(picture, [np.rint(points * 2**_SHIFT).astype(np.int32)], colour, cv2.LINE_AA, _SHIFT)


def _line(picture: np.ndarray, points: np.ndarray, colour: tuple[float, ...], thickness: int) -> None:
    whole = np.rint(points * 2**_SHIFT).astype(np.int32)
    cv2.polylines(picture, [whole], False, colour, thickness, cv2.LINE_AA, _SHIFT)


def _draw_features(head: np.ndarray, look: Look, shown: Expression, talking: float, blink: bool) -> None:
    """Draws brows, eyes, nose and mouth onto a bare head, in place."""
    skin = np.array(look.skin)
    dark = (*(0.35 * skin), 255.0)
    brow = (*(0.5 * np.array(look.hair)), 255.0)
    centre = np.array(_CENTRE, float)
    along = np.linspace(-1, 1, 13)
    for side in (-1, 1):
        lids = 5.0 * (0.12 if blink else 1 + 0.6 * shown.eyes)
        eye = centre + np.array([side * 23, -14])
        rim = np.sqrt(1 - along**2)
        upper, lower = eye + np.c_[11 * along, -lids * rim], eye + np.c_[11 * along, 0.7 * lids * rim]
        _fill(head, np.r_[upper, lower[::-1]], (*(0.5 * skin + 85), 255.0))
        if lids > 1:
            middle = np.rint(eye * 2**_SHIFT).astype(int).tolist()
            cv2.circle(
                head, middle, round(min(5.5, lids) * 2**_SHIFT), (40, 30, 25, 255), -1, cv2.LINE_AA, _SHIFT
            )
        _line(head, upper, dark, 2)
        # From the inner to the outer end.
        bow = 1 - along**2
        height = -29 - 8 * shown.brow - 3 * bow - shown.slant * np.linspace(8, -5, 13)
        course = centre + np.c_[side * np.linspace(9, 37, 13), height]
        _line(head, course, brow, 5)
        if shown.wrinkle > 0.1:
            fold = (*((1 - 0.35 * min(shown.wrinkle, 1.0)) * skin), 255.0)
            for high in (-9, -3):
                _line(head, centre + np.c_[side * np.linspace(3, 12, 5), high + 3 * bow[::3]], fold, 2)
            _line(head, centre + np.c_[side * np.linspace(13, 29, 5), np.linspace(14, 34, 5)], fold, 3)
    _draw_mouth(head, skin, shown, talking)


def _draw_mouth(head: np.ndarray, skin: np.ndarray, shown: Expression, talking: float) -> None:
    centre = np.array([_CENTRE[0], _CENTRE[1] + 38 - 3 * max(shown.wrinkle, 0)])
    along = np.linspace(-1, 1, 15)
    bend = 9 * shown.curve * (0.4 - along**2) + 6 * shown.skew * along
    gape = max(0.0, shown.open) + 0.35 * talking
    lips = 1 - along**2
    half = 21 * (1 + 0.5 * shown.wide)
    upper = centre + np.c_[half * along, bend - 6 * gape * lips]
    lower = centre + np.c_[half * along, bend + 15 * gape * lips]
    red = (*np.minimum(0.62 * skin + (30, -8, -5), 255), 255.0)
    outline = np.r_[upper, lower[::-1]]
    if gape > 0.06:
        _fill(head, outline, (60, 15, 20, 255))
        if gape > 0.2:
            teeth = upper + np.c_[np.zeros(15), 5 * gape * lips]
            _fill(head, np.r_[upper, teeth[::-1]], (225, 220, 210, 255))
    _line(head, upper, red, 3)
    _line(head, lower, red, 4)
