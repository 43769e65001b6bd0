"""Vectors by content: what a file, an extractor and its settings once gave is never computed again."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from erc_kedro.extractors.base import ExtractionError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, reason TEXT, detail TEXT, facts TEXT, vector BLOB);
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, status TEXT, digest TEXT);
"""


@dataclass(frozen=True)
class Result:
    """What one modality of an utterance gave.

    Attributes:
        reason: "ok", or why there is no vector.
        detail: more about the reason, for a person; of one that is ok, what was done with its file.
        vector: float32 [dimension], None unless ok.
        facts: figures for the quality page.
        lasting: False where another run may see otherwise; not stored.
    """

    reason: str
    detail: str = ""
    vector: np.ndarray | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    lasting: bool = True


def matrix(results: Sequence[Result], dimension: int) -> np.ndarray:
    """Vectors of results, float32 [len(results), dimension]; zeros where there is none."""
    vectors = np.zeros((len(results), dimension), np.float32)
    for row, result in enumerate(results):
        if result.vector is not None:
            vectors[row] = result.vector
    return vectors


class Cache:
    """Results by key, in one SQLite file: each is there whole or not at all, whatever happens to the process.

    Several processes may use it at once.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "features.sqlite"
        with self._trouble():
            folder.mkdir(parents=True, exist_ok=True)
            self._store = sqlite3.connect(self._path, timeout=60)
            self._store.execute("PRAGMA journal_mode=WAL")
            # A killed process loses nothing by it; a power cut may cost the last results, never the file.
            self._store.execute("PRAGMA synchronous=NORMAL")
            self._store.executescript(_SCHEMA)

    def close(self) -> None:
        self._store.close()

    def get(self, keys: Iterable[str]) -> dict[str, Result]:
        """Those of the keys that are known."""
        found = {}
        with self._trouble():
            rows = self._store.execute(
                "SELECT * FROM results WHERE key IN (SELECT value FROM json_each(?))", [json.dumps([*keys])]
            )
            for key, reason, detail, facts, vector in rows:
                features = None if vector is None else np.frombuffer(vector, np.float32)
                found[key] = Result(reason, detail, features, json.loads(facts))
        return found

    def put(self, results: dict[str, Result]) -> None:
        """Keeps results, all of them or none."""
        rows = [
            (
                key,
                result.reason,
                result.detail,
                json.dumps(result.facts),
                None if result.vector is None else result.vector.astype(np.float32).tobytes(),
            )
            for key, result in results.items()
        ]
        with self._trouble(), self._store:
            self._store.executemany("INSERT OR REPLACE INTO results VALUES (?,?,?,?,?)", rows)

    def digests(self, files: dict[Path, os.stat_result], jobs: int) -> Iterator[tuple[Path, str | None]]:
        """SHA-256 of files' contents; read again only where a file's status says that it may have changed.

        Yields:
            file and digest; None for a file that cannot be read.
        """
        now = {str(path): repr(status(stat)) for path, stat in files.items()}
        with self._trouble():
            rows = self._store.execute(
                "SELECT * FROM files WHERE path IN (SELECT value FROM json_each(?))", [json.dumps([*now])]
            )
            known: dict[str, str] = {path: digest for path, seen, digest in rows if seen == now[path]}
        unknown = [path for path in files if str(path) not in known]
        yield from ((path, known[str(path)]) for path in files if str(path) in known)
        with ThreadPoolExecutor(jobs) as pool:
            for path, digest in zip(unknown, pool.map(_digest, unknown), strict=True):
                if digest is not None:
                    with self._trouble(), self._store:
                        row = (str(path), now[str(path)], digest)
                        self._store.execute("INSERT OR REPLACE INTO files VALUES (?,?,?)", row)
                yield path, digest

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ExtractionError(
                f"{self._path}: {error}. Free the disk, or, if the file is broken, delete it; then run "
                "again: only what is not in it is extracted"
            ) from error


def status(stat: os.stat_result) -> tuple[int, ...]:
    """What changes when a file's content does."""
    # The time of change, which no program can set, shows a file that was written over at its old time.
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
