"""A corpus in folds from the train, compare and tune nodes to its scores."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from erc_kedro import schemas
from erc_kedro.audit.provenance import provenance
from erc_kedro.config import ConfigError
from erc_kedro.errors import PlainError
from erc_kedro.folds import views
from erc_kedro.pipelines.compare.features import ExperimentTables
from erc_kedro.pipelines.compare.nodes import compare_experiments, train_experiments
from erc_kedro.pipelines.contributions.nodes import read_contributions
from erc_kedro.pipelines.reporting.nodes import inspect_networks
from erc_kedro.pipelines.train.nodes import train_corpus
from erc_kedro.pipelines.tune.nodes import tune_corpus
from tests.conftest import CLASSES, make_corpus
from tests.defaults import CompareParameters, TrainParameters, TuneParameters

FOLDS = ("one", "two", "three")
SMALL = TrainParameters(
    seeds=2, epochs=3, batch_utterances=64, learning_rate=0.005, model={"hidden": 16, "attention_heads": 2}
)
DESCRIPTION = {"name": "Talk", "protocol": "folds", "synthetic": True, "labels": list(CLASSES)}
AUDIT = {"name": "Talk", "errors": [], "not_learnable": [], "warnings": []}


def corpus(change=lambda features, table: features):
    """Utterances in three folds, their features, and the record of these."""
    table, features = make_corpus(18)
    number = table["dialogue_id"].factorize()[0]
    table["fold"] = pd.Series(np.array(FOLDS)[number % 3], dtype="str")
    table["split"] = views(table)[0].utterances["split"]
    features = change(features, table)
    made = {"name": "drawn", "version": "1", "licence": "", "settings": {}}
    records = {name: provenance(rows, table, made) for name, rows in features.items()}
    return table, features, {"errors": [], "warnings": [], "provenance": records}


def trained(models, parameters=SMALL, change=lambda features, table: features):
    table, features, audited = corpus(change)
    return train_corpus(table, *features.values(), DESCRIPTION, AUDIT, audited, models, parameters, False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    models = tmp_path_factory.mktemp("models") / "meld" / "full"
    return models, trained(models)


def test_each_utterance_is_tested_once_a_seed_and_scored_with_all_others(made):
    _, (predictions, metrics, history, summary) = made
    table, _, _ = corpus()
    schemas.predictions.validate(predictions)
    schemas.metrics.validate(metrics)
    assert set(predictions["split"]) == {"val", "test"}
    for (_, _, _), rows in predictions.groupby(["seed", "head", "split"]):
        assert sorted(rows["utterance_id"]) == sorted(table["utterance_id"])
    rows = predictions.query("seed == 1 and head == 'tav' and split == 'test'")
    guess = np.array(CLASSES)[rows[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)]
    score = metrics.query("seed == 1 and head == 'tav' and split == 'test' and metric == 'weighted_f1'")
    assert score["value"].item() == pytest.approx(f1_score(rows["label"], guess, average="weighted"))
    assert history.groupby(["seed", "fold"])["selected"].sum().to_dict() == {
        (seed, fold): 1 for seed in (0, 1) for fold in FOLDS
    }
    assert [len(keys.split()) for keys in summary["keys"]] == [3, 3]


def test_a_test_fold_has_no_part_in_its_own_models(made, tmp_path):
    """Vectors of one fold are replaced by noise: what other folds' models say of others stays."""
    _, (predictions, *_) = made

    def noise(features, table):
        gone = (table["fold"] == "two").to_numpy()
        draw = np.random.default_rng(1)
        for rows in features.values():
            rows["vector"] = [
                draw.normal(size=len(x)).astype(np.float32) if lost else x
                for x, lost in zip(rows["vector"], gone, strict=True)
            ]
        return features

    again, *_ = trained(tmp_path / "meld" / "full", change=noise)
    fold = corpus()[0].set_index("utterance_id")["fold"]

    def of(rows, name, split="test"):
        here = rows[(rows["split"] == split) & (rows["utterance_id"].map(fold) == name)]
        return here.filter(like="p_").to_numpy()

    # Fold "two" is test of its own models alone, so their choice on validation stays as it was.
    assert not np.array_equal(of(again, "two"), of(predictions, "two"))
    own = next(view for view in views(corpus()[0]) if view.name == "two")
    chooses = own.utterances.loc[own.utterances["split"] == "val", "fold"].iloc[0]
    assert np.array_equal(of(again, chooses, "val"), of(predictions, chooses, "val"))


