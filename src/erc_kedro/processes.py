"""Processes that are known again, that hear interruptions, workers that end with their parent, and
Dask's."""

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

from erc_kedro.errors import PlainError

P = ParamSpec("P")
R = TypeVar("R")

# How long a Dask scheduler may take to answer.
ANSWER_S = 10.0

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


def exists(pid: int) -> bool:
    """Whether any process of this machine has this number."""
    import psutil

    return psutil.pid_exists(pid)


def command() -> str:
    """What was typed to start this process."""
    return " ".join(["kedro", *sys.argv[1:]])


def pool_options() -> dict[str, Any]:
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


# The signal that this process is being ended by, if it is.
_interruption: int | None = None


def handle_signals() -> None:
    """From now on Ctrl-C and a polite kill unwind this process, wherever they hit it.

    What is raised in a finaliser or a callback of C code, Python prints and forgets: there it is raised
    again. What a library catches is raised by the next :func:`raise_if_interrupted`.
    """
    global _interruption
    _interruption = None
    if threading.current_thread() is not threading.main_thread():
        # Signals are the main thread's affair.
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _raise_again


def restore_signals() -> None:
    """From now on signals do what they did before :func:`handle_signals`, and the last one is over.

    Where a run ends and its process goes on, as in a notebook, it must not end what is done there later.
    """
    global _interruption
    _interruption = None
    if threading.current_thread() is threading.main_thread():
        for number, before in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) is _interrupt:
                signal.signal(number, before)


def raise_if_interrupted() -> None:
    """Ends a process that was told to end and went on, since a library caught the exception."""
    if _interruption is not None and threading.current_thread() is threading.main_thread():
        _interrupt(_interruption, None)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interruption
    _interruption = number
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def _raise_again(lost: Any) -> None:
    main = threading.main_thread()
    if _interruption is None or threading.current_thread() is not main:
        return sys.__unraisablehook__(lost)
    # At once it would be raised in here, and lost in turn.
    assert main.ident is not None
    later = threading.Timer(0.05, signal.pthread_kill, (main.ident, _interruption))
    later.daemon = True
    return later.start()


def dask_client(address: str | None, where: str, refused: type[PlainError]) -> Any:
    """A client of the Dask scheduler at an address, to be closed by ``with``.

    Args:
        where: the parameters that ask for it, such as ``features.runner``, for messages.
        refused: what is raised where Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise refused(f'{where}.backend: dask is not installed; pip install -e ".[dask]"') from error
    try:
        return Client(address, timeout=ANSWER_S)
    except (OSError, ValueError) as error:
        raise refused(
            f"{where}.address: no Dask scheduler answers at {address} ({error}); start one with "
            "`dask scheduler` and workers with `dask worker`"
        ) from error
