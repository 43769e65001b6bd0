"""Mutated files of published features: none crashes, hangs or fills the memory, and no number is made up.

``python -m tests.faults.fuzz_pickles --files=10000`` reads so many pickles, and a quarter as many npz and
Parquet files, in a process that would show a crash, and prints a table. A file of a number is always the
same. A file that crashes or hangs the reading process is read again as the pipelines read, which must say so
in a sentence: then it counts as ``held``.
"""

import argparse
import contextlib
import io
import pickle
import pickletools
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from erc_kedro.corpora import CorpusError, pickles, published

KINDS = ("pickle", "npz", "parquet")
SECONDS = 20.0
MEMORY = 2**30
ALLOWED = 2**26

UTTERANCES = pd.DataFrame(
    {
        "utterance_id": [f"d{dialogue}_{turn}" for dialogue in range(3) for turn in range(3)],
        "dialogue_id": [f"d{dialogue}" for dialogue in range(3) for _ in range(3)],
        "position": [*range(3)] * 3,
        "label": "x",
    }
)


# Valid files


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


# Mutations


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
                new.writestr(name, bytes(content), draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    except Exception:  # it was broken before
        return bytearray(data)
    return bytearray(file.getvalue())


# What must hold


def check(kind: str, number: int, folder: Path) -> str:
    """Read one file; whether it was ``read`` or ``refused``.

    Raises:
        AssertionError: a number is not in the file.
        Exception: any that no user should see.
    """
    data = mutated(kind, number)
    path = folder / f"f.{'pkl' if kind == 'pickle' else kind}"
    path.write_bytes(data)
    if kind == "pickle":
        _trace(data)
    try:
        table = published.read(path, UTTERANCES, ("text", "audio", "visual")[number % 3])
    except CorpusError as error:
        return "refused" if str(path) in str(error) else "foreign: the file is not named"
    if kind == "npz":
        content = b""
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with contextlib.suppress(zipfile.BadZipFile):  # none that was wanted
                    content += archive.read(name)
        _in_bytes(table, content)
    if kind == "parquet":
        again = published.read(path, UTTERANCES, ("text", "audio", "visual")[number % 3])
        assert np.array_equal(np.stack(table["vector"]), np.stack(again["vector"]))
    return "read"


def _trace(data: bytes) -> None:
    """Every number and byte of a pickle's value is an argument of an instruction, as pickletools reads it."""
    try:
        value = pickles.loads(data, ALLOWED)
    except (pickles.BrokenError, pickles.ForbiddenError, pickles.TooLargeError):
        return
    # What pickletools cannot read, such as a protocol that a frame lies about, is read from its start on.
    texts: list[bytes] = []
    numbers: set[Any] = {True, False, None}
    ranges = False
    with contextlib.suppress(ValueError):
        for code, argument, _ in pickletools.genops(data):
            ranges |= code.name in ("GLOBAL", "STACK_GLOBAL")
            if isinstance(argument, int | float):
                numbers.add(repr(float(argument)))
            elif isinstance(argument, str | bytes | bytearray):
                raw = (
                    argument.encode("utf-8", "surrogatepass")
                    if isinstance(argument, str)
                    else bytes(argument)
                )
                latin = _latin1(argument) if isinstance(argument, str) else raw
                texts += [raw, latin]
    small = {
        repr(float(np.frombuffer(text, order + form)[0]))
        for text in texts
        if 1 <= len(text) <= 8
        for order in "<>"
        for form in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
        if np.dtype(form).itemsize == len(text)
    }
    for leaf in _leaves(value):
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind != "b":
            raws = [leaf.tobytes("C"), leaf.tobytes("F")]
            raws += [leaf.transpose(0, 2, 1).tobytes()] if leaf.ndim == 3 else []
            assert any(raw in text for raw in raws for text in texts) or not leaf.size, leaf
        elif isinstance(leaf, float | int) and not isinstance(leaf, bool):
            assert repr(float(leaf)) in numbers or repr(float(leaf)) in small or ranges, leaf
        elif isinstance(leaf, bytes):
            assert leaf in texts or not leaf, leaf


def _latin1(text: str) -> bytes:
    try:
        return text.encode("latin1")
    except UnicodeEncodeError:
        return b""


def _leaves(value: Any) -> Iterator[Any]:
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set):
            todo += value
        else:
            yield value


