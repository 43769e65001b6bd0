"""Files of published features, and what chance makes of them; a file of a number is always the same."""

import contextlib
import io
import pickle
import pickletools
import random
import struct
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

UTTERANCES = pd.DataFrame(
    {
        "utterance_id": [f"d{dialogue}_{turn}" for dialogue in range(3) for turn in range(3)],
        "dialogue_id": [f"d{dialogue}" for dialogue in range(3) for _ in range(3)],
        "position": [*range(3)] * 3,
        "label": "x",
    }
)


def _numbers() -> Iterator[np.ndarray]:
    draw = np.random.default_rng(0)
    for kind in ("<f4", "<f8", ">f4", ">f8", "<f2", "<i8", ">i2", "|u1", "|b1"):
        yield (draw.normal(size=(9, 64)) * 50).astype(kind)


def _contents() -> Iterator[Any]:
    """The layouts that the community has, and those that pickle and NumPy write in another way."""
    ids = UTTERANCES["utterance_id"].tolist()
    for numbers in _numbers():
        yield dict(zip(ids, numbers, strict=True))
        yield {f"d{n}": numbers[3 * n : 3 * n + 3] for n in range(3)}
    by_dialogue = {f"d{n}": [*numbers[3 * n : 3 * n + 3].astype("f4")] for n in range(3)}
    said = {f"d{n}": ["ha\xe9 \u4e00", "'\"\\\n", ""] for n in range(3)}
    names = {f"d{n}": ids[3 * n : 3 * n + 3] for n in range(3)}
    other = [said, names, {"d0": {1, 2}, ("d", 1): frozenset([3])}]
    yield (names, said, said, by_dialogue, by_dialogue, by_dialogue, said, {"d0"}, ["d1"])
    yield OrderedDict((key, np.asfortranarray(np.array(turns))) for key, turns in by_dialogue.items())
    yield defaultdict(list, {key: [turn.tolist() for turn in turns] for key, turns in by_dialogue.items()})
    yield {key: dict(enumerate(turns)) for key, turns in by_dialogue.items()}
    yield {"text": {key: [[*turn] for turn in turns] for key, turns in by_dialogue.items()}, "other": other}
    yield {key: np.array([*turns, None], object)[:-1] for key, turns in by_dialogue.items()}
    yield {"d0": np.array(["a", "b", "c"]), "d1": np.array([b"1", b"2", b"3"]), 2: np.arange(6.0)[::2]}


@cache
def seeds(kind: str) -> list[bytes]:
    """Files that are read as they are, most of them."""
    if kind == "pickle":
        plain = [pickle.dumps(content, protocol) for content in _contents() for protocol in range(6)]
        return plain + [pickletools.optimize(file) for file in plain[::5]]
    ids = UTTERANCES["utterance_id"].to_numpy().astype("U")
    files = []
    for number, numbers in enumerate(_numbers()):
        file = io.BytesIO()
        if kind == "npz":
            save = (np.savez, np.savez_compressed)[number % 2]
            save(file, **dict(zip(ids, numbers, strict=True)))
            files.append(file.getvalue())
            file = io.BytesIO()
            save(file, utterance_id=ids, vectors=np.asfortranarray(numbers))
        else:
            native = numbers.astype(numbers.dtype.newbyteorder("="))
            columns = {"utterance_id": ids.astype(object)}
            if number % 2:
                columns |= {f"mfcc_{place}": native[:, place] for place in range(native.shape[1])}
            else:
                columns["vector"] = [*native]
            packed = ("none", "snappy", "zstd")[number % 3]
            pq.write_table(pa.table(columns), file, compression=packed, use_dictionary=number % 4 < 2)
        files.append(file.getvalue())
    return files


