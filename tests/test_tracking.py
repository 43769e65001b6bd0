"""Runs end as what they were, and hold what was logged."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from erc_kedro import tracking
from erc_kedro.tracking import store
from erc_kedro.tracking.names import DEVIATION, logged_name
from erc_kedro.tracking.runs import VARIABLE

# Whatever somebody may call an emotion.
NAMES = (
    *("glad", "joy/happiness", "neutral.", "anger_mild", "very-sad", "ärgerlich", "怒り", "class 7"),
    *(
        "😀",
        "😢",
        "👋🏽",
        "👋",
        "a|b",
        "a&b",
        "a_b",
        "50%_sure",
        "50 _sure",
        "$x_1$",
        "<b>bold</b>",
        '"quoted"',
    ),
    *(
        "anger, mild",
        "مرحبا",
        "खुश",
        "खशु",
        "two\nlines",
        "tab\there",
        "back\\slash",
        ".",
        "..",
        "...",
        "/",
        "//",
    ),
    *(
        "a/",
        "a//b",
        "a/./b",
        "a/../b",
        "/a",
        "../a",
        "..a",
        "accuracy",
        "weighted_f1",
        "t.f1_glad",
        "f1_glad",
    ),
    *(
        "glad.std",
        "glad.std.std",
        ".std",
        "std",
        "-u1F600-",
        "-u1F600",
        "glad-u2E-std",
        "-",
        "u1F600-",
        "😀😀",
    ),
    *("x" * 240, "x" * 300, "x" * 301, "😀" * 100, "😀" * 101, "\u200b-", "p_glad", "nothing", "None?"),
)
PLAIN = (
    "glad",
    "joy/happiness",
    "neutral.",
    "anger_mild",
    "very-sad",
    "ärgerlich",
    "怒り",
    "class 7",
    "accuracy",
)


@pytest.fixture
def uri(request, tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    shutil.copy(request.getfixturevalue("store"), tmp_path / "mlflow.db")
    yield f"sqlite:///{tmp_path / 'mlflow.db'}"
    os.environ.pop(VARIABLE, None)


def runs(uri):
    client = store.connect(uri)
    experiment = client.get_experiment_by_name("e")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def start(uri, tmp_path):
    return tracking.start(uri, "e", "root", {"env": "demo"}, {"train": {"model": {"hidden": 8}}})


def test_a_tree_of_runs(uri, tmp_path):
    start(uri, tmp_path)
    history = pd.DataFrame({"epoch": range(1500), "train_loss": np.linspace(1, 0, 1500)})
    with tracking.child("corpus", {"corpus": "meld"}) as corpus, tracking.child("seed", {"seed": 0}) as seed:
        seed.curves(history)
        seed.metrics({"test.f1_a/b (c)": 0.5, "nothing": float("nan")})
        seed.text("<html>", "report.html")
        corpus.parameters({"long": "x" * 9000, "many": {str(i): i for i in range(150)}})
    tracking.finish("FINISHED")
    found = runs(uri)
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert found["root"].data.params == {"train.model.hidden": "8"}
    assert found["corpus"].data.tags["mlflow.parentRunId"] == found["root"].info.run_id
    assert found["seed"].data.tags["mlflow.parentRunId"] == found["corpus"].info.run_id
    assert len(found["corpus"].data.params) == 151
    client = store.connect(uri)
    assert len(client.get_metric_history(found["seed"].info.run_id, "train_loss")) == 1500
    assert found["seed"].data.metrics["test.f1_a/b -u28-c-u29-"] == 0.5
    assert "nothing" not in found["seed"].data.metrics
    assert [f.path for f in client.list_artifacts(found["seed"].info.run_id)] == ["report.html"]


def test_each_class_has_metrics_of_its_own(uri, tmp_path):
    start(uri, tmp_path)
    mean = {f"test.f1_{name}": number / 100 for number, name in enumerate(NAMES)}
    deviation = {name: 1 + value for name, value in mean.items()}
    with tracking.child("corpus", {}) as run:
        run.metrics({"test.accuracy": 0.5, **mean}, {"test.accuracy": 1.5, **deviation})
    tracking.finish("FINISHED")
    logged = runs(uri)["corpus"].data.metrics
    assert sorted(logged.values()) == sorted([0.5, *mean.values(), 1.5, *deviation.values()])
    for name in PLAIN:
        assert logged[f"test.f1_{name}"] == mean[f"test.f1_{name}"]
        assert logged[f"test.f1_{name}.std"] == deviation[f"test.f1_{name}"]


@given(st.lists(st.text(max_size=20) | st.text("./-u2E\n😀std", max_size=8), unique=True, max_size=20))
def test_no_two_names_are_logged_as_one(names):
    logged = [logged_name(f"test.f1_{name}") for name in names]
    deviations = [f"{name}{DEVIATION}" for name in logged]
    assert len({*logged, *deviations}) == 2 * len(names)
    for name in [*logged, *deviations, *(logged_name(f"{name}x") for name in names)]:
        _validate_metric_name(name)
        _validate_param_name(name)
        assert len(name) <= 250


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_children_end_as_what_happened(uri, tmp_path, error, status):
    start(uri, tmp_path)
    with pytest.raises(error), tracking.child("child", {}):
        raise error
    tracking.finish(status)
    assert {run.info.status for run in runs(uri).values()} == {status}


def test_a_killed_process_s_runs_are_buried_by_the_next(uri, tmp_path):
    code = (
        "import os, sys; from erc_kedro import tracking\n"
        "tracking.start(sys.argv[1], 'e', 'gone', {}, {})\n"
        "child = tracking.child('gone child', {})\nchild.__enter__()\n"
        "os.kill(os.getpid(), 9)"
    )
    process = subprocess.run([sys.executable, "-c", code, uri], check=False)
    assert process.returncode == -9
    assert {run.info.status for run in runs(uri).values()} == {"RUNNING"}
    start(uri, tmp_path)
    with tracking.child("mine", {}):
        assert {name: run.info.status for name, run in runs(uri).items()} == {
            "gone": "KILLED",
            "gone child": "KILLED",
            "root": "RUNNING",
            "mine": "RUNNING",
        }
    tracking.finish("FINISHED")


def test_without_a_run_nothing_is_logged_and_nothing_fails(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with tracking.child("x", {}) as run:
        run.metrics({"a": 1.0})
        run.parameters({"a": 1})
        run.text("a", "b")
    assert run.id is None


def test_worker_processes_see_the_run_through_the_environment(uri, tmp_path):
    root = start(uri, tmp_path)
    assert json.loads(os.environ[VARIABLE])[2] == root.id
    code = "from erc_kedro import tracking\nwith tracking.child('from worker', {}):\n    pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    tracking.finish("FINISHED")
    assert runs(uri)["from worker"].data.tags["mlflow.parentRunId"] == root.id


def test_a_revision_says_whether_files_changed(tmp_path):
    assert tracking.git_revision(tmp_path) == "unknown"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git[:3], "init", "-q"], check=True)
    (tmp_path / "a").write_text("1")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-qm", "a"], check=True)
    clean = tracking.git_revision(tmp_path)
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert tracking.git_revision(tmp_path) == f"{clean}+changes"


def test_runs_of_a_corpus_are_found_by_id_name_and_whole_run(uri, tmp_path):
    root = start(uri, tmp_path)
    table = pd.DataFrame(
        {"head": ["t", "tav", "tav"], "split": ["test", "train", "test"], "p_a": [0.1, 0.2, 1.0]}
    )
    (tmp_path / "test").mkdir()
    table.to_parquet(tmp_path / "test" / "predictions.parquet")
    ids = []
    for number in range(tracking.LATEST + 2):
        tags = {"level": "corpus", "corpus": "meld", "experiment": f"e{number}"}
        with tracking.child(f"meld e{number % 2}", tags) as run:
            run.metrics({"test.weighted_f1": 0.5})
            if number == 0:
                run.artifact(tmp_path / "test", "test")
            ids.append(run.id)
    with tracking.child("not a corpus", {"level": "seed"}) as seed:
        pass
    assert [run.id for run in tracking.runs([])] == ids[::-1][: tracking.LATEST]
    first, last = tracking.runs([ids[0][:8], ids[-1]])
    assert (first.id, last.id) == (ids[0], ids[-1])
    assert first.predictions["p_a"].tolist() == [1.0]
    assert last.predictions is None
    assert first.metrics == {"test.weighted_f1": 0.5}
    # A name means the newest run of that name; a whole run all of its corpora.
    assert [run.id for run in tracking.runs(["meld e0"])] == [ids[-2]]
    assert {run.id for run in tracking.runs([root.id])} == set(ids)
    assert tracking.runs([ids[3], root.id])[0].id == ids[3]
    for unknown in ("nobody", ids[0][:4], seed.id):
        with pytest.raises(tracking.UnknownRunError, match=unknown):
            tracking.runs([unknown])
    tracking.finish("FINISHED")


def test_without_a_store_there_are_no_runs(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert tracking.runs([]) == []
    with pytest.raises(tracking.UnknownRunError, match="nothing is tracked"):
        tracking.runs(["a" * 32])
    tracking.attach("text", "card.md", {"training_key": "a"})


def test_a_text_is_attached_to_the_runs_it_is_about(uri, tmp_path):
    start(uri, tmp_path)
    ids = {}
    for number, key in enumerate("aab"):
        with tracking.child("seed", {"training_key": key, "level": "seed"}) as run:
            ids[number] = run.id
    tracking.attach("card", "model/card.md", {"training_key": "a"})
    client = store.connect(uri)
    kept = {number: [f.path for f in client.list_artifacts(run)] for number, run in ids.items()}
    assert kept == {0: ["model"], 1: ["model"], 2: []}
    tracking.finish("FINISHED")
