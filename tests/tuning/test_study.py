"""A study is filled to its budget, exactly, whatever happens to those who fill it."""

import os
import signal
import time
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from erc_kedro.training import loop
from erc_kedro.tuning import study as studies
from erc_kedro.tuning import trial as trials
from erc_kedro.tuning.results import outcome, trials_table
from erc_kedro.tuning.search import search
from tests.forkserver import CONTEXT
from tests.tuning.searches import BASE, QUICK, given


def test_an_interrupted_trial_is_taken_up_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    epochs = []

    def stop(trial, *_):
        epochs.append(trial.number)
        if len(epochs) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(optuna.trial.Trial, "report", stop)
    with pytest.raises(KeyboardInterrupt):
        search(given(tmp_path, trials=1, seeds=1))
    monkeypatch.undo()
    resumed = []
    real = trials.train_model

    def fit(*words):
        made = real(*words)
        resumed.append(made.resumed)
        return made

    monkeypatch.setattr(trials, "train_model", fit)
    study = search(given(tmp_path, trials=1, seeds=1))
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert resumed == ["epoch 2"]
    assert study.trials[1].user_attrs["point"] == "default"
    table = trials_table(study)
    assert table["state"].tolist() == ["LOST", "COMPLETE"]
    assert "another trial repeats it" in table["reason"][0]
    assert len({row["epoch"] for row in study.trials[1].user_attrs["history"]}) == 2


def test_an_interruption_that_comes_as_an_error_is_one(tmp_path, monkeypatch):
    def stop(*_):
        try:
            raise KeyboardInterrupt
        finally:
            # As Optuna's lock does.
            raise RuntimeError("did not possess lock")

    monkeypatch.setattr(trials, "train_model", stop)
    with pytest.raises(KeyboardInterrupt):
        search(given(tmp_path))
    assert len(studies.lost(given(tmp_path).open())) == 1


def slowly(chosen, started, sign):
    """A process of a search whose second trial does not end by itself."""
    whole = trials.train_model

    def fit(data, parameters, seed, folder, on_epoch):
        if parameters.learning_rate != BASE.learning_rate:
            started.set()
            sign.wait(60)
        return whole(data, parameters, seed, folder, on_epoch)

    trials.train_model = fit
    search(chosen)


def test_a_process_that_is_killed_costs_only_its_trial(tmp_path):
    started, sign = CONTEXT.Event(), CONTEXT.Event()
    chosen = given(tmp_path, base=QUICK)
    process = CONTEXT.Process(target=slowly, args=(chosen, started, sign))
    process.start()
    assert started.wait(60)
    process.kill()
    process.join()
    study = search(chosen)
    assert len(studies.finished(study)) == 4
    (lost,) = studies.lost(study)
    again = next(t for t in study.trials if t.user_attrs.get("origin") == lost.number)
    assert again.params == lost.params
    # The queue that stood behind it did not go before it.
    waited = [t.datetime_start for t in study.trials if t.number not in (0, lost.number, again.number)]
    assert all(again.datetime_start < start for start in waited)


def test_a_point_that_kills_its_process_each_time_is_given_up(tmp_path, monkeypatch):
    chosen = given(tmp_path, trials=1)
    study = chosen.open()
    point = [("default", {"learning_rate": 0.005})]
    began = 0
    monkeypatch.setattr(studies.processes, "alive", lambda pid, started: False)
    for _ in range(studies.ATTEMPTS + 2):
        studies.queue(study, point)
        trial = studies.claim(study, chosen.parameters)
        if trial is not None:
            began += 1
            assert trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True) == 0.005
    assert began == studies.ATTEMPTS
    (counted,) = studies.finished(study)
    assert counted.user_attrs["reason"] == "its process was killed 3 times"
    with pytest.raises(ValueError, match="default configuration was not trained: its process was killed"):
        outcome(study, chosen)


def test_interruptions_by_hand_never_give_a_point_up(tmp_path):
    chosen = given(tmp_path, trials=1)
    study = chosen.open()
    for _ in range(studies.ATTEMPTS + 2):
        studies.queue(study, [("default", {})])
        trial = studies.claim(study, chosen.parameters)
        assert trial.user_attrs["point"] == "default"
        studies.give_back(study, trial)


def test_an_interrupted_default_is_still_the_first_trial(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trials, "train_model", stop)
    with pytest.raises(KeyboardInterrupt):
        search(given(tmp_path, trials=5))
    monkeypatch.undo()
    # Even where the queue is longer than what is asked for now.
    chosen = given(tmp_path, trials=2)
    study = search(chosen)
    done = studies.finished(study)
    assert min(done, key=lambda t: t.datetime_start).user_attrs["point"] == "default"
    assert len(done) == 2
    assert outcome(study, chosen)["search"] >= outcome(study, chosen)["default"]


