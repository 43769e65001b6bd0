"""Runs end as what they were, and hold what was logged."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from erc_kedro import tracking
from erc_kedro.processes import machine
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


def forged(uri, tmp_path, **tags):
    """A run that some other process left RUNNING, and how the next one here finds it."""
    start(uri, tmp_path)
    tracking.finish("FINISHED")
    client = store.connect(uri)
    experiment = client.get_experiment_by_name("e").experiment_id
    client.create_run(experiment, run_name="other", tags={name: str(tag) for name, tag in tags.items()})
    start(uri, tmp_path)
    tracking.finish("FINISHED")
    return runs(uri)["other"].info.status


HERE = machine()
BOOT = HERE.split()[1] if len(HERE.split()) > 1 else "boot"


def test_a_number_that_another_process_got_since_keeps_no_run_alive(uri, tmp_path):
    assert forged(uri, tmp_path, process=json.dumps([HERE, os.getpid(), 1000.0])) == "KILLED"
    # As it was tagged once, by a process that ended before the one of this number began.
    start(uri, tmp_path)
    tracking.finish("FINISHED")
    client = store.connect(uri)
    experiment = client.get_experiment_by_name("e").experiment_id
    tags = {"process": f"{platform.node()}:{os.getpid()}"}
    client.create_run(experiment, run_name="old", tags=tags, start_time=1000)
    client.create_run(experiment, run_name="mine", tags=tags)
    start(uri, tmp_path)
    tracking.finish("FINISHED")
    assert {name: runs(uri)[name].info.status for name in ("old", "mine")} == {
        "old": "KILLED",
        "mine": "RUNNING",
    }


@pytest.mark.parametrize("where", [f"other {BOOT} pid:[1]", "other boot pid:[1]"])
def test_another_container_s_run_is_never_ended_while_it_may_go_on(uri, tmp_path, where):
    gone = json.dumps([where, 2**22 + 1, 1000.0])
    assert forged(uri, tmp_path, process=gone) == "RUNNING"
    held = store.hold(uri)
    try:
        lease = os.path.basename(held.lock_file)
        assert forged(uri, tmp_path, process=gone, lease=lease) == "RUNNING"
    finally:
        store.release(held)


def test_another_container_s_run_is_ended_once_it_is_gone(uri, tmp_path):
    code = "import os, sys; from erc_kedro.tracking import store\nprint(store.hold(sys.argv[1]).lock_file)\n"
    code += "sys.stdout.flush()\nos.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code, uri], capture_output=True, text=True, check=False)
    path = Path(killed.stdout.strip())
    assert path.exists()
    restarted = json.dumps([f"{platform.node()} {BOOT} pid:[1]", os.getpid(), 1000.0])
    assert forged(uri, tmp_path, process=restarted, lease=path.name) == "KILLED"
    assert not path.exists()


def test_a_deleted_experiment_is_restored_and_said(uri, tmp_path, caplog):
    start(uri, tmp_path)
    tracking.finish("FINISHED")
    client = store.connect(uri)
    client.delete_experiment(client.get_experiment_by_name("e").experiment_id)
    start(uri, tmp_path)
    tracking.finish("FINISHED")
    assert "experiment e was deleted: restored" in caplog.text
    assert client.get_experiment_by_name("e").lifecycle_stage == "active"


def test_what_a_store_refuses_is_said_and_the_rest_is_logged(uri, tmp_path, caplog):
    start(uri, tmp_path)
    with tracking.child("fit", {}) as run:
        run.artifact(tmp_path / "not there", "model")
        run.metrics({"a": 1.0})
    tracking.finish("FINISHED")
    assert "model could not be logged" in caplog.text
    fit = runs(uri)["fit"]
    assert (fit.data.tags["not_kept"], fit.data.metrics, fit.info.status) == ("model", {"a": 1.0}, "FINISHED")


def test_a_store_that_goes_away_costs_no_training(uri, tmp_path, caplog, monkeypatch):
    start(uri, tmp_path)
    asked = []

    def gone(self, *given, **named):
        asked.append(given)
        raise ConnectionRefusedError("nobody there")

    done = []
    with tracking.child("first", {}) as run:
        for name in ("log_batch", "set_tag", "create_run", "log_text", "set_terminated", "search_runs"):
            monkeypatch.setattr(MlflowClient, name, gone)
        run.metrics({"a": 1.0})
        done.append(1)
    for _ in range(3):
        with tracking.child("later", {}) as run:
            run.metrics({"a": 1.0})
            run.text("a", "a.txt")
            done.append(1)
    tracking.attach("card", "model/card.md", {"training_key": "a"})
    assert tracking.runs([]) == []
    assert len(done) == 4
    assert len(asked) == 2
    assert caplog.text.count("tracking stopped (nobody there)") == 1
    tracking.finish("FINISHED")
    assert "could not be ended as FINISHED" in caplog.text
    monkeypatch.undo()
    # The next run finds it back.
    again = start(uri, tmp_path)
    tracking.finish("FINISHED")
    assert store.connect(uri).get_run(again.id).info.status == "FINISHED"


def test_fits_that_were_taken_up_stand_once_among_the_latest(uri, tmp_path):
    start(uri, tmp_path)
    said = {"train": {"seeds": 1}, "data_fingerprint": "d", "git_revision": "r"}
    for number in range(13):
        with tracking.child("meld full", {"level": "corpus", "corpus": "meld", "experiment": "full"}) as run:
            run.parameters(said | {"git_revision": number})
            run.metrics({"test.weighted_f1": 1 / 3})
    different = {"scores": (said, 0.4, "full"), "parameters": (said | {"seeds": 2}, 1 / 3, "full")}
    different["experiment"] = (said, 1 / 3, "no_gates")
    for name, (parameters, score, experiment) in different.items():
        with tracking.child(name, {"level": "corpus", "corpus": "meld", "experiment": experiment}) as other:
            other.parameters(parameters)
            other.metrics({"test.weighted_f1": score})
    latest = tracking.runs([])
    assert [found.name for found in latest] == ["experiment", "parameters", "scores", "meld full"]
    assert latest[-1].id == run.id
    tracking.finish("FINISHED")


def test_a_curve_of_any_length_is_logged_in_bounds(uri, tmp_path):
    start(uri, tmp_path)
    rows = 1_000_000
    history = pd.DataFrame({"epoch": np.arange(rows), "loss": np.linspace(1, 0, rows), "name": "x"})
    with tracking.child("long", {}) as run:
        run.curves(history)
        run.curves(history.iloc[:0].rename(columns={"loss": "none"}))
    tracking.finish("FINISHED")
    logged = store.connect(uri).get_metric_history(runs(uri)["long"].info.run_id, "loss")
    assert [logged[0].step, logged[-1].step, logged[-1].value] == [0, rows - 1, 0]
    assert 1000 < len(logged) <= 2002
