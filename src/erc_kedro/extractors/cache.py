"""Vectors by content: what a file, an extractor and its settings once gave is never computed again."""

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
import pandas as pd

from erc_kedro.extractors.base import ExtractionError
from erc_kedro.files import sha256

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results
    (key TEXT PRIMARY KEY, reason TEXT, detail TEXT, facts TEXT, vector BLOB, digest TEXT);
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, status TEXT, digest TEXT);
CREATE TABLE IF NOT EXISTS contents (path TEXT, digest TEXT, PRIMARY KEY (path, digest));
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
        key: under which the cache has it, if it has; None for one that comes from no file.
    """

    reason: str
    detail: str = ""
    vector: np.ndarray | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    lasting: bool = True
    key: str | None = None


def feature_table(ids: Iterable[str], vectors: Iterable[np.ndarray], reasons: Iterable[str]) -> pd.DataFrame:
    """One modality of some utterances as ``schemas.features``; what has the reason ok is present."""
    table = pd.DataFrame({"utterance_id": list(ids), "vector": list(vectors), "reason": list(reasons)})
    table.insert(2, "present", table["reason"] == "ok")
    return table


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
            self._add_digests()

    def _add_digests(self) -> None:
        """Results of stores from before there was ``forget`` have none."""
        columns = self._store.execute("PRAGMA table_info(results)").fetchall()
        if "digest" not in {name for _, name, *_ in columns}:
            try:
                self._store.execute("ALTER TABLE results ADD COLUMN digest TEXT")
            except sqlite3.OperationalError as error:
                # Another process was faster.
                if "duplicate column" not in str(error):
                    raise
        self._store.execute(
            "CREATE INDEX IF NOT EXISTS of_files ON results (digest) WHERE digest IS NOT NULL"
        )

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *ended_by: object) -> None:
        self.close()

    def close(self) -> None:
        self._store.close()

    def get(self, keys: Iterable[str]) -> dict[str, Result]:
        """Those of the keys that are known."""
        found = {}
        with self._trouble():
            rows = self._store.execute(
                "SELECT key, reason, detail, facts, vector FROM results "
                "WHERE key IN (SELECT value FROM json_each(?))",
                [json.dumps([*keys])],
            )
            for key, reason, detail, facts, vector in rows:
                features = None if vector is None else np.frombuffer(vector, np.float32)
                found[key] = Result(reason, detail, features, json.loads(facts))
        return found

    def count(self, keys: Iterable[str]) -> int:
        """How many of the keys are known."""
        with self._trouble():
            [number] = self._store.execute(
                "SELECT count(*) FROM results WHERE key IN (SELECT value FROM json_each(?))",
                [json.dumps([*keys])],
            ).fetchone()
        return int(number)

    def put(self, results: dict[str, Result], digest: str | None = None) -> None:
        """Keeps results, all of them or none.

        Args:
            digest: of the file that they come from, by which they can be forgotten.
        """
        rows = [
            (
                key,
                result.reason,
                result.detail,
                json.dumps(result.facts),
                None if result.vector is None else result.vector.astype(np.float32).tobytes(),
                digest,
            )
            for key, result in results.items()
        ]
        with self._trouble(), self._store:
            self._store.executemany("INSERT OR REPLACE INTO results VALUES (?,?,?,?,?,?)", rows)

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
                        # A name may have had others before.
                        self._store.execute(
                            "INSERT OR IGNORE INTO contents VALUES (?,?)", (str(path), digest)
                        )
                yield path, digest

    def forget(self, files: Iterable[Path] = (), keys: Iterable[str] = ()) -> int:
        """Removes what is known of files, and results by their keys, from the disk, too.

        Args:
            files: media files, by the names that they were extracted under: all contents that they had, also
                under other names. They may be gone. Results from before there was ``forget`` are found by
                their keys alone.

        Returns:
            how many results there were.
        """
        names = json.dumps([str(path) for path in files])
        with self._trouble():
            # What is deleted is overwritten with zeros.
            self._store.execute("PRAGMA secure_delete=ON")
            with self._store:
                rows = self._store.execute(
                    "SELECT digest FROM (SELECT path, digest FROM files UNION SELECT * FROM contents) "
                    "WHERE path IN (SELECT value FROM json_each(?))",
                    [names],
                )
                digests = json.dumps([digest for (digest,) in rows])
                removed = self._store.execute(
                    "DELETE FROM results WHERE digest IN (SELECT value FROM json_each(?)) "
                    "OR key IN (SELECT value FROM json_each(?))",
                    [digests, json.dumps([*keys])],
                ).rowcount
                for table in ("files", "contents"):
                    self._store.execute(
                        f"DELETE FROM {table} WHERE digest IN (SELECT value FROM json_each(?))", [digests]
                    )
            self._store.execute("VACUUM")
            # The journal has the pages as they were.
            self._store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(removed)

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
        return sha256(path)
    except OSError:
        return None