def claimed_elsewhere(tmp_path):
    """A study, and its only trial, which another machine has."""
    chosen = given(tmp_path, trials=1)
    study = chosen.open()
    studies.queue(study, [])
    trial = studies.claim(study, chosen.parameters)
    trial.set_user_attr("worker", ["elsewhere", 1, 0.0])
    return study, trial


def test_silence_on_another_machine_is_a_death(tmp_path, monkeypatch):
    study, trial = claimed_elsewhere(tmp_path)
    studies.queue(study, [])
    assert not studies.lost(study)
    later = time.time() + studies.SILENT_S + 1
    monkeypatch.setattr(studies.time, "time", lambda: later)
    studies.queue(study, [])
    assert [lost.number for lost in studies.lost(study)] == [trial.number]


def test_who_was_taken_for_lost_goes_on_with_another_trial(tmp_path, monkeypatch):
    whole = trials.train_model
    taken = []

    def fit(data, parameters, seed, folder, on_epoch):
        if not taken:
            taken.append(True)
            given(tmp_path, trials=2).open().tell(0, state=TrialState.FAIL)
        return whole(data, parameters, seed, folder, on_epoch)

    monkeypatch.setattr(trials, "train_model", fit)
    study = search(given(tmp_path, trials=2))
    assert len(studies.finished(study)) == 2
    assert len(studies.lost(study)) == 1


def test_what_ended_in_another_run_is_told_by_that_run_while_it_lives(tmp_path, monkeypatch):
    study, trial = claimed_elsewhere(tmp_path)
    study.tell(trial.number, state=TrialState.FAIL)
    assert not studies.ended(study)
    later = time.time() + studies.SILENT_S + 1
    monkeypatch.setattr(studies.time, "time", lambda: later)
    assert [ended.number for ended in studies.ended(study)] == [trial.number]


def test_every_trial_is_told_whichever_run_it_was_of(tmp_path):
    told = []

    def tell(trial):
        told.append(trial.number)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(given(tmp_path, trials=4), tell)
    search(given(tmp_path, trials=4), lambda trial: told.append(trial.number))
    # The second was being told when the run ended.
    assert told == [0, 1, 1, 2, 3]


def test_a_trial_too_many_counts_for_nothing(tmp_path, monkeypatch):
    chosen = given(tmp_path, trials=1)
    study = chosen.open()
    first = studies.claim(study, chosen.parameters)
    # So it is to a process that looked before the first one asked.
    monkeypatch.setattr(studies, "wanted", lambda *_: 1)
    assert studies.claim(study, chosen.parameters) is None
    monkeypatch.undo()
    study.tell(first.number, 0.5)
    assert [trial.number for trial in studies.finished(study)] == [first.number]
    assert trials_table(study)["trial"].tolist() == [first.number]
    assert studies.claim(study, given(tmp_path, trials=2).parameters).number == first.number + 2


def take_part(chosen, out):
    numbers = []
    search(chosen, lambda trial: numbers.append(trial.number))
    out.put((os.getpid(), numbers))


def test_two_processes_fill_one_journal_to_the_budget(tmp_path):
    out = CONTEXT.Queue()
    both = [
        CONTEXT.Process(target=take_part, args=(given(tmp_path, base=QUICK, trials=7), out)) for _ in range(2)
    ]
    for process in both:
        process.start()
    ran = [out.get(timeout=120) for _ in both]
    for process in both:
        process.join()
    numbers = sorted(number for _, own in ran for number in own)
    # None twice, none left out.
    assert numbers == list(range(7))
    study = given(tmp_path, base=QUICK).open()
    assert len(studies.finished(study)) == 7
    assert sum(trial.user_attrs.get("point") == "default" for trial in studies.finished(study)) == 1


class Deadly(dict):
    """Data that kill the first process that reads them."""

    def __init__(self, data, victim):
        super().__init__(data)
        self.victim = victim

    def __getitem__(self, key):
        try:
            with self.victim.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return super().__getitem__(key)
        return os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_is_replaced(tmp_path):
    chosen = given(tmp_path, base=QUICK, trials=6, workers=2)
    study = search(replace(chosen, data=Deadly(chosen.data, tmp_path / "victim")))
    assert len(studies.finished(study)) == 6
    (lost,) = studies.lost(study)
    assert lost.user_attrs["worker"][1] == int((tmp_path / "victim").read_text())
    assert lost.user_attrs["worker"][1] != os.getpid()
