"""A study in storage that survives, which any number of processes fill together.

A process asks for a trial and then looks whether it is one of the budget, which is so met exactly, however
many take part. A trial that fails without a reason was lost with its process, and another one repeats it. All
that is decided here is derived from the trials, so that a process may be killed between any two steps.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from erc_kedro import processes
from erc_kedro.parameters import TuneParameters
from erc_kedro.training.loop import mix
from erc_kedro.tuning.pruner import DEFAULT, ByEpochAndSeed
from erc_kedro.tuning.storage import quiet, storage

# What a trial is judged by, in figures.
SCORE = "validation weighted F1"
# A process on another machine that says nothing for so long is taken for gone.
SILENT_S = 600.0
BEAT_EVERY_S = 60.0
# A point whose processes are killed this often is not tried again.
ATTEMPTS = 3
# Marks a trial that was asked for although others had filled the budget.
SURPLUS = "surplus"


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
        with quiet():
            study.set_metric_names(names)
    for key, value in facts.items():
        if study.user_attrs.get(key) != value:
            study.set_user_attr(key, value)
    return study


def sampler(parameters: TuneParameters, number: int) -> BaseSampler:
    """What draws the trial of this number; with ``sampler_seed`` the same from the same earlier trials."""
    seed = None if parameters.sampler_seed is None else mix(parameters.sampler_seed, number) % 2**32
    with quiet():
        if parameters.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed)
        if parameters.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        # group: dimensions that only some trials have are modelled together, too.
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, seed=seed, warn_independent_sampling=False
        )


def queue(study: optuna.Study, points: list[tuple[str, dict[str, Any]]]) -> None:
    """Queues what the next trials are to be, if known: the lost ones, or a point that the study lacks."""
    end_dead(study)
    current = _current(study)
    gone = [trial for trial in current if _is_lost(trial)]
    for trial in gone:
        _repeat(study, trial)
    if not gone:
        known = {trial.user_attrs.get("point") for trial in current}
        for point, values in [one for one in points if one[0] not in known][:1]:
            study.enqueue_trial(values, user_attrs={"point": point, "values": values})


def wanted(study: optuna.Study, parameters: TuneParameters) -> int:
    """How many trials are yet to begin."""
    begun = [t for t in _current(study) if t.state != TrialState.WAITING and not _is_lost(t)]
    # Whatever the budget, there is something to compare with.
    compared = any(trial.user_attrs.get("point") == DEFAULT for trial in begun)
    return max(parameters.trials - len(begun), 0 if compared else 1)


def claim(study: optuna.Study, parameters: TuneParameters) -> Trial | None:
    """The next trial, which is this process's alone from now on; None if no more are wanted."""
    if not wanted(study, parameters):
        return None
    trial = study.ask()
    # SQLite may hand a queued trial to two processes, and the other one has ended it.
    with suppress(optuna.exceptions.UpdateFinishedTrialError):
        trial.set_user_attr("worker", _here())
        # All that others asked for before this trial stands before it by now.
        current = [one.number for one in _current(study)]
        is_default = trial.user_attrs.get("point") == DEFAULT
        if trial.number in (current if is_default else current[: parameters.trials]):
            study.sampler = sampler(parameters, trial.number)
            return trial
        trial.set_user_attr(SURPLUS, True)
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
    return None


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


def give_back(study: optuna.Study, trial: Trial) -> None:
    """Ends this process's own trial, unfinished, for another one to repeat."""
    with suppress(optuna.exceptions.UpdateFinishedTrialError):
        # Not the point's fault.
        trial.set_user_attr("interrupted", True)
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)


def end_dead(study: optuna.Study) -> None:
    """Fails trials whose process is gone."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not _alive(trial):
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def _repeat(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queues a lost trial's point, or, where it was killed too often, notes that it is given up."""
    of = trial.user_attrs
    kept: dict[str, Any] = {key: of[key] for key in ("point", "values") if key in of}
    kept["origin"] = of.get("origin", trial.number)
    kept["attempt"] = of.get("attempt", 1) + ("interrupted" not in of)
    if kept["attempt"] <= ATTEMPTS:
        study.enqueue_trial({**kept.get("values", {}), **trial.params}, user_attrs=kept)
        return
    kept |= {"reason": f"its process was killed {ATTEMPTS} times", "worker": _here()}
    given_up = optuna.trial.create_trial(
        state=TrialState.FAIL, params=trial.params, distributions=trial.distributions, user_attrs=kept
    )
    study.add_trial(given_up)


def begun(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have begun, in their order."""
    trials = study.get_trials(deepcopy=False)
    return [one for one in trials if one.state != TrialState.WAITING and SURPLUS not in one.user_attrs]


def lost(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ended with their process; another one repeats each."""
    return [trial for trial in begun(study) if _is_lost(trial)]


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have ended, lost ones too, and that are this process's or of one that is gone.

    Another run reports its own while it lives; else both would report one that has just ended.
    """
    done = [trial for trial in begun(study) if trial.state.is_finished()]
    return [trial for trial in done if trial.user_attrs.get("worker") == _here() or not _alive(trial)]


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count: complete, pruned, or failed by an error of their own."""
    return [trial for trial in _current(study) if trial.state.is_finished() and not _is_lost(trial)]


def _current(study: optuna.Study) -> list[FrozenTrial]:
    """A trial for each of the budget, the earliest first; for a lost one the one that repeats it, if any."""
    current: dict[Any, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        of = trial.user_attrs
        # Two runs that begin at once may both queue a point, or a lost trial's.
        same = of.get("point", of.get("origin", trial.number))
        if SURPLUS not in of and (same not in current or _is_lost(current[same])):
            current[same] = trial
    return list(current.values())


def _is_lost(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and "reason" not in trial.user_attrs


def _here() -> list[Any]:
    return [processes.machine(), *processes.identity()]


def _alive(trial: FrozenTrial) -> bool:
    began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    where, pid, started = trial.user_attrs.get("worker", (None, 0, 0.0))
    if where == processes.machine():
        return processes.alive(pid, started)
    return time.time() - trial.user_attrs.get("beat", began) < SILENT_S
