"""A study is filled to its budget, exactly, whatever happens to those who fill it."""

import multiprocessing
import os
import signal
import time

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState

from erc_kedro.audit.provenance import provenance
from erc_kedro.config import ConfigError, for_stage
from erc_kedro.pipelines.tune.nodes import tune_corpus
from erc_kedro.training import loop
from erc_kedro.tuning import study as studies
from erc_kedro.tuning import trial as trials
from erc_kedro.tuning.results import best_experiment, outcome, trials_table, winner
from erc_kedro.tuning.search import search
from erc_kedro.tuning.space import of_trial, with_values
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TrainParameters, TuneParameters

BASE = TrainParameters(
    epochs=2, patience=2, batch_utterances=32, learning_rate=0.002, model={"hidden": 16, "attention_heads": 2}
)
QUICK = BASE.model_copy(update={"epochs": 1, "patience": 1})
SPACE = {
    "learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
    "model": {"dropout": {"low": 0.0, "high": 0.5}, "context_encoder": {"choices": ["gru", "transformer"]}},
}


def given(folder, base=BASE, corpus=None, **parameters):
    table, features = corpus or make_corpus(12)
    options = {"trials": 4, "seeds": 2, "workers": 1, "sampler_seed": 0, "space": SPACE, "experiment": "full"}
    tune = TuneParameters(**options | parameters)
    known = table[table["split"] != "test"]
    return trials.prepare("meld", known, features, CLASSES, base, tune, folder / "meld")


def states(study):
    return pd.Series([trial.state.name for trial in study.trials]).value_counts().to_dict()


def test_the_default_is_first_and_the_best_is_no_worse(tmp_path):
    chosen = given(tmp_path, trials=5)
    study = search(chosen)
    assert len(studies.finished(study)) == 5
    first = study.trials[0]
    assert first.params == {"learning_rate": 0.002, "model.dropout": 0.3, "model.context_encoder": "gru"}
    result = outcome(study, chosen)
    assert result["default"] == first.values[0]
    assert result["search"] >= result["default"]
    complete = [t.values[0] for t in study.trials if t.state == TrialState.COMPLETE]
    assert result["search"] == max(complete)
    # Weights of trials are not kept.
    assert not list((tmp_path / "meld").rglob("*.safetensors"))


def test_a_score_is_the_mean_over_seeds_that_training_does_not_use(tmp_path):
    chosen = given(tmp_path, trials=1)
    study = search(chosen)
    scores = []
    for seed in (1000, 1001):
        made = loop.train_model(next(iter(chosen.data.values())), BASE, seed, tmp_path / f"own{seed}")
        scores.append(made.history["val_weighted_f1"].max())
    assert study.trials[0].values[0] == pytest.approx(np.mean(scores))
    assert study.trials[0].user_attrs["scores"] == pytest.approx(scores)


def test_causal_trials_are_scaled_by_the_past_where_the_base_cannot_be_causal(tmp_path):
    base = BASE.model_copy(
        update={
            "scaling": {"audio": "speaker"},
            "model": BASE.model.model_copy(update={"architecture": "bc_lstm"}),
        }
    )
    causal = {"choices": [True, False], "when": {"model": {"architecture": "gated_fusion"}}}
    space = {"model": {"architecture": {"choices": ["bc_lstm", "gated_fusion"]}, "causal": causal}}
    point = {"model": {"architecture": "gated_fusion", "causal": True}}
    study = search(given(tmp_path, base, trials=2, seeds=1, space=space, enqueue=[point]))
    assert [(of_trial(t), t.state) for t in study.trials] == [
        ({"model.architecture": "bc_lstm"}, TrialState.COMPLETE),
        ({"model.architecture": "gated_fusion", "model.causal": True}, TrialState.COMPLETE),
    ]


