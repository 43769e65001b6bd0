"""Clips to vectors: every file decoded once, in parallel, and never a second time while nothing changed."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from erc_kedro import processes, surroundings
from erc_kedro.extractors import worker
from erc_kedro.extractors.base import ExtractionError, Metadata, UnreachableError
from erc_kedro.extractors.cache import Cache, Result
from erc_kedro.extractors.jobs import jobs
from erc_kedro.extractors.worker import Job, Results, Settings
from erc_kedro.parameters import RunnerParameters, WorkerParameters
from erc_kedro.progress import bar as progress_bar

__all__ = ["Settings", "extract", "metadata", "workers"]

# How often it is looked up how far worker processes have come, in seconds.
LOOK_S = 2.0


def extract(
    utterances: pd.DataFrame, settings: Settings, folder: Path
) -> dict[str, tuple[Metadata, list[Result]]]:
    """Audio and visual vectors of every utterance.

    A file is opened and decoded once for all utterances in it, but for a long one that is shared out while
    there are more workers than files.

    Args:
        utterances: with clip, clip_start_s, clip_end_s, wav and frame_side. Where there are such columns,
            channel is the one of the clip's two, "left" or "right", that is heard alone; and shared_frame
            says that several people may be seen: the speaker's face is the one whose mouth moves with the
            voice, unless frame_side says where it is.
        settings: of the extractors and the runner.
        folder: of the cache; what it holds is not extracted again.

    Returns:
        modality to its extractor's metadata and one result an utterance, in the table's order.

    Raises:
        ExtractionError: an extractor cannot be made from its parameters, or the cache not be written.
        UnreachableError: the Dask cluster cannot be reached.
    """
    with Cache(folder) as kept, worker.one_thread():
        tools = worker.tools(settings)
        todo, results, keys = jobs(utterances, settings, tools.versions, workers(settings.runner), kept)
        if todo:
            results |= _work_through(todo, settings, kept, folder)
    return {
        modality: (
            extractor.metadata,
            [
                replace(results[row, modality], key=keys.get((row, modality)))
                for row in range(len(utterances))
            ],
        )
        for modality, extractor in tools.extractors.items()
    }


def metadata(settings: Settings) -> dict[str, Metadata]:
    """What the extractors of the settings say of themselves, by modality.

    Raises:
        ExtractionError: one cannot be made.
    """
    with worker.one_thread():
        made = worker.tools(settings).extractors
    return {modality: extractor.metadata for modality, extractor in made.items()}


def _work_through(todo: list[Job], settings: Settings, kept: Cache, folder: Path) -> Results:
    left = dict(enumerate(todo))
    results: Results = {}
    total = sum(len(job.requests) for job in todo)
    with progress_bar(total, "Extracting from clips", "utt") as bar:

        def keep(job: Job, made: Results) -> None:
            job.keep(made, kept)
            results.update(made)

        if _works_here(settings.runner):
            for job in todo:

                def meanwhile(made: Results, job: Job = job) -> None:
                    keep(job, made)
                    bar.update(len({row for row, _ in made}))

                meanwhile(worker.work(job, settings, worker.tools(settings), meanwhile))
            return results
        with _looked_up(bar, left, total, settings.runner, folder):
            while left:
                try:
                    for number, made in _in_parallel(left, settings, folder):
                        keep(left[number], made)
                        del left[number]
                except BrokenProcessPool:
                    # A worker died of one of the files in flight; these are the first of what is left.
                    for number in list(left)[: 4 * workers(settings.runner)]:
                        found = _alone(left[number], settings, folder)
                        keep(left[number], _lost(left[number], kept) if found is None else found)
                        del left[number]
    return results


@contextmanager
def _looked_up(
    bar: Any, left: dict[int, Job], total: int, runner: RunnerParameters, folder: Path
) -> Iterator[None]:
    """Shows how far the jobs in flight have come, by what they have kept; a long recording takes minutes."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            waiting = list(left.values())
            flying = [r for job in waiting[: 4 * workers(runner)] for r in job.requests]
            there = total - sum(len(job.requests) for job in waiting)
            # What is wrong with the cache, whoever writes into it will say.
            with suppress(ExtractionError), Cache(folder) as store:
                there += store.count(next(iter(request.keys.values())) for request in flying)
            bar.update(max(0, there - bar.n))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()
        bar.update(total - sum(len(job.requests) for job in left.values()) - bar.n)


def _in_parallel(jobs: dict[int, Job], settings: Settings, folder: Path) -> Iterator[tuple[int, Results]]:
    runner = settings.runner
    # Workers on other machines have another disk.
    near = folder if runner.backend == "loky" else None
    calls = [delayed(_numbered)(number, job, settings, near) for number, job in jobs.items()]
    with _backend(runner):
        parallel = Parallel(
            n_jobs=-1 if runner.backend == "dask" else workers(runner),
            return_as="generator_unordered",
            batch_size=1,
        )
        try:
            yield from parallel(calls)
        finally:
            # Else idle workers would hold their memory while models are trained.
            if runner.backend == "loky":
                get_reusable_executor(reuse=True).shutdown()


@contextmanager
def _backend(runner: RunnerParameters) -> Iterator[None]:
    if runner.backend == "loky":
        with parallel_config(backend="loky", inner_max_num_threads=1, **processes.pool_options()):
            yield
        return
    client = processes.dask_client(runner.address, "runner", UnreachableError)
    with client, parallel_config(backend="dask", client=client):
        yield


def workers(runner: WorkerParameters) -> int:
    """How many processes there are for the work on this machine."""
    asked = surroundings.workers(runner.n_jobs, "runner.n_jobs")
    return asked if asked > 0 else os.cpu_count() or 1


def _works_here(runner: RunnerParameters) -> bool:
    """Whether this process does the work: loky itself would need semaphores, which not every machine has."""
    return runner.backend == "loky" and workers(runner) == 1


def _numbered(number: int, job: Job, settings: Settings, folder: Path | None) -> tuple[int, Results]:
    return number, worker.done(job, settings, folder)


def _alone(job: Job, settings: Settings, folder: Path) -> Results | None:
    """A job in a process of its own, so that it can only end itself; None if it did."""
    pool = ProcessPoolExecutor(max_workers=1, **processes.pool_options())
    try:
        return pool.submit(_numbered, 0, job, settings, folder).result()[1]
    except BrokenProcessPool:
        return None
    finally:
        # An interruption must not wait for the rest of the file.
        pool.shutdown(kill_workers=True)


def _lost(job: Job, kept: Cache) -> Results:
    """The results of a job whose process died: what it had kept by then, and why there are no others."""
    known = kept.get(job.keys.values())
    ended = Result("unreadable", "the process that decoded it died", lasting=False)
    return {item: known.get(key, ended) for item, key in job.keys.items()}
