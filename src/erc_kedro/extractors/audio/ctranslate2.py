"""Reads ``model.bin``, the file that CTranslate2 keeps a model in; a plain list of arrays, no pickle."""

import math
import os
import struct
from pathlib import Path

import numpy as np

# Of the file's layout; what converters write since 2021.
VERSION = 6
# By the number that stands for each in the file; the next, bfloat16, NumPy does not know.
_TYPES = ("<f4", "<i1", "<i2", "<i4", "<f2")


def read(path: Path, spec: str, prefix: str) -> dict[str, np.ndarray]:
    """Variables of a model by name, as they are stored.

    Args:
        spec: what kind of model it must be, such as WhisperSpec.
        prefix: of the names that are wanted; others are not loaded.

    Raises:
        ValueError: it is no such file, it is cut off, or its sizes contradict each other; no more than
            the file's size is ever allocated.
    """
    size = path.stat().st_size
    places = {}
    with path.open("rb") as file:

        def claim(count: int) -> int:
            left = size - file.tell()
            if count > left:
                raise ValueError(f"{path} is cut off, or no model: {count} bytes more wanted, {left} left")
            return count

        def number(kind: str) -> int:
            return int(struct.unpack(f"<{kind}", file.read(claim(struct.calcsize(f"<{kind}"))))[0])

        def text() -> str:
            return file.read(claim(number("H"))).rstrip(b"\0").decode(errors="replace")

        version = number("I")
        if version != VERSION:
            raise ValueError(f"{path} is no model in CTranslate2's layout {VERSION}; it says {version}")
        found = text()
        if found != spec:
            raise ValueError(f"{path} holds a {found!r}, not a {spec}")
        number("I")  # The spec's revision: later ones have more variables.
        for _ in range(number("I")):
            name = text()
            shape = tuple(number("I") for _ in range(number("B")))
            kind, count = number("B"), claim(number("I"))
            # A size of 0 would let another one be anything.
            if kind >= len(_TYPES) or not 0 < count == math.prod(shape) * np.dtype(_TYPES[kind]).itemsize:
                raise ValueError(f"{path}: {name!r}, {shape} of type {kind}, cannot have {count} bytes")
            places[name] = (file.tell(), count, _TYPES[kind], shape)
            file.seek(count, os.SEEK_CUR)
        for _ in range(number("I")):
            alias, name = text(), text()
            if name not in places:
                raise ValueError(f"{path}: {alias!r} stands for {name!r}, which is not there")
            places[alias] = places[name]
        if file.tell() != size:
            raise ValueError(f"{path} goes on for {size - file.tell()} bytes behind its end")
        wanted = {name: place for name, place in places.items() if name.startswith(prefix)}
        arrays = {}
        # Once each, however many names stand for it.
        for place in set(wanted.values()):
            where, count, type_, shape = place
            file.seek(where)
            arrays[place] = np.frombuffer(file.read(count), type_).reshape(shape)
        return {name: arrays[place] for name, place in wanted.items()}
