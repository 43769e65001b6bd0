"""What a machine lacks, in a sentence with the fix: disk, memory, permissions, worker processes."""

import errno
import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from erc_kedro.errors import PlainError

logger = logging.getLogger(__name__)

# What to lower, the first of which is the number of worker processes, by the pipeline that wants less.
LOWER = {
    "demo": ("demo.n_jobs",),
    "features": ("features.runner.n_jobs", "features.text.batch_size"),
    "finetune": ("finetune.jobs", "finetune.batch_utterances", "finetune.batch_tokens"),
    "train": ("train.jobs", "train.batch_utterances", "train.model.hidden"),
    "compare": ("train.jobs", "train.batch_utterances", "train.model.hidden"),
    "tune": ("tune.workers", "train.batch_utterances", "train.model.hidden"),
    "reporting": ("train.threads",),
}
# Something else lies where a file or folder is to be.
_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
_NO_SPACE = ("no space left on device", "disk is full", "disk full", "disk quota exceeded")
_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc")
_DIED = {
    "BrokenExecutor",
    "BrokenProcessPool",
    "KilledWorker",
    "ProcessExitedException",
    "TerminatedWorkerError",
}
_OPEN_UP = (
    "Give this account the right to it, or mount it writable; `data: FOLDER` in conf/local/globals.yml "
    "has runs write elsewhere"
)
_LEFT_WHOLE = "nothing half-written was kept, and what is finished is reused by the next run"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Lets what a full disk or a missing right ends be a PlainError that names the file.

    Few libraries say which file they were writing.
    """
    try:
        yield
    except Exception as error:
        said = explained(error, path)
        if said is None:
            raise
        raise PlainError(said) from error


def explained(error: BaseException, writes: Path | None = None) -> str | None:
    """Why a run ended and the fix, if it ended of its surroundings; None if it ended of anything else.

    Args:
        writes: the file that was being written.
    """
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, PlainError):
            return str(one)
    for one in chain:
        # Not of errors that may quote data.
        speaks = isinstance(one, RuntimeError | OSError | sqlite3.Error)
        speaks = speaks or type(one).__name__ == "SafetensorError"
        said = str(one).lower() if speaks else ""
        number = one.errno if isinstance(one, OSError) else None
        path = str(writes) if writes else getattr(one, "filename", None)
        if number in (errno.ENOSPC, errno.EDQUOT) or any(words in said for words in _NO_SPACE):
            return _no_space(path)
        if number == errno.EFBIG or "file too large" in said:
            return (
                f"{path or 'a file'} outgrew what this account may write; raise it (ulimit -f) and run again"
            )
        if number in (errno.EROFS, errno.EACCES, errno.EPERM) and path is not None:
            return f"{path}: {os.strerror(number)}. {_OPEN_UP}"
        if isinstance(one, OSError) and number in _IN_THE_WAY and writes is not None:
            return (
                f"{writes} cannot be written: {one.filename or writes}: {os.strerror(number)}. "
                "Move away what lies there, and run again"
            )
        if (
            isinstance(one, MemoryError)
            or number == errno.ENOMEM
            or any(words in said for words in _NO_MEMORY)
        ):
            return f"memory ran out ({_first_line(one)}); {_lower(error, 0)}"
        if type(one).__name__ in _DIED:
            return (
                "a worker process was killed, most likely since memory ran out (the system's log says so); "
                f"{_lower(error, 1)}"
            )
    return None


def unwritable(path: Path) -> str | None:
    """Why nothing can be written at a path, and the fix; None if something can.

    Args:
        path: need not exist, nor need its folders.
    """
    folder = next(one for one in (path, *path.absolute().parents) if one.is_dir())
    if os.access(folder, os.W_OK | os.X_OK):
        return None
    return f"{folder} cannot be written to. {_OPEN_UP}"


@cache
def workers(asked: int, parameter: str) -> int:
    """So many worker processes; 1, and a sentence in the log, where this machine has no means for more.

    Args:
        asked: by the parameter of this name; below 0: any number.
    """
    if asked != 1 and not _has_semaphores():
        logger.warning(
            "%s is %d, but this machine has no semaphores to share between processes (/dev/shm is missing or "
            "read-only; in a container: --shm-size=1g); everything is done by this process alone, with the "
            "same outcome",
            parameter,
            asked,
        )
        return 1
    return asked


def _has_semaphores() -> bool:
    try:
        import multiprocessing

        multiprocessing.Lock()
    except (ImportError, OSError):
        return False
    return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _no_space(path: str | None) -> str:
    folder = _disk(path)
    return (
        f"no space is left on the disk of {path or folder} ({_free(folder) / 2**20:.0f} MB free); free some, "
        f"or write elsewhere (`data: FOLDER` in conf/local/globals.yml), and run again: {_LEFT_WHOLE}"
    )


def _disk(path: str | None) -> Path:
    if path:
        return Path(path).absolute().parent
    # The fullest of those that are written to.
    return min((Path.cwd(), Path.cwd() / "data", Path(tempfile.gettempdir())), key=_free)


def _free(folder: Path) -> float:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return float("inf")


def _lower(error: BaseException, least: int) -> str:
    for one in _chain(error):
        trace = one.__traceback__
        while trace is not None:
            module = str(trace.tb_frame.f_globals.get("__name__")).split(".")
            if module[:2] == ["erc_kedro", "pipelines"] and len(module) > 2 and module[2] in LOWER:
                return _said(LOWER[module[2]])
            trace = trace.tb_next
    return _said(tuple(dict.fromkeys(names[0] for names in LOWER.values())))


def _said(names: tuple[str, ...]) -> str:
    return f"lower {' or '.join(names)}, or end what else fills it, and run again: {_LEFT_WHOLE}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