def test_the_score_of_a_search_is_said_with_what_scaling_reads(tmp_path, caplog):
    table, features = make_corpus(12)
    said = {"name": "made"}
    records = {modality: provenance(one, table, said) for modality, one in features.items()}
    audits = {"errors": []}, {"errors": [], "provenance": records}
    base = BASE.model_copy(update={"scaling": {"audio": "speaker"}, "epochs": 1, "seeds": 1})
    tune = TuneParameters(trials=2, seeds=1, space=SPACE, experiment="full")
    with caplog.at_level("INFO"):
        tune_corpus(table, *features.values(), {"labels": CLASSES}, *audits, tmp_path / "meld", base, tune)
    [line] = [r.getMessage() for r in caplog.records if "best of 2 trials" in r.getMessage()]
    assert "audio scaled by speaker over the split" in line


def test_data_that_differ_under_a_searched_scaling_are_another_study(tmp_path):
    table, features = make_corpus(12)
    louder = features["audio"].assign(vector=[2 * vector for vector in features["audio"]["vector"]])
    corpora = (table, features), (table, {**features, "audio": louder})
    space = {"scaling": {"audio": {"choices": ["train", "none"]}}}
    # Scaled by training, as the base is, they are the same.
    assert len({given(tmp_path, corpus=one).name for one in corpora}) == 1
    assert len({given(tmp_path, corpus=one, space=space).name for one in corpora}) == 2


def test_a_second_run_goes_on_and_repeats_nothing(tmp_path):
    ran = []
    search(given(tmp_path, trials=2), lambda trial: ran.append(trial.number))
    search(given(tmp_path, trials=2), lambda trial: ran.append(trial.number))
    study = search(given(tmp_path, trials=4), lambda trial: ran.append(trial.number))
    assert ran == [0, 1, 2, 3]
    assert len(study.trials) == 4


@pytest.mark.parametrize(
    "change", [{"seeds": 1}, {"space": {**SPACE, "weight_decay": {"low": 0.0, "high": 0.1}}}]
)
def test_what_changes_scores_is_another_study(tmp_path, change):
    assert given(tmp_path, **change).name != given(tmp_path).name
    assert given(tmp_path, trials=9, workers=3, sampler="random").name == given(tmp_path).name
    table, features = make_corpus(12, seed=1)
    assert given(tmp_path, corpus=(table, features)).name != given(tmp_path).name


def test_the_same_seed_draws_the_same_points(tmp_path):
    drawn = [search(given(tmp_path / name, trials=4)) for name in ("a", "b")]
    assert [t.params for t in drawn[0].trials] == [t.params for t in drawn[1].trials]
    assert len({repr(t.params) for t in drawn[0].trials}) == 4


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random"])
def test_samplers(tmp_path, sampler):
    # Past the first ten, which any sampler draws at random.
    study = search(given(tmp_path, sampler=sampler, trials=13, seeds=1, base=QUICK))
    assert len({repr(trial.params) for trial in study.trials}) == 13


def test_known_points_come_right_after_the_default(tmp_path):
    point = {"learning_rate": 0.004, "model": {"context_encoder": "transformer"}}
    study = search(given(tmp_path, enqueue=[point], trials=2, seeds=1))
    second = study.trials[1].params
    assert (second["learning_rate"], second["model.context_encoder"]) == (0.004, "transformer")


@pytest.mark.parametrize("second", ["accuracy", "parameters", "latency"])
def test_a_second_objective_gives_a_front(tmp_path, second):
    space = {"model": {"hidden": {"choices": [16, 32]}}}
    chosen = given(tmp_path, second_objective=second, trials=4, seeds=1, space=space)
    study = search(chosen)
    assert states(study) == {"COMPLETE": 4}
    result = outcome(study, chosen)
    assert result["search"] == max(trial.values[0] for trial in study.trials)
    front = {one["trial"] for one in result["front"]}
    assert front == {trial.number for trial in study.best_trials}
    if second == "parameters":
        by_size = {trial.params["model.hidden"]: trial.values[1] for trial in study.trials}
        assert by_size.get(16, 0) < by_size.get(32, np.inf)


