"""A study in storage that survives, which any number of processes fill together.

Trials are queued first and claimed one by one, so that a budget is met exactly however many processes take
part. A trial whose process is gone is marked as failed, and its point is queued again.
"""

import os
import platform
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from erc_kedro.config import ConfigError
from erc_kedro.parameters import TuneParameters
from erc_kedro.tracking import alive
from erc_kedro.training.loop import mix
from erc_kedro.tuning.pruner import ByEpochAndSeed

JOURNAL = "journal.log"
# What a trial is judged by, in figures.
SCORE = "validation weighted F1"
# A process that says nothing for so long is taken for gone, where it cannot be looked up.
SILENT_S = 600.0
BEAT_EVERY_S = 60.0
# A point whose processes die this often is not tried again.
ATTEMPTS = 3


@cache
def storage(where: str, folder: Path) -> BaseStorage:
    """What ``tune.storage`` names; opened once a process.

    Raises:
        ConfigError: it cannot be opened.
    """
    try:
        if where == "journal":
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / JOURNAL
            _mend(path)
            backend = JournalFileBackend(str(path))
            return optuna.storages.JournalStorage(backend)
        if where.startswith("grpc://"):
            host, _, port = where.removeprefix("grpc://").partition(":")
            with _quiet():
                proxy = optuna.storages.GrpcStorageProxy(host=host, port=int(port or 13000))
            proxy.wait_server_ready(timeout=10)
            return proxy
        return optuna.storages.get_storage(where)
    except Exception as error:
        raise ConfigError(
            f"tune.storage: {where} cannot be opened ({(str(error) or repr(error)).splitlines()[0]}); "
            "write journal, the URL of a database such as sqlite:///tune.db, or grpc://HOST:PORT"
        ) from error


def _mend(path: Path) -> None:
    """Ends a last line that a crash of the machine cut short, which would spoil the one after it."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        whole = file.read().rpartition(b"\n")
        file.truncate(len(whole[0]) + len(whole[1]))


def open_study(
    name: str, parameters: TuneParameters, folder: Path, epochs: int, facts: Mapping[str, Any] | None = None
) -> optuna.Study:
    """The study of this name, made if it is not there.

    Args:
        epochs: the most that a trial may have.
        facts: kept with it.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    second = {"accuracy": "maximize", "parameters": "minimize", "latency": "minimize"}
    directions: list[Any] = ["maximize"]
    names = [SCORE]
    if parameters.second_objective is not None:
        directions.append(second[parameters.second_objective])
        names.append(parameters.second_objective)
    study = optuna.create_study(
        study_name=name,
        storage=storage(parameters.storage, folder),
        pruner=ByEpochAndSeed(parameters, epochs),
        directions=directions,
        load_if_exists=True,
    )
    if study.metric_names is None:
        with _quiet():
            study.set_metric_names(names)
    for key, value in (facts or {}).items():
        if study.user_attrs.get(key) != value:
            study.set_user_attr(key, value)
    return study


def sampler(parameters: TuneParameters, number: int) -> BaseSampler:
    """What draws the trial of this number; with ``sampler_seed`` the same from the same earlier trials."""
    seed = None if parameters.sampler_seed is None else mix(parameters.sampler_seed, number) % 2**32
    with _quiet():
        if parameters.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed)
        if parameters.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        # group: dimensions that only some trials have are modelled together, too.
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, seed=seed, warn_independent_sampling=False
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's words on what is experimental, or will be gone in its next version."""
    with warnings.catch_warnings():
        for kind in (optuna.exceptions.ExperimentalWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        yield


def queue(study: optuna.Study, points: list[tuple[str, dict[str, Any]]], budget: int) -> None:
    """Queues the points that the study lacks, and as many blank trials as the budget still wants."""
    known = {trial.user_attrs.get("point") for trial in _counted(study)}
    for point, values in points:
        if point not in known:
            study.enqueue_trial(values, user_attrs={"point": point})
    for _ in range(budget - len(_counted(study))):
        study.enqueue_trial({})


def waiting(study: optuna.Study, parameters: TuneParameters) -> int:
    """How many trials of the budget are queued."""
    return len(_waiting(study, parameters))


def claim(study: optuna.Study, parameters: TuneParameters) -> Trial | None:
    """The next queued trial, which is this process's alone from now on; None if there is none."""
    for trial in _waiting(study, parameters):
        study.sampler = sampler(parameters, trial.number)
        if _taken(study, trial):
            mine = Trial(study, trial._trial_id)
            mine.set_user_attr("worker", f"{platform.node()}:{os.getpid()}")
            mine.set_user_attr("beat", time.time())
            return mine
    return None


def _waiting(study: optuna.Study, parameters: TuneParameters) -> list[FrozenTrial]:
    # Where two runs queued at once there are more than the budget: the last ones stay queued.
    within = _counted(study)[: parameters.trials]
    return [trial for trial in within if trial.state == TrialState.WAITING]


def _taken(study: optuna.Study, trial: FrozenTrial) -> bool:
    # What study.ask does to queued trials; it makes a new one where there are none.
    try:
        return study._storage.set_trial_state_values(trial._trial_id, state=TrialState.RUNNING)
    except optuna.exceptions.UpdateFinishedTrialError:
        return False


@contextmanager
def beating(trial: Trial) -> Iterator[None]:
    """Says now and then that the trial's process lives: other machines cannot look it up."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_EVERY_S):
            trial.set_user_attr("beat", time.time())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def bury(study: optuna.Study) -> int:
    """Marks trials whose process is gone, queues their points again, and says how many there were."""
    gone = [t for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if not _alive(t)]
    return sum(give_back(study, trial, "its process was killed") for trial in gone)


def give_back(study: optuna.Study, trial: FrozenTrial, reason: str) -> bool:
    """Fails an interrupted trial and queues its point again; False if another process was first."""
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
        return False
    attempt = trial.user_attrs.get("attempt", 1) + 1
    retried = attempt <= ATTEMPTS
    study.set_user_attr(f"lost:{trial.number}", reason if retried else f"{reason}, {ATTEMPTS} times")
    if retried:
        kept = {k: v for k, v in trial.user_attrs.items() if k in ("point", "origin")}
        study.enqueue_trial(
            {**trial.system_attrs.get("fixed_params", {}), **trial.params},
            user_attrs={"origin": trial.number, **kept, "attempt": attempt, "retry_of": trial.number},
        )
    return True


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count: complete, pruned, or failed by an error of their own."""
    return [trial for trial in _counted(study) if trial.state.is_finished()]


def lost(study: optuna.Study) -> dict[int, str]:
    """Trials that were interrupted, which another one repeats, with the reason."""
    return {
        int(key.removeprefix("lost:")): why
        for key, why in study.user_attrs.items()
        if key.startswith("lost:")
    }


def _counted(study: optuna.Study) -> list[FrozenTrial]:
    """Trials of the budget, by number, without those that were lost."""
    counted: list[FrozenTrial] = []
    points = set()
    for trial in study.get_trials(deepcopy=False):
        point = trial.user_attrs.get("point")
        # Two runs that begin at once may both queue a point; a failure of its own says its reason first.
        if point not in points and (trial.state != TrialState.FAIL or "reason" in trial.user_attrs):
            counted.append(trial)
            points |= {point} - {None}
    return counted


def _alive(trial: FrozenTrial) -> bool:
    host, _, pid = trial.user_attrs.get("worker", "").rpartition(":")
    if host == platform.node():
        return alive(int(pid))
    return time.time() - trial.user_attrs.get("beat", time.time()) < SILENT_S