def test_what_is_trained_is_not_trained_again_and_a_fold_may_have_settings_of_its_own(made):
    models, (predictions, *_) = made
    before = {path: path.stat().st_mtime_ns for path in models.rglob("config.json")}
    assert len(before) == 6
    again, *_ = trained(models)
    pd.testing.assert_frame_equal(again, predictions)
    assert {path: path.stat().st_mtime_ns for path in models.rglob("config.json")} == before
    slower = SMALL.model_copy(update={"in_fold": {"two": {"learning_rate": 0.001}}})
    trained(models, slower)
    changed = {p.parent.parent.name for p in models.rglob("config.json") if p.stat().st_mtime_ns != before[p]}
    assert changed == {"fold_two"}
    with pytest.raises(ConfigError, match=r"no fold 'four'; the folds are one, three, two"):
        trained(models, SMALL.model_copy(update={"in_fold": {"four": {}}}))
    with pytest.raises(ConfigError, match=r"train\.in_fold\.two: Input should be greater than 0"):
        trained(models, SMALL.model_copy(update={"in_fold": {"two": {"learning_rate": 0}}}))


def test_a_head_that_some_folds_models_lack_is_not_scored_beside_those_of_all(tmp_path):
    """Voices of one fold alone: where it is test or validation, training has none."""

    def heard_in_one(features, table):
        heard = (table["fold"] == "one").to_numpy()
        rows = features["audio"]
        rows["present"] = heard
        rows["reason"] = np.where(heard, "ok", "no_audio")
        rows["vector"] = [x if here else 0 * x for x, here in zip(rows["vector"], heard, strict=True)]
        return features

    models = tmp_path / "meld" / "full"
    once = SMALL.model_copy(update={"seeds": 1})
    predictions, metrics, _, summary = trained(models, once, heard_in_one)
    table, features, _ = corpus(heard_in_one)
    assert "a" not in set(metrics["head"])
    for head in metrics["head"].unique():
        rows = predictions[(predictions["head"] == head) & (predictions["split"] == "test")]
        assert sorted(rows["utterance_id"]) == sorted(table["utterance_id"])
    _, degraded, _ = inspect_networks(table, *features.values(), DESCRIPTION, predictions, summary, models)
    assert set(degraded["modality"]) == {"text", "visual"}


def test_a_fold_whose_models_read_less_is_inspected_as_it_was_trained(tmp_path):
    models = tmp_path / "meld" / "full"
    less = {"two": {"model": {"modalities": ["text"]}}}
    parameters = SMALL.model_copy(update={"seeds": 1, "in_fold": less})
    predictions, metrics, _, summary = trained(models, parameters)
    table, features, _ = corpus()
    tables = (table, *features.values(), DESCRIPTION, predictions, summary, models)
    weights = read_contributions(*tables, parameters)
    assert set(weights["utterance_id"]) == set(table["utterance_id"])
    assert "v" not in set(metrics["head"])
    assert set(inspect_networks(*tables)[1]["modality"]) == {"text"}


def test_a_comparison_judges_settings_by_the_epoch_that_is_kept(tmp_path):
    table, features, audited = corpus()
    last = SMALL.model_copy(update={"seeds": 1, "epochs": 6, "selection": "last", "learning_rate": 0.5})
    parameters = CompareParameters(experiments={"full": last}, search=[{}, {"learning_rate": 0.05}])
    tables = ExperimentTables(features, audited)
    _, summary = train_experiments(table, DESCRIPTION, AUDIT, {"full": tables}, tmp_path / "meld", parameters)
    for fold, of_fold in summary["experiments"]["full"]["searched"].items():
        for number, score in enumerate(of_fold["scores"]):
            folder = tmp_path / "meld" / "full" / fold / f"settings{number}" / "seed1000"
            assert score == pd.read_parquet(folder / "history.parquet")["val_weighted_f1"].iloc[-1]


def test_folds_leave_no_bundle(made):
    models, _ = made
    assert not (models / "bundle").exists()


def test_gates_are_those_of_the_models_that_tested(tmp_path):
    models = tmp_path / "meld" / "full"
    predictions, _, _, summary = trained(models)
    table, features, _ = corpus()
    weights = read_contributions(table, *features.values(), DESCRIPTION, predictions, summary, models, SMALL)
    schemas.contributions.validate(weights)
    each = weights.groupby(["seed", "kind", "part"])["utterance_id"].nunique()
    assert (each == len(table)).all()


