"""Processes that are known again, that hear interruptions, and workers that end with their parent."""

import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeVar

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
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
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


def exists(pid: int) -> bool:
    """Whether any process of this machine has this number."""
    import psutil

    return psutil.pid_exists(pid)


def command() -> str:
    """What was typed to start this process."""
    return " ".join(["kedro", *sys.argv[1:]])


def tied() -> dict[str, Any]:
    """Options for a pool of loky's or joblib's, by which its workers end when this process does.

    Killed, a parent cannot tell its workers, which would go on beside the run that takes its place.
    """
    return {"initializer": end_with, "initargs": (os.getpid(),)}


def end_with(parent: int) -> None:
    """From now on this process ends when its parent does, which is gone already if its number is another."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def hear_interruptions() -> None:
    """Sees to it that Ctrl-C and a polite kill unwind this process, wherever they hit it.

    Python cannot raise out of a finaliser or a callback of C code; there the exception would be printed and
    forgotten, and the run would go on.
    """
    if threading.current_thread() is not threading.main_thread():
        # Signals are the main thread's affair.
        return
    # A polite kill unwinds like Ctrl-C, so that children end and files close.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _leave)
    before = sys.unraisablehook

    def raise_again(lost: Any) -> None:
        again = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}.get(lost.exc_type)
        if again is None or threading.current_thread() is not threading.main_thread():
            return before(lost)
        # At once it would be raised in here, and lost in turn.
        main = threading.main_thread().ident
        assert main is not None
        later = threading.Timer(0.05, signal.pthread_kill, (main, again))
        later.daemon = True
        return later.start()

    if before is sys.__unraisablehook__:
        sys.unraisablehook = raise_again


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
