"""The tune pipeline as a user runs it."""

import json
import os
import re
import signal
import time

import pandas as pd
import pytest
import yaml

TUNE = """
tune:
  trials: 6
  seeds: 2
  sampler_seed: 0
  workers: 1
  space:
    epochs: {low: 3, high: 6}
    patience: {low: 3, high: 6}
    model:
      hidden: {choices: [16, 32]}
iemocap: {tune: {trials: 3}}
"""


@pytest.fixture(scope="module")
def tuned(copy_of_demo):
    """A copy of the demo with a finished search, whose winner was trained. Look, do not touch."""
    project = copy_of_demo()
    project.write("conf/demo/parameters_tune.yml", TUNE)
    project.kedro("run", "--env=demo", "--pipeline=tune")
    project.kedro("run", "--env=demo", "--pipelines=train,reporting", "--params=experiment=meld_best")
    return project


@pytest.fixture(scope="module")
def runs(tuned):
    return {run.info.run_name: run for run in tuned.runs()}


def trials(project, corpus="meld"):
    return pd.read_parquet(project.folder / f"data/demo/08_reporting/tuning/{corpus}.parquet")


def tuning(project, corpus="meld"):
    path = project.folder / f"data/demo/08_reporting/tuning/{corpus}.json"
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("corpus", ["meld", "iemocap"])
def test_every_corpus_is_searched_from_its_default_on(tuned, corpus):
    table = trials(tuned, corpus)
    assert len(table) == {"meld": 6, "iemocap": 3}[corpus]
    first = json.loads(table.loc[0, "values"])
    # As conf/demo/parameters_train.yml has it.
    assert first["model.hidden"] == 16
    assert first["learning_rate"] == 0.0005
    assert table["state"].isin(["COMPLETE", "PRUNED"]).all()
    assert (table.loc[table["state"] == "PRUNED", "reason"] != "").all()
    found = tuning(tuned, corpus)
    assert found["default"] == table.loc[0, "value"]
    assert found["search"] >= found["default"]


def test_the_winner_is_trained_afresh_and_told_apart(tuned):
    found = tuning(tuned)
    page = (tuned.folder / "conf/demo/experiments/meld_best.yml").read_text("utf-8")
    train = yaml.safe_load(page)["meld_best"]["meld"]["train"]
    assert train["learning_rate"] == found["values"]["learning_rate"]
    summary = json.loads(
        (tuned.folder / "data/demo/07_model_output/meld/meld_best/training.json").read_text("utf-8")
    )
    assert summary["parameters"]["learning_rate"] == found["values"]["learning_rate"]
    predictions = pd.read_parquet(
        tuned.folder / "data/demo/07_model_output/meld/meld_best/predictions.parquet"
    )
    assert not set(predictions["seed"]) & set(found["seeds"])
    report = (tuned.folder / "data/demo/08_reporting/meld_best/report.html").read_text("utf-8")
    said = re.search(r"Its score there, ([\d.]+) weighted F1", report)
    assert said is not None
    assert float(said[1]) == pytest.approx(found["search"], abs=1e-4)
    plain = (tuned.folder / "data/demo/08_reporting/full/report.html").read_text("utf-8")
    assert "Its score there" not in plain


def test_every_trial_is_a_run_under_the_search(tuned, runs):
    parent = runs["meld tune"]
    found = tuning(tuned)
    assert parent.data.metrics["best.val_weighted_f1"] == pytest.approx(found["search"])
    assert float(parent.data.params["best.learning_rate"]) == found["values"]["learning_rate"]
    kept = {file.path for file in tuned.client().list_artifacts(parent.info.run_id)}
    figures = {f"{name}.html" for name in ("history", "importances", "parallel", "slices", "front")}
    assert kept == {"trials.csv", *figures}
    for _, row in trials(tuned).iterrows():
        run = runs[f"{found['study']} trial {row['trial']}"]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["state"] == row["state"]
        assert run.data.tags["reason"] == row["reason"]
        values = json.loads(row["values"])
        assert float(run.data.params["learning_rate"]) == values["learning_rate"]
        curve = tuned.client().get_metric_history(run.info.run_id, "val_weighted_f1.seed1000")
        history = pd.DataFrame(json.loads(row["history"]))
        assert len(curve) == (history["seed"] == 1000).sum() > 0
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_figures_are_there_for_kedro_viz(tuned):
    folder = tuned.folder / "data/demo/08_reporting/tuning"
    for name in ("history", "importances", "parallel", "slices"):
        assert json.loads((folder / f"meld_{name}.json").read_text("utf-8"))["data"], name


