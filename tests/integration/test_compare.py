"""Experiments are compared as a user compares them, on tiny embedded corpora."""

import json
import signal
import time

import pandas as pd
import pytest

DATA = "data/demo"
COMMAND = ("run", "--env=demo", "--pipeline=compare")
EXPERIMENTS = ["full", "no_gates", "only_text", "majority"]


@pytest.fixture(scope="module")
def compared(copy_of_demo):
    """A finished demo in which four experiments have been compared."""
    project = copy_of_demo()
    project.kedro(*COMMAND, f"--params=experiments=[{','.join(EXPERIMENTS)}],seeds=2,compare.search=[]")
    return project


def table(project):
    return pd.read_parquet(project.folder / DATA / "08_reporting" / "comparison" / "comparison.parquet")


def configs(project):
    paths = (project.folder / DATA / "06_models").glob("*/*/seed*/config.json")
    return {
        "/".join(path.parts[-4:-1]): (path.stat().st_mtime_ns, json.loads(path.read_text())["key"])
        for path in paths
    }


def test_one_table_holds_every_experiment_of_every_corpus(compared):
    rows = table(compared)
    assert rows.groupby("corpus")["experiment"].apply(list).to_dict() == {
        "meld": EXPERIMENTS,
        "iemocap": EXPERIMENTS,
    }
    assert (rows["seeds"] == 2).all()
    others = rows[rows["experiment"] != "full"]
    assert others["p"].between(0, 1).all()
    assert (others["p_corrected"] >= others["p"]).all()
    assert ((rows["low"] <= rows["weighted_f1"]) & (rows["weighted_f1"] <= rows["high"])).all()
    page = (compared.folder / DATA / "08_reporting" / "comparison" / "comparison.md").read_text()
    assert page.count("| no_gates |") == 2
    assert page.count("SYNTHETIC DATA") == 2


def test_scores_are_those_of_the_kept_predictions(compared):
    from sklearn.metrics import f1_score

    row = table(compared).set_index(["corpus", "experiment"]).loc[("meld", "no_gates")]
    scores = []
    for seed in range(2):
        path = (
            compared.folder / DATA / "06_models" / "meld" / "no_gates" / f"seed{seed}" / "predictions.parquet"
        )
        p = pd.read_parquet(path)
        p = p[(p["split"] == "test") & (p["head"] == "tav") & p["label"].notna()]
        columns = [column for column in p if column.startswith("p_")]
        guess = [columns[i].removeprefix("p_") for i in p[columns].to_numpy().argmax(1)]
        scores.append(f1_score(p["label"], guess, average="weighted"))
    assert row["weighted_f1"] == pytest.approx(sum(scores) / 2)


def test_what_the_demo_trained_is_not_trained_again(compared, demo):
    before, after = configs(demo), configs(compared)
    for corpus in ("meld", "iemocap"):
        for seed in range(2):
            assert after[f"{corpus}/full/seed{seed}"][1] == before[f"{corpus}/full/seed{seed}"][1]
    full = [run for run in compared.runs() if run.data.tags.get("experiment") == "full"]
    seeds = [run for run in full if run.data.tags["level"] == "seed"]
    assert [run.data.tags["resumed"] for run in seeds] == ["done"] * 4


