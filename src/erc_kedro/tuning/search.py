"""A study filled to its budget, by this process or by workers."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import optuna
from joblib import cpu_count
from joblib.externals.loky import ProcessPoolExecutor
from optuna.trial import FrozenTrial, TrialState

from erc_kedro import processes, surroundings
from erc_kedro.config import ConfigError
from erc_kedro.extractors.base import fingerprint
from erc_kedro.progress import bar as progress_bar
from erc_kedro.tuning import space
from erc_kedro.tuning import study as studies
from erc_kedro.tuning.pruner import DEFAULT
from erc_kedro.tuning.trial import Search, run_next

logger = logging.getLogger(__name__)

Send = Callable[[], Future]
MOST_DEATHS = 10


def search(
    given: Search, on_trial: Callable[[FrozenTrial], None] = lambda trial: None, **facts: Any
) -> optuna.Study:
    """Runs trials until the study has as many as its budget, whoever ran them.

    Args:
        on_trial: called once with each trial that has ended, those that an interrupted run did not report
            included.
        facts: kept with the study.
    Raises:
        ValueError: the default configuration cannot be trained.
        RuntimeError: worker processes die one after the other.
    """
    tune = given.parameters
    study = given.open(**facts)
    points = _points(given)
    deaths = 0
    _tell(study, studies.ended(study), on_trial)
    with (
        progress_bar(tune.trials, f"Tuning {given.name}", "trial", done=len(studies.finished(study))) as bar,
        _workers(given) as senders,
    ):
        running: dict[Future, Send] = {}
        while True:
            studies.end_dead(study)
            done = studies.finished(study)
            bar.update(len(done) - bar.n)
            bar.set_postfix_str(_best(done), refresh=False)
            wanted = studies.wanted(study, tune)
            if len(done) >= tune.trials and not running and not wanted:
                _tell(study, studies.ended(study), on_trial)
                shutil.rmtree(given.fits, ignore_errors=True)
                return study
            # What is running elsewhere may yet be lost and wanted again.
            idle = [send for send in senders if send not in running.values()]
            for send in idle[:wanted]:
                studies.queue(study, points)
                running[send()] = send
            for future in _done(running):
                del running[future]
                try:
                    number = future.result()
                except Exception as error:
                    if not _is_death(error):
                        raise
                    logger.warning("a worker was killed; the trial that it had is repeated")
                    deaths += 1
                    if deaths >= MOST_DEATHS:
                        raise RuntimeError(
                            f"tune: {deaths} workers died one after the other; is there memory for so many?"
                        ) from error
                else:
                    deaths = 0
                    if number is not None:
                        _tell(study, [study.trials[number]], on_trial)


def _points(given: Search) -> list[tuple[str, dict[str, Any]]]:
    """The default and the known good points, by name."""
    tune = given.parameters
    own = space.defaults(tune.space, given.base)
    default = space.fixed(tune.space, own)
    for name in sorted(set(own) - set(default)):
        logger.warning("%s: the default of %s, %s, lies outside of the space", given.corpus, name, own[name])
    known = [(f"enqueued {fingerprint(sorted(point.items()))[:8]}", point) for point in tune.enqueue]
    return [(DEFAULT, default), *((name, space.fixed(tune.space, point)) for name, point in known)]


def _tell(study: optuna.Study, trials: list[FrozenTrial], on_trial: Callable[[FrozenTrial], None]) -> None:
    told = study.user_attrs
    for trial in trials:
        if f"told:{trial.number}" not in told:
            why = trial.user_attrs.get("reason")
            if trial.state == TrialState.COMPLETE:
                logger.info("trial %d: %.4f", trial.number, trial.values[0])
            elif trial.state == TrialState.PRUNED:
                logger.info("trial %d pruned: %s", trial.number, why)
            elif why:
                logger.warning("trial %d failed: %s", trial.number, why)
            else:
                logger.info("trial %d was interrupted; another one repeats it", trial.number)
            on_trial(trial)
            study.set_user_attr(f"told:{trial.number}", True)


def _is_death(error: Exception) -> bool:
    # Dask's by its name: it need not be installed.
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ == "KilledWorker"


def _done(running: dict[Future, Send]) -> list[Future]:
    if not running:
        # Those of another run are.
        time.sleep(1)
    return list(wait(running, timeout=1, return_when=FIRST_COMPLETED).done)


@contextmanager
def _workers(given: Search) -> Iterator[list[Send]]:
    """One sender a worker; each has at most one trial at a time."""
    tune = given.parameters
    if tune.backend == "dask":
        with processes.dask_client(tune.address, "tune", ConfigError) as client:
            pool = client.get_executor(pure=False)
            share = replace(given, threads=1)
            # Each its own object, so that it is known which ones wait.
            yield [partial(pool.submit, run_next, share) for _ in range(tune.workers)]
        return
    workers = surroundings.workers(tune.workers, "tune.workers")
    if workers == 1:
        yield [partial(_here, given)]
        return
    share = replace(given, threads=max(1, cpu_count() // workers))
    with ExitStack() as stack:
        yield [stack.enter_context(_Worker(share)) for _ in range(workers)]


def _here(given: Search) -> Future:
    future: Future = Future()
    future.set_result(run_next(given))
    return future


class _Worker:
    """A process of its own: one that is killed takes no other's trial with it, as it would in a pool."""

    def __init__(self, given: Search) -> None:
        self._given = given
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "_Worker":
        return self

    def __call__(self) -> Future:
        if self._pool is not None:
            # Its process may have been killed meanwhile.
            with suppress(BrokenExecutor):
                return self._pool.submit(run_next, self._given)
        threads = {"OMP_NUM_THREADS": str(self._given.threads)}
        self._pool = ProcessPoolExecutor(max_workers=1, env=threads, **processes.pool_options())
        return self._pool.submit(run_next, self._given)

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(kill_workers=error[0] is not None)


def _best(done: list[FrozenTrial]) -> str:
    complete = [trial.values[0] for trial in done if trial.state == TrialState.COMPLETE]
    return f"best={max(complete):.4f}" if complete else ""
