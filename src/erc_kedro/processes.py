"""Processes that are known again, and workers that end with their parent."""

import os
import platform
import threading
import time
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_random_generator = threading.RLock()


def draws_alone(function: Callable[P, R]) -> Callable[P, R]:
    """Lets no two threads of a process be in functions so marked at once.

    PyTorch has one random generator a process: what seeds it must not share it until its last draw.
    """

    @wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with _random_generator:
            return function(*args, **kwargs)

    return alone


@cache
def machine() -> str:
    """A name for where process numbers mean something: this boot of this host or container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{platform.node()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def identity() -> tuple[int, float]:
    """This process's number and when it was started, since numbers are used again."""
    return os.getpid(), _started(os.getpid()) or 0.0


def alive(pid: int, started: float) -> bool:
    """Whether the process of this number on this machine is the one that was started then."""
    found = _started(pid)
    return found is not None and abs(found - started) < 2


def _started(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


@cache
def end_with_parent() -> None:
    """From now on this worker ends when its parent does: killed, a parent cannot tell its workers."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
