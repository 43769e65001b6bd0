"""What runs keep of a recording is gone when it is forgotten, and nothing else is."""

import pytest

from erc_kedro import tracking
from erc_kedro.errors import PlainError
from erc_kedro.tracking import store


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    (folder / "features").mkdir(parents=True)
    for name in ("timeline.csv", "page.html", "features/text.parquet"):
        (folder / name).write_text(name, "utf-8")
    return folder


def files(tmp_path, recording):
    return [path for path in (tmp_path / "project").rglob("*") if f"/recordings/{recording}/" in str(path)]


@pytest.mark.parametrize("name", ["call-7", "Größe 1 100%", "p_q"])
def test_a_recording_is_forgotten_in_every_run_and_others_are_kept(uri, run, results, tmp_path, name):
    with tracking.child("score meld/full", {}) as inner:
        tracking.keep(inner, name, results)
    tracking.keep(run, name, results)
    tracking.keep(run, "other", results)
    run.artifact(results, f"elsewhere/{name}")
    store.connect(uri).delete_run(inner.id)
    assert len(files(tmp_path, name)) >= 6
    assert sorted(tracking.forget(name)) == sorted(
        [
            f"MLflow run {run.id[:8]} (score): recordings/{name}",
            f"MLflow run {inner.id[:8]} (score meld/full): recordings/{name}",
        ]
    )
    assert files(tmp_path, name) == []
    assert len([path for path in files(tmp_path, "other") if path.is_file()]) == 3
    assert len([*(tmp_path / "project").rglob(f"elsewhere/{name}/page.html")]) == 1
    assert tracking.forget(name) == []


def test_a_recording_whose_name_begins_another_s_takes_nothing_of_it(run, results, tmp_path):
    tracking.keep(run, "call-10", results)
    assert tracking.forget("call-1") == []
    assert files(tmp_path, "call-10")


def test_no_path_is_a_recording_s_name(run, results, tmp_path):
    tracking.keep(run, "other", results)
    for name in ("", ".", "..", "../recordings", "a/b", "..\\x", "/etc"):
        with pytest.raises(PlainError, match="no recording's name"):
            tracking.forget(name)
    assert files(tmp_path, "other")


def test_runs_that_still_name_it_are_said(run, results, caplog):
    run.parameters({"recordings": "/data/interviews/smith-3.mp4"})
    tracking.forget("smith-3")
    assert f"smith-3 is still named by the command or parameters of the MLflow runs {run.id};" in caplog.text
    caplog.clear()
    tracking.forget("smith")
    assert caplog.text == ""


def test_where_nothing_is_tracked_nothing_is_forgotten():
    assert tracking.forget("call-7") == []