def _in_bytes(table: pd.DataFrame, content: bytes) -> None:
    """Every number is somewhere in the content, as a number of some kind."""
    for vector in table.loc[table["present"], "vector"]:
        for number in np.unique(vector):
            with np.errstate(invalid="ignore", over="ignore"):
                forms = [number.astype(form) for form in ("<f4", ">f4", "<f2", ">f2")]
                forms += [number.astype(order + form) for form in ("i1", "i2", "i8", "u1") for order in "<>"]
            wide = [np.float64(number).astype(order + "f8").tobytes() for order in "<>"]
            # A float64 is rounded, so that its last half is another; integers and booleans are whole.
            rounded = [wide[0][5:], wide[1][:3]]
            found = any(form.tobytes() in content for form in forms) or any(w in content for w in rounded)
            assert found, number


# The process that would show a crash


def _work(kind: str, start: int, stop: int) -> None:
    """Check files, and say of each its outcome, seconds and the process's memory."""
    with contextlib.suppress(ValueError, OSError), open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(start, stop):
            began = time.monotonic()
            try:
                outcome = check(kind, number, Path(folder))
            except AssertionError as error:
                outcome = f"foreign {str(error)[:80]!r}"
            except Exception as error:
                outcome = f"error {type(error).__name__} {str(error)[:80]!r}"
            seconds = time.monotonic() - began
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(number, f"{seconds:.3f}", peak, outcome, flush=True)


def _run(kind: str, files: int) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("read", "refused", "error", "foreign", "held", "crash", "hang"), 0)
    row |= {"slowest s": 0.0, "growth MB": 0}
    at = 0
    while at < files:
        command = [
            sys.executable,
            "-m",
            "tests.faults.fuzz_pickles",
            f"--work={kind}",
            f"--files={at},{files}",
        ]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        first, done = None, at
        deadline = Deadline(worker)
        for line in worker.stdout:
            deadline.put_off()
            number, seconds, peak, outcome = line.rstrip("\n").split(" ", 3)
            row[outcome.split(" ")[0]] += 1
            if outcome.split(" ")[0] in ("error", "foreign"):
                print(kind, number, outcome, file=sys.stderr)
            # The first files load what every one needs.
            first = int(peak) if int(number) == min(at + 50, files - 1) or first is None else first
            row["slowest s"] = max(row["slowest s"], float(seconds))
            row["growth MB"] = max(row["growth MB"], (int(peak) - first) // 1024)
            done = int(number) + 1
        code = worker.wait()
        deadline.stop()
        if code != 0:
            held = kind == "parquet" and not deadline.passed and _held(kind, done)
            row["held" if held else "hang" if deadline.passed else "crash"] += 1
            print(kind, done, f"exit code {code}", file=sys.stderr)
            done += 1
        at = done
    return {"kind": kind, "files": files} | row


def _held(kind: str, number: int) -> bool:
    """Whether the pipelines' way to read a file ends in a sentence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"f.{kind}"
        path.write_bytes(mutated(kind, number))
        try:
            published.read_apart(path, UTTERANCES, ("text", "audio", "visual")[number % 3])
        except CorpusError:
            return True
    return False


class Deadline:
    """Ends a worker that says nothing for ``SECONDS``; its start is allowed as much again."""

    def __init__(self, worker: subprocess.Popen[str]) -> None:
        import threading

        self.passed = False
        self.until = time.monotonic() + 3 * SECONDS
        self.worker = worker
        self.over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def put_off(self) -> None:
        self.until = time.monotonic() + SECONDS

    def stop(self) -> None:
        self.over.set()

    def _watch(self) -> None:
        while not self.over.wait(0.5):
            if time.monotonic() > self.until:
                self.passed = True
                self.worker.kill()
                return


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", default="10000")
    parser.add_argument("--work", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        start, stop = map(int, arguments.files.split(","))
        _work(arguments.work, start, stop)
        return
    files = int(arguments.files)
    rows = [_run(kind, files if kind == "pickle" else files // 4) for kind in KINDS]
    print(pd.DataFrame(rows).to_string(index=False))
    bad = sum(row[name] for row in rows for name in ("error", "foreign", "crash", "hang"))
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
