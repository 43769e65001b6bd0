"""Arrays of the bytes in a file."""

import math
import re
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from erc_kedro.corpora.pickles.bounds import MOST_NESTED
from erc_kedro.corpora.pickles.errors import BrokenError, ForbiddenError

_PLAIN = re.compile(r"b1|[iu][1248]|f[248]|[SU][1-9]\d{0,7}")


def array(kind: str, shape: Sequence[int], data: bytes, order: str = "C") -> np.ndarray:
    """A read-only array of bytes that are in a file.

    Args:
        kind: NumPy's short name, such as ``<f4``: boolean, integer or float of up to 64 bits, S or U.
        shape: the lengths; none of 0 after others, since that is read without end.
        data: as many bytes as kind and shape say.
        order: C or F.

    Raises:
        ForbiddenError: another kind, such as of objects or with fields.
        BrokenError: shape and bytes do not fit, or the bytes are no text.
    """
    dtype = plain_dtype(kind)
    if len(shape) > MOST_NESTED or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise BrokenError(f"an array of the shape {shown(shape)}")
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) or (count == 0 and shape[0]):
        raise BrokenError(f"an array of {kind} and the shape {shown(shape)} has {len(data)} bytes")
    if not count:
        return np.zeros((0, *(min(n, 2**20) for n in shape[1:2])), dtype)
    flat = np.frombuffer(data, np.uint8) != 0 if dtype.kind == "b" else np.frombuffer(data, dtype)
    if dtype.kind == "U" and np.frombuffer(data, f"{dtype.byteorder}u4").max() > sys.maxunicode:
        raise BrokenError("an array of text that is no Unicode")
    flat.flags.writeable = False
    return flat.reshape(shape, order="F" if order == "F" else "C")


def shown(shape: Sequence[Any]) -> str:
    """A shape, for a message; what is none can be of any depth."""
    lengths = [str(n) if type(n) is int else type(n).__name__ for n in shape[:8]]
    return f"({', '.join(lengths)}{', …' if len(shape) > 8 else ''})"


@lru_cache(maxsize=100)
def plain_dtype(kind: str) -> np.dtype:
    if kind[:1] not in "<>=|" or not _PLAIN.fullmatch(kind[1:]):
        raise ForbiddenError(f"an array of the type {kind[:40]!r}")
    return np.dtype(kind)
