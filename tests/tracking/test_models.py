"""Bundles are registered once, the best is the champion, and what is registered is found."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.models import Model

from erc_kedro import tracking
from erc_kedro.tracking import UnknownModelError, models, store

NAME = "erc-meld"


def champion(uri, name=NAME):
    version = store.connect(uri).get_registered_model(name).aliases.get("champion")
    return version and str(version)


def folder_of(uri, version="1", name=NAME):
    return store.local_path(store.connect(uri).get_model_version_download_uri(name, version))


def test_a_bundle_is_registered_with_its_run(uri, run, bundle_of):
    bundle = bundle_of(readme="# A model\n\n    load THIS_FOLDER")
    assert tracking.register(run, bundle) == "erc-meld/1"
    version = store.connect(uri).get_model_version(NAME, "1")
    assert version.run_id == run.id
    assert version.description == "# A model\n\n    load models:/erc-meld/1"
    said = {key: version.tags[key] for key in ("experiment", "protocol", "val_weighted_f1", "synthetic")}
    assert said == {
        "experiment": "full",
        "protocol": "meld.official",
        "val_weighted_f1": "0.5",
        "synthetic": "False",
    }
    logged = store.connect(uri).get_run(run.id)
    assert logged.data.tags["registered_model"] == "erc-meld/1"
    [output] = logged.outputs.model_outputs
    model = store.connect(uri).get_logged_model(output.model_id)
    assert (model.status, model.source_run_id) == ("READY", run.id)
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": NAME, "version": "1"}]
    assert [(metric.key, metric.value) for metric in model.metrics] == [("ensemble.val.weighted_f1", 0.5)]
    assert champion(uri) == "1"


def test_weights_are_on_the_disk_once_and_the_rest_can_be_edited(uri, run, bundle_of):
    bundle = bundle_of()
    tracking.register(run, bundle)
    kept = folder_of(uri) / "bundle"
    names = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    assert sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()) == names
    shared = {name for name in names if os.path.samefile(bundle / name, kept / name)}
    assert shared == {name for name in names if name.endswith(".safetensors")}


def test_weights_are_copied_to_another_disk(uri, run, bundle_of, monkeypatch):
    def refused(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    bundle = bundle_of()
    assert tracking.register(run, bundle) == "erc-meld/1"
    kept = folder_of(uri) / "bundle" / "seed0.safetensors"
    assert kept.read_bytes() == (bundle / "seed0.safetensors").read_bytes()


def test_what_mlflow_reads_says_columns_packages_and_an_example(uri, run, bundle_of):
    labels = ["glad 😀", "p_cross", "سعيد", "a: {b}"]
    tracking.register(run, bundle_of(labels=labels))
    folder = folder_of(uri)
    model = Model.load(str(folder))
    columns = {column.name: column.required for column in model.signature.inputs}
    assert {name for name, required in columns.items() if required} == {"dialogue_id", "speaker", "text"}
    answered = [column.name for column in model.signature.outputs]
    assert [name for name in answered if name.startswith("p_")] == [f"p_{label}" for label in labels]
    assert (folder / "requirements.txt").read_text().split() == [
        "mlflow==" + _mlflow(),
        "erc-kedro==0.1",
        "torch==2.13.0",
    ]
    assert list(model.load_input_example(str(folder)).columns) == ["dialogue_id", "speaker", "text"]
    assert not [*folder.rglob("*.pkl")]


def _mlflow():
    import mlflow

    return mlflow.__version__


def test_the_same_bundle_is_registered_once_whatever_the_commit(uri, run, bundle_of):
    assert tracking.register(run, bundle_of()) == "erc-meld/1"
    assert tracking.register(run, bundle_of(git_revision="b", readme="# Other words")) == "erc-meld/1"
    assert tracking.register(run, bundle_of(seed=1)) == "erc-meld/2"
    assert len(store.connect(uri).search_logged_models(experiment_ids=["1"])) == 2


def test_runs_of_the_same_bundle_say_the_same(uri, run, bundle_of):
    for _ in range(2):
        with tracking.child("meld full", {"level": "corpus", "corpus": "meld"}) as trained:
            tracking.register(trained, bundle_of())
    assert [found.id for found in tracking.runs([])] == [trained.id]


def test_a_model_whose_files_are_gone_is_registered_anew(uri, run, bundle_of):
    tracking.register(run, bundle_of())
    shutil.rmtree(folder_of(uri))
    with pytest.raises(UnknownModelError, match=r"champion: its files are no longer in .*; train that"):
        tracking.resolve("models:/erc-meld@champion")
    assert tracking.register(run, bundle_of(), champion=True) == "erc-meld/2"
    assert (tracking.resolve("models:/erc-meld@champion") / "bundle.json").is_file()


@pytest.mark.parametrize(
    ("second", "asked", "expected"),
    [
        ({"weighted_f1": 0.6}, "validation", "2"),
        ({"weighted_f1": 0.5}, "validation", "1"),
        ({"weighted_f1": 0.4}, "validation", "1"),
        ({"weighted_f1": float("nan")}, "validation", "1"),
        ({"weighted_f1": 0.9, "protocol": "other"}, "validation", "1"),
        ({"weighted_f1": 0.9}, False, "1"),
        ({"weighted_f1": 0.4}, True, "2"),
    ],
)
def test_the_champion_is_the_better_one_or_the_one_named(
    uri, run, bundle_of, caplog, second, asked, expected
):
    tracking.register(run, bundle_of())
    tracking.register(run, bundle_of(seed=1, **second), champion=asked)
    assert champion(uri) == expected
    assert ("--params=champion=true names this one" in caplog.text) == ("protocol" in second)


def test_an_alias_that_somebody_moved_stays_until_something_new_is_better(uri, run, bundle_of):
    tracking.register(run, bundle_of())
    better = bundle_of(seed=1, weighted_f1=0.6)
    tracking.register(run, better)
    store.connect(uri).set_registered_model_alias(NAME, "champion", "1")
    tracking.register(run, better)
    assert champion(uri) == "1"


def test_a_first_model_that_is_not_to_be_champion_is_none(uri, run, bundle_of):
    tracking.register(run, bundle_of(), champion=False)
    assert champion(uri) is None


def test_a_synthetic_model_never_takes_a_real_one_s_name(uri, run, bundle_of):
    tracking.register(run, bundle_of())
    assert tracking.register(run, bundle_of(synthetic=True, weighted_f1=1.0)) == "erc-demo-meld/1"
    assert champion(uri) == "1"
    assert tracking.resolve("models:/erc-meld@champion") != tracking.resolve("models:/erc-demo-meld@champion")


def test_a_long_card_is_cut_where_a_line_ends_and_says_where_the_rest_is(uri, run, bundle_of):
    tracking.register(run, bundle_of(readme="A line of the card.\n" * 1000))
    said = store.connect(uri).get_model_version(NAME, "1").description
    assert len(said) <= 5000
    assert said.endswith("A line of the card.\n\nThe whole card: bundle/README.md of the model's files.")


def test_a_registry_that_fails_costs_no_training(uri, run, bundle_of, caplog, monkeypatch):
    def refused(*_, **__):
        raise ConnectionError("no room left")

    monkeypatch.setattr(MlflowClient, "create_logged_model", refused)
    assert tracking.register(run, bundle_of()) is None
    assert "its model in the registry could not be logged (no room left)" in caplog.text


def test_where_nothing_is_tracked_nothing_is_registered(bundle_of):
    assert tracking.register(tracking.current(), bundle_of()) is None


def test_a_registered_bundle_is_used_where_it_lies_within_a_run_and_without(uri, run, bundle_of, monkeypatch):
    tracking.register(run, bundle_of())
    tracking.register(run, bundle_of(seed=1, weighted_f1=0.6))
    best = folder_of(uri, "2") / "bundle"
    assert tracking.resolve("models:/erc-meld@champion") == best
    tracking.finish("FINISHED")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking.resolve("models:/erc-meld@champion") == best
    assert tracking.resolve("models:/erc-meld/1") == folder_of(uri, "1") / "bundle"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(Path(store.sqlite_file(uri)).parent)
    assert tracking.resolve("models:/erc-meld/2") == best


NOT_THERE = {
    "models:/erc-mel@champion": "has no such model, but erc-meld",
    "models:/erc-meld/7": "has @champion and version 1, 2 of erc-meld",
    "models:/erc-meld@best": "has @champion and version 1, 2 of erc-meld",
    "models:/erc-meld": "is named models:/NAME@ALIAS or models:/NAME/VERSION",
    "models:/erc-meld' or '1'='1@champion": "has no such model, but erc-meld",
    "models:/../../etc/1": "is named models:/NAME@ALIAS",
}


def test_a_model_that_is_not_there_is_said_with_those_that_are(run, bundle_of):
    tracking.register(run, bundle_of())
    tracking.register(run, bundle_of(seed=1))
    for asked, said in NOT_THERE.items():
        with pytest.raises(UnknownModelError, match=f"^{re.escape(asked)}: .*{said}"):
            tracking.resolve(asked)


def test_whoever_looks_for_a_model_makes_no_store(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UnknownModelError, match=r"there is no MLflow store .*mlflow\.db; set MLFLOW_TRACKING_URI"
    ):
        tracking.resolve("models:/erc-meld@champion")
    assert not (tmp_path / "mlflow.db").exists()


def test_a_moved_project_s_models_move_with_it(uri, run, bundle_of, tmp_path, monkeypatch):
    tracking.register(run, bundle_of())
    tracking.finish("FINISHED")
    monkeypatch.setattr(store, "_clients", {})
    (tmp_path / "project").rename(tmp_path / "moved_100%")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'moved_100%' / 'mlflow.db'}")
    found = tracking.resolve("models:/erc-meld@champion")
    assert found.is_relative_to(tmp_path / "moved_100%" / "mlruns")
    assert (found / "seed0.safetensors").is_file()


@pytest.fixture
def from_afar(monkeypatch, tmp_path):
    """As if the store's files were another machine's."""
    monkeypatch.setattr(models, "_local", lambda location: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_server_s_bundle_is_downloaded_once(uri, run, bundle_of, from_afar, tmp_path):
    bundle = bundle_of()
    tracking.register(run, bundle)
    found = tracking.resolve("models:/erc-meld@champion")
    assert found.is_relative_to(tmp_path / "cache")
    assert {path.relative_to(found).as_posix(): path.read_bytes() for path in found.rglob("*.*")} == {
        path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*.*")
    }
    shutil.rmtree(store.local_path(store.connect(uri).get_model_version_download_uri(NAME, "1")))
    assert tracking.resolve("models:/erc-meld/1") == found


def test_what_a_server_sends_in_place_of_a_bundle_is_refused(uri, run, bundle_of, from_afar, tmp_path):
    tracking.register(run, bundle_of())
    kept = store.local_path(store.connect(uri).get_model_version_download_uri(NAME, "1"))
    card = json.loads((kept / "bundle" / "bundle.json").read_text())
    (kept / "bundle" / "bundle.json").write_text(json.dumps(card | {"labels": ["cross", "glad"]}))
    with pytest.raises(UnknownModelError, match="sends is not what was registered"):
        tracking.resolve("models:/erc-meld@champion")
    assert not [*(tmp_path / "cache").rglob("bundle.json")]


def test_a_model_that_somebody_else_registered_is_no_bundle(uri, run, bundle_of, from_afar):
    client = store.connect(uri)
    client.create_registered_model("theirs")
    client.create_model_version("theirs", "https://127.0.0.1/x")
    with pytest.raises(UnknownModelError, match="models:/theirs/1: not registered by erc-kedro"):
        tracking.resolve("models:/theirs/1")
