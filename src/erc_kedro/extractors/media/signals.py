"""What is wanted of a media file, and what it gives."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import av
import numpy as np

from erc_kedro.extractors.base import Sound

Side = Literal["left", "right"]
# Pictures a second of a shared frame: lips close and open some five times in one.
GLANCES = 12.5


class Unusable(Exception):
    """A signal that is not there; ``reason`` is short and counted, ``detail`` says more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Span:
    """An utterance's place in a file, and what is wanted of it.

    Attributes:
        start_s: seconds from the file's beginning; None, with ``end_s``, for the whole file.
        side: the half of the frame that is looked at.
        channel: of a sound with two, the one that is heard; None for all that there are, as one.
        shared: whether others than the speaker may be seen: ``GLANCES`` pictures a second are taken, too.
    """

    start_s: float | None = None
    end_s: float | None = None
    side: Side | None = None
    sound: bool = True
    frames: bool = True
    channel: Side | None = None
    shared: bool = False


@dataclass(frozen=True)
class Picture:
    """A sampled frame of one utterance, turned upright, cut to the wanted half.

    Attributes:
        span: index of the utterance's span.
        time_s: seconds from the utterance's start.
        glance: whether it was taken for the lips alone, between those that every utterance has.
    """

    span: int
    time_s: float
    frame: av.VideoFrame
    side: Side | None
    glance: bool = False

    @cached_property
    def gray(self) -> np.ndarray:
        """Luma, uint8 [H, W]; a view of the decoder's own memory wherever that is possible."""
        frame = self.frame
        if frame.format.name.startswith(("yuv4", "yuvj4", "nv12", "gray")) and (
            frame.format.components[0].bits == 8
        ):
            plane: Any = frame.planes[0]
            luma: np.ndarray = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[
                : frame.height, : frame.width
            ]
        else:
            luma = frame.to_ndarray(format="gray")
        return self._upright(luma)

    def rgb(self) -> np.ndarray:
        """Colours, uint8 [H, W, 3]."""
        return self._upright(self.frame.to_ndarray(format="rgb24"))

    def _upright(self, image: np.ndarray) -> np.ndarray:
        image = np.rot90(image, round(self.frame.rotation / 90) % 4)
        half = image.shape[1] // 2
        return {None: image, "left": image[:, :half], "right": image[:, half:]}[self.side]


@dataclass(frozen=True)
class Finished:
    """What an utterance gave; its pictures came before.

    Attributes:
        span: index of its span.
        sound: float32 [samples] at ``RATE``, or why there is none.
        video: None if there were pictures to be had, else why there are none.
        seconds: decoded duration of the sound.
        errors: kinds of decoding errors in the file so far, counted.
        remark: what of the sound was left out, or is not in the file; "" if nothing.
    """

    span: int
    sound: Sound | Unusable | None
    video: Unusable | None
    seconds: float
    errors: dict[str, int]
    remark: str = ""
