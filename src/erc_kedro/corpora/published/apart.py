"""Reading in a process of its own, which is limited in memory and time."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.published.limits import allowed_bytes
from erc_kedro.corpora.published.reading import read
from erc_kedro.corpora.published.vectors import CONVERT, Field
from erc_kedro.processes import end_with

# What else than the content takes memory; and how long it may take, beside what so many bytes do.
_MEMORY, _SECONDS, _BYTES_A_SECOND = 2**29, 120.0, 2**20
# Arrow, the C library and OpenBLAS reserve by far more than they use, a thread or a core each.
_FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"}


def read_apart(path: Path, utterances: pd.DataFrame, modality: str, field: Field = None) -> pd.DataFrame:
    """``read`` in a process of its own, which is limited in memory and time.

    What a file does to whoever reads it, it does to that process: what a footer does not declare, and faults
    of the libraries that read it.

    Raises:
        CorpusError: as ``read``; or the process ran out of memory or time, or crashed.
    """
    from joblib.externals.loky.backend import get_context

    needed = utterances[["utterance_id", "dialogue_id", "position", "label"]]
    size = path.stat().st_size if path.is_file() else 0
    seconds = _SECONDS + size / _BYTES_A_SECOND
    context = get_context("loky")  # which does not import the main module
    ours, theirs = context.Pipe(duplex=False)
    memory = _MEMORY + 2 * allowed_bytes(path) if size else _MEMORY
    reader = context.Process(
        target=_send,
        args=(theirs, os.getpid(), memory, path, needed, modality, field),
        env=_FRUGAL,
        daemon=True,
    )
    reader.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            raise CorpusError(f"{path}: not read within {seconds:.0f} s; {CONVERT}")
        table, refusal = ours.recv()
    except (EOFError, OSError):
        reader.join()
        raise CorpusError(
            f"{path}: the process that read it crashed (exit code {reader.exitcode}); fetch "
            f"it again, or {CONVERT}"
        ) from None
    finally:
        reader.terminate()
        reader.join()
    if refusal:
        raise CorpusError(refusal)
    return table


def _send(answer: Any, parent: int, memory: int, path: Path, *arguments: Any) -> None:
    """Read, and send the table or why not."""
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever waits for the answer ends this process
    pyarrow.set_cpu_count(1)
    with contextlib.suppress(ImportError, ValueError, OSError):  # where there is no such limit
        import resource

        used = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        answer.send((read(path, *arguments), ""))
    except CorpusError as error:
        answer.send((None, str(error)))
    except MemoryError:
        short = f"{path}: reading it takes more than {memory:,} bytes of memory, or than there are; {CONVERT}"
        answer.send((None, short))