def test_what_does_not_fit_together_is_pruned_with_its_reason(tmp_path):
    # 24 is no multiple of twice 5 heads.
    space = {"model": {"attention_heads": {"choices": [5]}}}
    study = search(given(tmp_path, space=space, trials=2, seeds=1))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert "must be a multiple" in study.trials[1].user_attrs["reason"]


def test_a_default_that_cannot_be_trained_is_said(tmp_path):
    table, features = make_corpus(12)
    table.loc[table["split"] == "val", "label"] = None
    with pytest.raises(ValueError, match="default configuration cannot be trained"):
        search(given(tmp_path, corpus=(table, features)))


def test_an_error_costs_its_trial_alone(tmp_path, monkeypatch):
    whole = trials.train_model

    def broken(data, parameters, *rest):
        if parameters.learning_rate != BASE.learning_rate:
            raise MemoryError("no room")
        return whole(data, parameters, *rest)

    monkeypatch.setattr(trials, "train_model", broken)
    study = search(given(tmp_path, trials=3))
    assert states(study) == {"COMPLETE": 1, "FAIL": 2}
    assert "no room" in study.trials[1].user_attrs["reason"]
    assert winner(study).number == 0


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
    context = multiprocessing.get_context("spawn")
    started, sign = context.Event(), context.Event()
    process = context.Process(target=slowly, args=(given(tmp_path, trials=4), started, sign))
    process.start()
    assert started.wait(60)
    process.kill()
    process.join()
    study = search(given(tmp_path, trials=4))
    assert len(studies.finished(study)) == 4
    (lost,) = studies.lost(study)
    again = next(t for t in study.trials if t.user_attrs.get("retry_of") == lost.number)
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
        studies.queue(study, point, 1)
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
        studies.queue(study, [("default", {})], 1)
        trial = studies.claim(study, chosen.parameters)
        assert trial.user_attrs["point"] == "default"
        studies.give_back(study, trial.number)


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


def test_points_that_are_added_later_go_before_the_rest(tmp_path):
    search(given(tmp_path, trials=2, seeds=1))
    point = {"learning_rate": 0.004}
    study = search(given(tmp_path, trials=3, seeds=1, enqueue=[point]))
    assert study.trials[2].params["learning_rate"] == 0.004


def claimed_elsewhere(tmp_path):
    """A study, and its only trial, which another machine has."""
    chosen = given(tmp_path, trials=1)
    study = chosen.open()
    studies.queue(study, [], 1)
    trial = studies.claim(study, chosen.parameters)
    trial.set_user_attr("worker", ["elsewhere", 1, 0.0])
    return study, trial


def test_silence_on_another_machine_is_a_death(tmp_path, monkeypatch):
    study, trial = claimed_elsewhere(tmp_path)
    studies.queue(study, [], 1)
    assert not studies.lost(study)
    later = time.time() + studies.SILENT_S + 1
    monkeypatch.setattr(studies.time, "time", lambda: later)
    studies.queue(study, [], 1)
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


def take_part(chosen, out):
    numbers = []
    search(chosen, lambda trial: numbers.append(trial.number))
    out.put((os.getpid(), numbers))


def test_two_processes_fill_one_journal_to_the_budget(tmp_path):
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    both = [context.Process(target=take_part, args=(given(tmp_path, trials=7), out)) for _ in range(2)]
    for process in both:
        process.start()
    ran = [out.get(timeout=120) for _ in both]
    for process in both:
        process.join()
    numbers = sorted(number for _, own in ran for number in own)
    # None twice, none left out.
    assert numbers == list(range(7))
    study = given(tmp_path).open()
    assert len(studies.finished(study)) == 7
    assert sum(trial.user_attrs.get("point") == "default" for trial in studies.finished(study)) == 1