def test_a_comparison_pools_folds_and_chooses_settings_in_each_by_its_own_validation(tmp_path):
    table, features, audited = corpus()
    slow = {"learning_rate": 1e-9}
    parameters = CompareParameters(
        experiments={
            "full": SMALL,
            "concat": SMALL.model_copy(update={"model": SMALL.model.model_copy(update={"fusion": "concat"})}),
        },
        draws=200,
        search=[slow, {}],
    )
    tables = ExperimentTables(features, audited)
    predictions, summary = train_experiments(
        table, DESCRIPTION, AUDIT, {"full": tables, "concat": tables}, tmp_path / "meld", parameters
    )
    rows = compare_experiments(predictions, json.loads(json.dumps(summary)), table, parameters)
    schemas.comparison.validate(rows)
    assert (rows["seeds"] == 2).all()
    assert rows["weighted_f1"].notna().all()
    searched = summary["experiments"]["full"]["searched"]
    assert set(searched) == {f"fold_{name}" for name in FOLDS}
    for of_fold in searched.values():
        assert of_fold["scores"][of_fold["chosen"]] == max(of_fold["scores"])
    # What learns nothing is not what validation prefers.
    assert "its own in" in rows.set_index("experiment").loc["full", "settings"]
    for fold, of_fold in searched.items():
        own = tmp_path / "meld" / "full" / fold
        chosen = own / "settings0" if of_fold["chosen"] == 0 else own
        config = json.loads((chosen / "seed0" / "config.json").read_text())
        assert config["parameters"]["learning_rate"] == (
            1e-9 if of_fold["chosen"] == 0 else SMALL.learning_rate
        )
        # What `train` would leave for the experiment is not replaced by other settings.
        assert (own / "seed0").exists() == (of_fold["chosen"] == 1)


def test_a_search_over_folds_gives_each_the_trial_that_its_own_validation_prefers(tmp_path):
    table, features, audited = corpus()
    tune = TuneParameters(
        trials=4,
        seeds=1,
        sampler_seed=0,
        prune_epochs=False,
        space={"learning_rate": {"low": 1e-6, "high": 1e-2, "log": True}},
    )
    trials, result, *_ = tune_corpus(
        table, *features.values(), DESCRIPTION, AUDIT, audited, tmp_path / "meld", SMALL, tune
    )
    assert len(trials) == 4
    assert set(result["in_fold"]) == set(FOLDS)
    settings = result["train"]["in_fold"]
    learned = SMALL.model_validate(SMALL.model_dump() | {"in_fold": settings})
    for name in FOLDS:
        own = trials.set_index("trial").loc[result["in_fold"][name]["trial"], "values"]
        whole = SMALL.model_validate(
            SMALL.model_dump() | result["train"] | {"seeds": 2, "jobs": 1, "threads": 1}
        )
        assert whole.of_fold(name).learning_rate == pytest.approx(json.loads(own)["learning_rate"])
    assert set(learned.in_fold) <= set(FOLDS)


def test_a_search_never_sees_a_fold_that_is_tested_by_what_it_chose(tmp_path):
    """Test labels of a fold are swapped: the trial that this fold is given stays the same."""
    table, features, audited = corpus()
    tune = TuneParameters(
        trials=3,
        seeds=1,
        sampler="random",
        sampler_seed=0,
        prune_epochs=False,
        space={"learning_rate": {"low": 1e-6, "high": 1e-2, "log": True}},
    )

    def chosen(rows, folder):
        made = tune_corpus(
            rows, *features.values(), DESCRIPTION, AUDIT, audited, folder / "meld", SMALL, tune
        )
        return made[1]["in_fold"]["two"]

    swapped = table.copy()
    here = swapped["fold"] == "two"
    swapped.loc[here, "label"] = swapped.loc[here, "label"].map(
        {"calm": "glad", "glad": "cross", "cross": "calm"}
    )
    assert chosen(table, tmp_path / "a") == chosen(swapped, tmp_path / "b")


def test_settings_that_diverge_are_not_chosen_and_end_a_comparison_only_where_all_do(tmp_path):
    table, features, audited = corpus()
    tables = ExperimentTables(features, audited)
    far = {"learning_rate": 1e30}

    def compared(search):
        parameters = CompareParameters(experiments={"full": SMALL}, draws=200, search=search)
        given = (table, DESCRIPTION, AUDIT, {"full": tables}, tmp_path / "meld", parameters)
        return train_experiments(*given)[1]["experiments"]["full"]["searched"]

    assert {fold["chosen"] for fold in compared([far, {}]).values()} == {1}
    with pytest.raises(PlainError, match=r"none of its 1 settings the loss of full stays finite"):
        compared([far])
