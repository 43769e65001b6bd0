"""Faces found in one image."""

from pathlib import Path
from typing import ClassVar, Protocol

import cv2
import numpy as np

from erc_kedro import files
from erc_kedro.extractors.base import ExtractionError
from erc_kedro.parameters import VisualParameters

# Part of a detector's version: raise it when the boxes or the crops of the same frames may change.
VERSION = 1


class Detector(Protocol):
    """Finds upright faces."""

    # Changes whenever the boxes may change; part of the cache's key.
    version: str
    # Whether it is to be shown RGB instead of luma.
    color: bool

    def find(
        self, image: np.ndarray, smallest: float = 20, largest: float = np.inf, sure: bool = True
    ) -> np.ndarray:
        """Boxes of the faces in an image.

        Args:
            image: uint8, [H, W] or with ``color`` [H, W, 3] as RGB, of any size.
            smallest: a face's least height in pixels.
            largest: its greatest.
            sure: few false alarms; otherwise few misses.

        Returns:
            left, top, width, height in the image's pixels, float32 [n, 4].
        """
        ...


class Haar:
    """OpenCV's own cascades; they come with OpenCV and cost little.

    Of the frontal ones, alt2 is the fastest that misses little, and alt has the fewest false alarms; the
    default one has many times as many. So alt2 proposes and alt confirms.
    """

    color: bool = False

    def __init__(self) -> None:
        """Reads the cascades."""
        folder = Path(cv2.__file__).parent / "data"
        self._propose, self._confirm = (
            cv2.CascadeClassifier(str(folder / f"haarcascade_frontalface_{name}.xml"))
            for name in ("alt2", "alt")
        )
        self.version = f"{VERSION} haar alt2 alt OpenCV {cv2.__version__}"

    def find(
        self, image: np.ndarray, smallest: float = 20, largest: float = np.inf, sure: bool = True
    ) -> np.ndarray:
        """As ``Detector.find``."""
        low, high = round(max(smallest, 20)), round(min(largest, *image.shape[:2]))
        if high < low:
            return np.zeros((0, 4), np.float32)
        cascade, step, neighbours = (self._confirm, 1.1, 2) if sure else (self._propose, 1.15, 1)
        found = cascade.detectMultiScale(image, step, neighbours, minSize=(low, low), maxSize=(high, high))
        return np.asarray(found, np.float32).reshape(-1, 4)


class YuNet:
    """OpenCV's small network: finds turned and partly hidden faces too."""

    color: bool = True
    FILE: ClassVar[str] = "face_detection_yunet_2023mar.onnx"

    def __init__(self, model: str) -> None:
        """Loads a local .onnx file, or ``FILE`` of a hub repository.

        Raises:
            ExtractionError: it cannot be had, or is no such network.
        """
        from huggingface_hub import hf_hub_download

        try:
            path = model if model.endswith(".onnx") else hf_hub_download(model, self.FILE)
            digest = files.sha256(Path(path))
            self._net = cv2.FaceDetectorYN.create(str(path), "", (320, 320))
            # A network with other outputs only fails when it is used.
            self._net.detect(np.zeros((320, 320, 3), np.uint8))
        except (OSError, ValueError, cv2.error) as error:
            why = " ".join(str(error).split())
            raise ExtractionError(
                f"features.visual.detector_model: {model!r} is neither a YuNet .onnx file nor a hub "
                f"repository that gives {self.FILE} ({why}); download that file and name its path here, or "
                "set features.visual.detector: haar"
            ) from error
        self.version = f"{VERSION} yunet {digest} OpenCV {cv2.__version__}"

    def find(
        self, image: np.ndarray, smallest: float = 20, largest: float = np.inf, sure: bool = True
    ) -> np.ndarray:
        """As ``Detector.find``."""
        height, width = image.shape[:2]
        self._net.setInputSize((width, height))
        self._net.setScoreThreshold(0.7 if sure else 0.5)
        _, found = self._net.detect(np.ascontiguousarray(image[..., ::-1]))
        if found is None:
            return np.zeros((0, 4), np.float32)
        boxes = found[np.isfinite(found).all(1), :4]
        sides = boxes[:, 2:].max(1)
        return boxes[(boxes[:, 2:].min(1) > 0) & (sides >= smallest) & (sides <= largest)]


def detector(parameters: VisualParameters) -> Detector:
    """The detector that the parameters name.

    Raises:
        ExtractionError: its network cannot be had.
    """
    return Haar() if parameters.detector == "haar" else YuNet(parameters.detector_model)