def test_test_utterances_change_nothing(tuned, copy_of):
    """The labels and vectors of the test split are replaced; every trial comes out as it did."""
    project = copy_of(tuned)
    path = project.folder / "data/demo/03_primary/meld/utterances.parquet"
    table = pd.read_parquet(path)
    test = table["split"] == "test"
    table.loc[test, "label"] = table.loc[test, "label"].sample(frac=1, random_state=0).to_numpy()
    table.to_parquet(path)
    for modality in ("text", "audio", "visual"):
        path = project.folder / f"data/demo/04_feature/meld/{modality}.parquet"
        features = pd.read_parquet(path)
        mine = features["utterance_id"].isin(table.loc[test, "utterance_id"])
        features.loc[mine, "vector"] = features.loc[mine, "vector"].map(lambda vector: 0 * vector + 7)
        features.to_parquet(path)
    for name in ("06_models/tuning", "08_reporting/tuning"):
        for file in (project.folder / "data/demo" / name).glob("*.*"):
            file.unlink()
    project.kedro("run", "--env=demo", "--pipeline=tune", "--namespaces=meld")
    columns = ["trial", "state", "value", "scores", "values"]
    pd.testing.assert_frame_equal(trials(project)[columns], trials(tuned)[columns])
    assert tuning(project)["study"] == tuning(tuned)["study"]


def test_the_same_command_again_runs_no_trial(tuned, copy_of):
    project = copy_of(tuned)
    project.kedro("run", "--env=demo", "--pipeline=tune", "--namespaces=meld")
    pd.testing.assert_frame_equal(trials(project), trials(tuned))
    names = {run.info.run_name for run in project.runs()}
    assert not any(" trial " in name for name in names)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_search_goes_on(demo_copy, sign):
    # Long enough to be hit by the signal.
    asked = TUNE.replace("trials: 6", "trials: 3").replace("seeds: 2", "seeds: 1")
    asked = asked.replace("{low: 3, high: 6}", "{low: 15, high: 30}")
    demo_copy.write("conf/demo/parameters_tune.yml", asked)
    demo_copy.write(
        "conf/demo/parameters_train.yml",
        "train: {epochs: 30, patience: 30, model: {hidden: 16, attention_heads: 2}}",
    )
    words = ("run", "--env=demo", "--pipeline=tune", "--namespaces=meld")
    process = demo_copy.start(*words)
    journal = demo_copy.folder / "data/demo/06_models/tuning/journal.log"
    until = time.monotonic() + 120
    # The second trial has begun.
    while time.monotonic() < until and not (journal.exists() and journal.read_text().count('"worker"') > 1):
        time.sleep(0.05)
    os.kill(process.pid, sign)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode != 0, printed
    demo_copy.kedro(*words)
    table = trials(demo_copy)
    assert (table["state"] == "LOST").sum() == 1
    assert table["state"].isin(["COMPLETE", "PRUNED"]).sum() == 3
    lost = table[table["state"] == "LOST"].iloc[0]
    again = table[table["trial"] > lost["trial"]]
    # It may have been killed before all of its values were drawn.
    drawn = json.loads(lost["values"]).items()
    assert any(drawn <= json.loads(values).items() for values in again["values"])


def test_a_wrong_space_is_refused_before_the_first_trial(demo_copy):
    # Other wrong ones are refused by the same class: tests/tuning/test_space.py.
    demo_copy.write("conf/demo/parameters_tune.yml", "tune: {space: {learning_rat: {low: 0.1, high: 1}}}\n")
    printed = demo_copy.kedro("run", "--env=demo", "--pipeline=tune", succeeds=False)
    assert "train has no parameter learning_rat" in printed
    assert "tune" in printed
    assert not (demo_copy.folder / "data/demo/06_models/tuning").exists()
