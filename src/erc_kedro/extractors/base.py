"""The one protocol of all extractors, and the signals that they turn into vectors."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from erc_kedro.errors import PlainError

Signal = TypeVar("Signal", contravariant=True)

# Samples a second of every sound that an extractor is given.
RATE = 16_000


def fingerprint(*parts: object) -> str:
    """SHA-256 of some things as text: a version, or a key of the cache."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


class ExtractionError(PlainError, ValueError):
    """Extraction that cannot go on; the message names the file or the parameter. What was done is kept."""


class UnreachableError(ExtractionError):
    """Workers that cannot be reached, for which no file is to blame."""


@dataclass(frozen=True)
class Metadata:
    """What an extractor says of itself; it is stored with its vectors.

    Attributes:
        name: as the audit and the report name it, with its model where it has one.
        dimension: features in a vector.
        licence: of the method or the weights, in a few words.
        version: changes whenever its vectors may change (library, weights, settings); the cache's key has it.
    """

    name: str
    dimension: int
    licence: str
    version: str


class Extractor(Protocol[Signal]):
    """Signals of one modality to vectors.

    Text gets ``Line``, audio ``Sound``, visual ``FaceTrack``. A vector depends on its own signal alone, not
    on what else is in the call.
    """

    metadata: Metadata

    def __call__(self, signals: Sequence[Signal]) -> np.ndarray:
        """Vectors [len(signals), metadata.dimension], float32 and finite."""
        ...


def one_by_one(signals: Sequence[Any], one: Callable[[Any], Any], dimension: int) -> np.ndarray:
    """Vectors [len(signals), dimension], float32, of an extractor that takes one signal at a time."""
    vectors = np.empty((len(signals), dimension), np.float32)
    for row, signal in zip(vectors, signals, strict=True):
        row[:] = one(signal)
    return vectors


# Mono, RATE samples a second, float32 in about -1 to 1, finite, not silent, at least 50 ms long.
Sound = np.ndarray


@dataclass(frozen=True)
class FaceTrack:
    """One face followed through an utterance's sampled frames; F of them, at least one.

    Attributes:
        gray: the face's square as luma, uint8 [F, 96, 96].
        color: the same as RGB, uint8 [F, 224, 224, 3]; None unless the extractor has ``color = True``.
        box: where it was, as shares of the frame: left, top, width, height; float32 [F, 4].
        time_s: when, from the utterance's start; float32 [F].
    """

    gray: np.ndarray
    color: np.ndarray | None
    box: np.ndarray
    time_s: np.ndarray


@dataclass(frozen=True)
class Line:
    """What was said, by whom, and what was said before and after it in order: (speaker, text) pairs."""

    text: str
    speaker: str = ""
    before: tuple[tuple[str, str], ...] = ()
    after: tuple[tuple[str, str], ...] = ()
