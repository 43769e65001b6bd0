"""A release's files, found by their names wherever its archive nests them."""

import os
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar

from erc_kedro.corpora import CorpusError

# Folders below the raw folder that are looked into.
DEPTH = 3

Key = TypeVar("Key", bound=Hashable)


def files_by(raw: Path, key: Callable[[Path], Key | None]) -> dict[Key, Path]:
    """The files that are wanted of a folder and up to ``DEPTH`` folders below it, hidden ones left out.

    Args:
        key: what a file is, by its path below ``raw``; None for one that is not wanted.

    Returns:
        key to path, the one nearest to the top where copies are alike.

    Raises:
        CorpusError: two files of one key differ.
    """
    found: dict[Key, Path] = {}
    for folder, folders, files in os.walk(raw):
        below = Path(folder).relative_to(raw)
        kept = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        folders[:] = kept if len(below.parts) < DEPTH else []
        for name in sorted(files):
            what = None if name.startswith(".") else key(below / name)
            if what is None:
                continue
            path = raw / below / name
            other = found.setdefault(what, path)
            if other != path and other.read_bytes() != path.read_bytes():
                raise CorpusError(
                    f"{other} and {path} differ; keep the one that is meant, move the other away"
                )
    return found
