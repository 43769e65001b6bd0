"""A study in storage that survives, which any number of processes fill together.

Trials are queued first and claimed one by one, so that a budget is met exactly however many processes take
part. A trial that fails without a reason was lost with its process; its point is queued again. All that is
decided here is derived from the trials themselves, so that a process may be killed between any two steps.
"""

import re
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, Trial, TrialState

from erc_kedro import processes
from erc_kedro.config import ConfigError
from erc_kedro.parameters import TuneParameters
from erc_kedro.training.loop import mix
from erc_kedro.tuning.pruner import DEFAULT, ByEpochAndSeed

JOURNAL = "journal.log"
# What a trial is judged by, in figures.
SCORE = "validation weighted F1"
# A process on another machine that says nothing for so long is taken for gone.
SILENT_S = 600.0
BEAT_EVERY_S = 60.0
# A point whose processes are killed this often is not tried again.
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
            return optuna.storages.JournalStorage(JournalFileBackend(str(path)))
        if where.startswith("grpc://"):
            host, _, port = where.removeprefix("grpc://").partition(":")
            with _quiet():
                proxy = optuna.storages.GrpcStorageProxy(host=host, port=int(port or 13000))
            proxy.wait_server_ready(timeout=10)
            return proxy
        return optuna.storages.get_storage(where)
    except Exception as error:
        why = re.sub(r"://\S+@", "://…@", (str(error) or repr(error)).splitlines()[0])
        raise ConfigError(
            f"tune.storage: {re.sub('://[^/]+@', '://…@', where)} cannot be opened ({why}); "
            "write journal, the URL of a database such as sqlite:///tune.db, or grpc://HOST:PORT"
        ) from error


def _mend(path: Path) -> None:
    """Ends a last line that a crash of the machine cut short, which would spoil the one after it."""
    if not path.exists():
        return
    lock = JournalFileSymlinkLock(str(path))
    # Others may be in the middle of writing.
    lock.acquire()
    try:
        with path.open("rb+") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()


def open_study(
    name: str, parameters: TuneParameters, folder: Path, epochs: int, **facts: Any
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
    for key, value in facts.items():
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
    """Queues what was lost, the points that the study lacks, and the blank trials that the budget wants."""
    _bury(study)
    known = {trial.user_attrs.get("point") for trial in study.get_trials(deepcopy=False)}
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
            mine.set_user_attr("worker", [processes.machine(), *processes.identity()])
            return mine
    return None


def _waiting(study: optuna.Study, parameters: TuneParameters) -> list[FrozenTrial]:
    # Where two runs queued at once there are more than the budget: the last ones stay queued.
    counted = _counted(study)
    within = counted[: parameters.trials]
    # Whatever the budget, there is something to compare with.
    within += [trial for trial in counted[parameters.trials :] if trial.user_attrs.get("point") == DEFAULT]
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
            # Storage that does not answer now may answer in a minute.
            with suppress(Exception):
                trial.set_user_attr("beat", time.time())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def give_back(study: optuna.Study, number: int) -> None:
    """Ends this process's own trial, unfinished, for another one to take up."""
    trial = study.trials[number]
    with suppress(optuna.exceptions.UpdateFinishedTrialError):
        # Not the point's fault.
        study._storage.set_trial_user_attr(trial._trial_id, "interrupted", True)
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def _bury(study: optuna.Study) -> None:
    """Fails trials whose process is gone, and queues every lost trial's point again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not _alive(trial):
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                if trial.user_attrs.get("attempt", 1) >= ATTEMPTS and "reason" not in trial.user_attrs:
                    why = f"its process was killed {ATTEMPTS} times"
                    study._storage.set_trial_user_attr(trial._trial_id, "reason", why)
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    again = {trial.user_attrs.get("retry_of") for trial in study.get_trials(deepcopy=False)}
    for trial in lost(study):
        if trial.number not in again:
            kept: dict[str, Any] = {
                key: trial.user_attrs[key] for key in ("point", "origin") if key in trial.user_attrs
            }
            attempt = trial.user_attrs.get("attempt", 1) + ("interrupted" not in trial.user_attrs)
            study.enqueue_trial(
                {**trial.system_attrs.get("fixed_params", {}), **trial.params},
                user_attrs={"origin": trial.number, **kept, "attempt": attempt, "retry_of": trial.number},
            )


def lost(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ended with their process; another one repeats each."""
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    return [trial for trial in failed if "reason" not in trial.user_attrs]


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have ended, lost ones too, and that are this process's or of one that is gone.

    Another run tells of its own while it lives; both would tell of one that has just ended.
    """
    here = [processes.machine(), *processes.identity()]
    done = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    return [trial for trial in done if trial.user_attrs.get("worker") == here or not _alive(trial)]


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count: complete, pruned, or failed by an error of their own."""
    return [trial for trial in _counted(study) if trial.state.is_finished()]


def _counted(study: optuna.Study) -> list[FrozenTrial]:
    """Trials of the budget, without those that were lost: begun ones first, then the queue in its order."""
    gone = {trial.number for trial in lost(study)}
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.number not in gone]

    def order(trial: FrozenTrial) -> tuple[bool, bool, bool, int]:
        of = trial.user_attrs
        queued = trial.state == TrialState.WAITING
        return queued, queued and "point" not in of, queued and "retry_of" not in of, trial.number

    counted: list[FrozenTrial] = []
    seen: set[tuple[str, Any]] = set()
    for trial in sorted(trials, key=order):
        # Two runs that begin at once may both queue a point, or a lost trial's.
        same = [(key, trial.user_attrs[key]) for key in ("point", "retry_of") if key in trial.user_attrs]
        if not seen & set(same):
            counted.append(trial)
        seen |= set(same)
    return counted


def _alive(trial: FrozenTrial) -> bool:
    began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    where, pid, started = trial.user_attrs.get("worker", (None, 0, 0.0))
    if where == processes.machine():
        return processes.alive(pid, started)
    return time.time() - trial.user_attrs.get("beat", began) < SILENT_S
