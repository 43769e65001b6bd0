"""Mutated files of published features: none crashes, hangs or fills the memory, and no number is made up.

``python -m tests.faults.fuzz_pickles --files=10000`` reads so many pickles, and a quarter as many npz and
Parquet files, in a process that would show a crash, and prints a table. A file of a number is always the
same. A file that crashes or hangs the reading process is read again as the pipelines read, which must say so
in a sentence: then it counts as ``held``.
"""

import argparse
import contextlib
import pickletools
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.corpora import CorpusError, pickles, published
from tests.faults.mutations import UTTERANCES, mutated

KINDS = ("pickle", "npz", "parquet")
SECONDS = 20.0
MEMORY = 2**30
ALLOWED = 2**26


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
