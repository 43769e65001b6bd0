"""A search: its first trials, its draws, its scores, its workers, and its winner."""

import sys

import numpy as np
import pytest
import yaml
from optuna.trial import TrialState

from erc_kedro import processes, sources
from erc_kedro.audit.provenance import provenance
from erc_kedro.config import ConfigError, for_stage
from erc_kedro.pipelines.tune.nodes import tune_corpus
from erc_kedro.training import loop
from erc_kedro.tuning import study as studies
from erc_kedro.tuning import trial as trials
from erc_kedro.tuning.results import best_experiment, outcome, winner
from erc_kedro.tuning.search import search
from erc_kedro.tuning.space import of_trial, with_values
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TrainParameters, TuneParameters
from tests.tuning.searches import BASE, QUICK, SPACE, given, states


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
    chosen = given(tmp_path, trials=1, seeds=2)
    study = search(chosen)
    scores = []
    for seed in (1000, 1001):
        made = loop.train_model(next(iter(chosen.data.values()))["."], BASE, seed, tmp_path / f"own{seed}")
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


OWN = """
from erc_kedro.models.baselines.feedforward import ConcatMlp

class Net(ConcatMlp):
    class Settings(ConcatMlp.Settings):
        width: int = 8
        rate: float = 0
"""


@pytest.fixture
def own_network(tmp_path, monkeypatch):
    """The name of somebody's own network."""
    (tmp_path / "my_searched.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_searched:Net"
    sys.modules.pop("my_searched", None)
    sources.version_of_module.cache_clear()


def test_settings_of_a_network_of_one_s_own_are_searched(own_network, tmp_path):
    model = BASE.model.model_copy(update={"architecture": own_network, "settings": {"width": 9}})
    base = QUICK.model_copy(update={"model": model})
    width, rate = {"low": 4, "high": 16}, {"low": 0, "high": 1}
    chosen = given(tmp_path, base, trials=3, space={"model": {"settings": {"width": width, "rate": rate}}})
    study = search(chosen)
    assert states(study) == {"COMPLETE": 3}
    default, *drawn = [of_trial(trial) for trial in study.trials]
    # The one is written in the base, the other nowhere but in the class.
    assert default == {"model.settings.width": 9, "model.settings.rate": 0.0}
    assert all(isinstance(one["model.settings.width"], int) for one in drawn)
    assert any(0 < one["model.settings.rate"] < 1 for one in drawn)
    best = winner(study, None)
    assert with_values(chosen.base, of_trial(best)).model.settings == {
        name.rpartition(".")[2]: value for name, value in of_trial(best).items()
    }
    for space, said in (
        ({"widht": width}, "tune.space: .*settings.widht: .*it has width, rate"),
        ({"width": {"choices": [4, "wide"]}}, "settings.width: 'wide' is not possible"),
    ):
        with pytest.raises(ConfigError, match=said):
            given(tmp_path, base, space={"model": {"settings": space}})


def test_settings_are_searched_of_the_network_that_has_them(own_network, tmp_path):
    width = {"low": 4, "high": 16}
    architecture = {"choices": ["gated_fusion", own_network]}
    space = {"architecture": architecture, "settings": {"width": width}}
    with pytest.raises(ConfigError, match="gated_fusion has no such setting"):
        given(tmp_path, QUICK, space={"model": space})
    space["settings"]["width"] = width | {"when": {"model": {"architecture": own_network}}}
    point = {"model": {"architecture": own_network, "settings": {"width": 7}}}
    study = search(given(tmp_path, QUICK, trials=2, space={"model": space}, enqueue=[point]))
    assert [(of_trial(t), t.state) for t in study.trials] == [
        ({"model.architecture": "gated_fusion"}, TrialState.COMPLETE),
        ({"model.architecture": own_network, "model.settings.width": 7}, TrialState.COMPLETE),
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
    "change", [{"seeds": 2}, {"space": {**SPACE, "weight_decay": {"low": 0.0, "high": 0.1}}}]
)
def test_what_changes_scores_is_another_study(tmp_path, change):
    assert given(tmp_path, **change).name != given(tmp_path).name
    assert given(tmp_path, trials=9, workers=3, sampler="random").name == given(tmp_path).name
    table, features = make_corpus(12, seed=1)
    assert given(tmp_path, corpus=(table, features)).name != given(tmp_path).name


def test_the_same_seed_draws_the_same_points(tmp_path):
    drawn = [search(given(tmp_path / name, base=QUICK)) for name in ("a", "b")]
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


def test_points_that_are_added_later_go_before_the_rest(tmp_path):
    search(given(tmp_path, trials=2, seeds=1))
    point = {"learning_rate": 0.004}
    study = search(given(tmp_path, trials=3, seeds=1, enqueue=[point]))
    assert study.trials[2].params["learning_rate"] == 0.004


def test_a_dask_cluster(tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with cluster:
        chosen = given(tmp_path, trials=2, seeds=1, backend="dask", address=cluster.scheduler_address)
        assert len(studies.finished(search(chosen))) == 2


def test_a_dask_cluster_that_does_not_answer_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "ANSWER_S", 1)
    with pytest.raises(ConfigError, match=r"tune\.address: no Dask scheduler answers"):
        search(given(tmp_path, backend="dask", address="tcp://127.0.0.1:9"))


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