def test_runs_are_nested_three_deep(compared):
    runs = {run.info.run_id: run for run in compared.runs()}
    by_level = {
        level: [r for r in runs.values() if r.data.tags["level"] == level]
        for level in ("run", "corpus", "seed")
    }
    assert len(by_level["run"]) == 1
    assert len(by_level["corpus"]) == 2 * len(EXPERIMENTS)
    assert len(by_level["seed"]) == 2 * 2 * len(EXPERIMENTS)
    parent = by_level["run"][0].info.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in by_level["corpus"]} == {parent}
    for run in by_level["seed"]:
        experiment = runs[run.data.tags["mlflow.parentRunId"]]
        assert experiment.data.tags["experiment"] == run.data.tags["experiment"]
        assert experiment.data.tags["corpus"] == run.data.tags["corpus"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_the_report_tells_the_comparison(compared):
    compared.kedro("run", "--env=demo", "--pipeline=reporting")
    folder = compared.folder / DATA / "08_reporting" / "full"
    page = (folder / "report.html").read_text()
    found = pd.read_csv(folder / "tables" / "meld_comparison.csv").set_index("experiment")
    assert list(found.index) == EXPERIMENTS
    row = found.loc["only_text"]
    assert row["difference"] == pytest.approx(row["weighted_f1"] - found.loc["full", "weighted_f1"])
    assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert "only_text" in page
    assert "Not compared with other experiments yet" not in page


def test_a_second_comparison_trains_only_what_is_new_or_changed(compared):
    project = compared
    before = configs(project)
    first = table(project)
    project.kedro(*COMMAND, "--params=experiments=[full,no_gates,majority,concat],seeds=2,compare.search=[]")
    after = configs(project)
    assert {name for name in after if after[name] != before.get(name)} == {
        f"{corpus}/concat/seed{seed}" for corpus in ("meld", "iemocap") for seed in range(2)
    }
    rows = table(project)
    columns = ["corpus", "experiment", "weighted_f1", "low", "high", "difference", "p"]
    merged = first[columns].merge(rows[columns], on=["corpus", "experiment"], suffixes=("", "_again"))
    assert len(merged) == 6
    for column in columns[2:]:
        pd.testing.assert_series_equal(merged[column], merged[f"{column}_again"], check_names=False)
    # Files that are there do not count: another learning rate is another model.
    project.kedro(
        *COMMAND,
        "--params=experiments=[full],seeds=1,compare.search=[],train.learning_rate=0.001",
        "--namespaces=meld",
    )
    changed = configs(project)
    assert changed["meld/full/seed0"][1] != after["meld/full/seed0"][1]
    assert changed["iemocap/full/seed0"] == after["iemocap/full/seed0"]


def test_a_killed_comparison_goes_on_where_it_stopped(demo_copy):
    command = (
        *COMMAND,
        "--params=experiments=[full,no_gates,concat],seeds=2,compare.search=[]",
        "--namespaces=meld",
    )
    process = demo_copy.start(*command)
    one = demo_copy.folder / DATA / "06_models" / "meld" / "no_gates" / "seed1" / "config.json"
    deadline = time.monotonic() + 200
    while not one.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert one.exists()
    before = configs(demo_copy)
    demo_copy.kedro(*command)
    after = configs(demo_copy)
    assert len(after) > len(before)
    assert {name: after[name] for name in before} == before


def test_gates_and_fusion_weights_come_as_a_table_when_asked_for(demo_copy):
    demo_copy.kedro("run", "--env=demo", "--pipeline=contributions", "--namespaces=meld")
    path = demo_copy.folder / DATA / "07_model_output" / "meld" / "full" / "contributions.parquet"
    found = pd.read_parquet(path)
    utterances = pd.read_parquet(demo_copy.folder / DATA / "03_primary" / "meld" / "utterances.parquet")
    assert set(found["utterance_id"]) == set(utterances["utterance_id"])
    assert set(found["kind"]) == {"gate", "balance", "product", "fusion"}
    fusion = found[found["kind"] == "fusion"].groupby(["seed", "utterance_id"])["weight"].sum()
    assert fusion.to_numpy() == pytest.approx(1, abs=1e-5)


def test_contributions_of_what_is_not_trained_say_what_to_run(demo_copy):
    printed = demo_copy.kedro(
        "run", "--env=demo", "--pipeline=contributions", "--params=train.learning_rate=0.5", succeeds=False
    )
    assert "no model trained on this data with these parameters" in printed
    assert "kedro run --pipeline=train --params=experiment=full" in printed