def test_a_worker_that_is_killed_is_replaced(tmp_path):
    slow = BASE.model_copy(update={"epochs": 30, "patience": 30})
    chosen = given(tmp_path, base=slow, trials=6, workers=2, prune_epochs=False)
    killed = []

    def kill(trial):
        others = chosen.open().get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if others and not killed:
            os.kill(others[0].user_attrs["worker"][1], signal.SIGKILL)
            killed.append(others[0].number)

    study = search(chosen, kill)
    assert killed
    assert len(studies.finished(study)) == 6
    assert [lost.number for lost in studies.lost(study)] == killed


@pytest.mark.parametrize("storage", ["sqlite:///{folder}/study.db", "grpc"])
def test_other_storage(tmp_path, storage):
    if storage == "grpc":
        import socket
        import threading

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        behind = studies.storage("journal", tmp_path / "behind")
        serve = optuna.storages.run_grpc_proxy_server
        options = {"host": "127.0.0.1", "port": port}
        threading.Thread(target=serve, args=(behind,), kwargs=options, daemon=True).start()
        where = f"grpc://127.0.0.1:{port}"
    else:
        where = storage.format(folder=tmp_path)
    study = search(given(tmp_path, storage=where, trials=2, seeds=1))
    assert len(studies.finished(study)) == 2
    assert search(given(tmp_path, storage=where, trials=2, seeds=1)).trials == study.trials
    assert not (tmp_path / studies.JOURNAL).exists()


def test_a_dask_cluster(tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with cluster:
        chosen = given(tmp_path, trials=2, seeds=1, backend="dask", address=cluster.scheduler_address)
        assert len(studies.finished(search(chosen))) == 2


def test_a_dask_cluster_that_does_not_answer_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"tune\.address: no Dask scheduler answers"):
        search(given(tmp_path, backend="dask", address="tcp://127.0.0.1:9"))


def test_storage_that_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"tune\.storage: nosuch://x cannot be opened"):
        search(given(tmp_path, storage="nosuch://x"))


def test_a_line_that_a_crash_cut_short_spoils_nothing(tmp_path):
    search(given(tmp_path, trials=1, seeds=1))
    journal = tmp_path / studies.JOURNAL
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"wor')
    studies.storage.cache_clear()
    study = search(given(tmp_path, trials=2, seeds=1))
    assert len(studies.finished(study)) == 2


def test_the_winner_is_an_experiment(tmp_path):
    # The tuned experiment has a section for the corpus, which goes before its own parameters.
    settings = {"features": {"text": {"encoder": "finetuned"}}, "meld": {"train": {"epochs": 9}}}
    chosen = given(tmp_path, trials=3, experiment_settings=settings)
    study = search(chosen)
    content = yaml.safe_load(best_experiment(outcome(study, chosen), chosen.parameters))["meld_best"]
    assert content["features"] == {"text": {"encoder": "finetuned"}}
    written = TrainParameters(**for_stage({"train": {"patience": 7}}, "meld", "train", content, {}))
    found = with_values(BASE, of_trial(winner(study)))
    assert written == found.model_copy(update={"seeds": written.seeds})


def test_a_search_does_not_use_training_s_seeds(tmp_path):
    with pytest.raises(ConfigError, match="first_seed is 3, but the seeds 0 to 4"):
        given(tmp_path, first_seed=3)


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


def test_another_trial_than_the_best_may_be_written(tmp_path):
    chosen = given(tmp_path, trials=3, winner=0)
    study = search(chosen)
    content = yaml.safe_load(best_experiment(outcome(study, chosen), chosen.parameters))["meld_best"]
    assert content["meld"]["train"]["learning_rate"] == BASE.learning_rate
    assert winner(study, 0).number == 0
    with pytest.raises(ConfigError, match=r"tune\.winner: 99 is no complete trial of the study"):
        winner(study, 99)


def test_scaling_that_is_not_written_is_by_training_and_lies_in_the_space(caplog, tmp_path):
    space = {"scaling": {"audio": {"choices": ["train", "speaker"]}}}
    study = search(given(tmp_path, trials=1, seeds=1, space=space))
    assert of_trial(study.trials[0]) == {"scaling.audio": "train"}
    assert "outside of the space" not in caplog.text