def _flip(draw: random.Random, data: bytearray) -> None:
    for _ in range(draw.choice((1, 1, 2, 8))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _cut(draw: random.Random, data: bytearray) -> None:
    start = draw.randrange(len(data))
    del data[start : draw.choice((len(data), start + draw.randrange(1, 20)))]


def _splice(draw: random.Random, data: bytearray) -> None:
    other = draw.choice(seeds("pickle"))
    start = draw.randrange(len(other))
    piece = other[start : start + draw.randrange(1, 200)]
    place = draw.randrange(len(data))
    data[place : place + draw.choice((0, len(piece)))] = piece


def _repeat(draw: random.Random, data: bytearray) -> None:
    start = draw.randrange(len(data))
    piece = data[start : start + draw.randrange(1, 30)]
    data[start:start] = piece * draw.choice((1, 10, 1000))


def _forge(draw: random.Random, data: bytearray) -> None:
    """Another number where one is: a length, a shape, a place in the memory."""
    form = draw.choice("BHiIqQ")
    values = (0, 1, 2, 127, 128, 255, 2**15, 2**31 - 1, -1, -(2**31), 2**32 - 1, 2**63 - 1, 2**64 - 1, 2**40)
    size = struct.calcsize(form)
    value = draw.choice(values) % 2 ** (8 * size)
    place = draw.randrange(max(1, len(data) - size))
    data[place : place + size] = value.to_bytes(size, "little")


def _rename(draw: random.Random, data: bytearray) -> None:
    """Another type, shape, name or order in the file's text."""
    words = (
        b"f4",
        b"f8",
        b"f2",
        b"i8",
        b"u1",
        b"b1",
        b"O8",
        b"V8",
        b"M8",
        b"U2",
        b"S9",
        b"c8",
        b"<",
        b">",
        b"|",
    )
    names = (
        b"_frombuffer",
        b"_reconstruct",
        b"scalar",
        b"ndarray",
        b"dtype",
        b"encode",
        b"latin1",
        b"OrderedDict",
    )
    there = [word for word in (*words, *names) if word in data]
    if there:
        old = draw.choice(there)
        new = draw.choice(words if old in words else names)
        data[:] = data.replace(old, new, draw.choice((1, 1, -1)))


def _insert(draw: random.Random, data: bytearray) -> None:
    """Instructions between instructions: marks, copies, memory beyond its end, containers in containers."""
    places = [0, len(data) - 1]
    with contextlib.suppress(Exception):
        places += [place for *_, place in pickletools.genops(bytes(data)) if place is not None]
    pieces = [bytes([draw.randrange(256)]) for _ in range(3)]
    pieces += [
        b"(",
        b"0",
        b"1",
        b"2",
        b"R",
        b"b",
        b".",
        b"t",
        b"e",
        b"u",
        b"s",
        b"a",
        b"d",
        b"l",
        b"h\xff",
        b"q\xff",
    ]
    pieces += [
        b"j\xff\xff\xff\xff",
        b"r\xff\xff\xff\x7f",
        b"p99999999\n",
        b"g-1\n",
        b"p-1\n",
        b"T\xff\xff\xff\xff",
    ]
    pieces += [
        b"B\xff\xff\xff\xff",
        b"\x8e" + b"\xff" * 8,
        b"\x8b\xff\xff\xff\xff",
        b"\x8a\xffabc",
        b"\x93",
        b"\x81",
    ]
    pieces += [b"]" * 300 + b"a" * 300, b")" + b"\x85" * 2000, b"\x8f" * 500, b"}" * 99, b"]2ae"]
    pieces += [
        b"]" + b"2\x86" * draw.choice((10, 40, 5000)),
        b"(lp0\n" + b"(g0\ng0\nlp0\n" * 40,
        b"cos\nsystem\n",
    ]
    pieces += [
        b"c__builtin__\nrange\n(I0\nI99999999999\ntR",
        b"I" + b"9" * 5000 + b"\n",
        b"N",
        b"G" + b"\xff" * 8,
    ]
    for _ in range(draw.choice((1, 1, 3))):
        place = draw.choice(places)
        data[place : place + draw.choice((0, 0, 1))] = draw.choice(pieces)


_BLIND = (_flip, _flip, _cut, _splice, _repeat, _forge, _rename)


def mutated(kind: str, number: int) -> bytes:
    """File ``number`` of a kind."""
    draw = random.Random(f"{kind} {number}")
    data = bytearray(draw.choice(seeds(kind)))
    mutations: tuple[Callable[[random.Random, bytearray], None], ...] = _BLIND
    if kind == "pickle":
        mutations += (_insert,) * 3
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        if kind == "npz" and draw.random() < 0.7:
            data = _repacked(draw, bytes(data))
        elif data:
            draw.choice(mutations)(draw, data)
    return bytes(data)


def _repacked(draw: random.Random, data: bytes) -> bytearray:
    """An npz with one mutated member, whose checksum is right."""
    file = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
            chosen = draw.choice(old.namelist())
            for name in old.namelist():
                content = bytearray(old.read(name))
                if name == chosen and content:
                    draw.choice(_BLIND)(draw, content)
                packed = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
                # A name alone would have the time of day in the file.
                new.writestr(zipfile.ZipInfo(name), bytes(content), packed)
    except Exception:  # it was broken before
        return bytearray(data)
    return bytearray(file.getvalue())
