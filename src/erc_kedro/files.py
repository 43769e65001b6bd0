"""Files that appear whole or not at all, and outputs that one run at a time writes.

What is written goes beside its target first, under a name that no other process uses, and is renamed when
it is on the disk. A run holds a lock on each of its outputs, which its end, however it comes, releases.
"""

import hashlib
import itertools
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from erc_kedro import processes
from erc_kedro.surroundings import writing

logger = logging.getLogger(__name__)

# The folder of locks.
LOCKS = ".locks"
# What lies beside a target for longer was left by a process that was killed, on another machine perhaps.
_FORGOTTEN_S = 86_400.0
_count = itertools.count()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to, which takes its place if all goes well, and else is removed.

    Raises:
        PlainError: there is no space, or no permission.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        beside = _beside(path)
        try:
            yield beside
            _to_disk(beside)
            os.replace(beside, path)
            _to_disk(path.parent)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside ``path`` to fill, which takes its place if all goes well, and else is removed.

    Killed in between, a run leaves the earlier folder, none, or the new one; never a part of one.

    Raises:
        PlainError: there is no space, or no permission.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        beside, before = _beside(path), _beside(path)
        beside.mkdir()
    try:
        yield beside
        with held([path]):
            with suppress(FileNotFoundError):
                path.rename(before)
            beside.rename(path)
    finally:
        for left in (beside, before):
            shutil.rmtree(left, ignore_errors=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{next(_count)}.part")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _machine() -> str:
    return hashlib.sha256(processes.machine().encode()).hexdigest()[:8]


def _sweep(path: Path) -> None:
    """Removes what killed processes left beside a target."""
    left = re.compile(rf"\.{re.escape(path.name)}\.(\w+)-(\d+)-\d+\.part")
    with os.scandir(path.parent) as entries:
        found = [(entry, match) for entry in entries if (match := left.fullmatch(entry.name))]
    for entry, (machine, pid) in ((entry, match.groups()) for entry, match in found):
        try:
            if machine == _machine():
                gone = not processes.exists(int(pid))
            else:
                gone = time.time() - entry.stat().st_mtime > _FORGOTTEN_S
            if gone and entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif gone:
                os.unlink(entry.path)
        except FileNotFoundError:
            # Another process was faster.
            continue


@contextmanager
def held(paths: list[Path]) -> Iterator[None]:
    """Has the only right to write these files or folders, and waits for it while another run has it.

    Raises:
        PlainError: a lock cannot be made there.
    """
    from filelock import FileLock, Timeout

    with ExitStack() as locks:
        # All runs take them in one order, so that none waits for one that waits for it.
        for path in sorted({path.resolve() for path in paths}):
            lock_path = _lock_of(path)
            with writing(path):
                lock_path.parent.mkdir(parents=True, exist_ok=True)
                # One object a path: a process may take a lock that it has.
                lock = FileLock(lock_path, thread_local=False, is_singleton=True, on_acquired=_sign)
                try:
                    locks.enter_context(lock.acquire(timeout=0))
                except Timeout:
                    logger.warning(
                        "%s is being written by %s; waiting until that is done (Ctrl-C ends this run alone)",
                        path,
                        _by(lock_path),
                    )
                    locks.enter_context(lock.acquire(poll_interval=0.2))
                    logger.info("%s is free, going on", path)
        yield


def share(source: Path, target: Path) -> None:
    """A second name for weights, which nobody writes over; a copy of all else, and across disks."""
    if source.suffix == ".safetensors":
        with suppress(OSError):
            # The hub's cache holds links, which would lead nowhere from here.
            os.link(source.resolve(), target)
            return
    shutil.copyfile(source, target)


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_lock(path: Path) -> None:
    """Removes the lock file of what is gone for good; it has the name of what it was for."""
    _lock_of(path.resolve()).unlink(missing_ok=True)


def _lock_of(path: Path) -> Path:
    """In the project's own folder of locks, if the path lies in a project, and else beside it."""
    project = next((folder for folder in path.parents if (folder / "pyproject.toml").is_file()), None)
    if project is None:
        return path.parent / LOCKS / path.name
    name = path.relative_to(project).as_posix()
    # Two paths that read alike with full stops differ in this.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return project / LOCKS / f"{name.replace('/', '.')[-200:]}.{digest}"


def _sign(handle: int) -> None:
    own = {"pid": os.getpid(), "command": processes.command(), "since": time.time()}
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(own).encode(), 0)


def _by(lock_path: Path) -> str:
    try:
        holder = json.loads(lock_path.read_text("utf-8"))
        since = datetime.fromtimestamp(holder["since"]).astimezone().strftime("%H:%M:%S")
        return f"`{holder['command']}` (process {holder['pid']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"
