"""From the model that was just trained to a recording's emotions, without a network."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest

from erc_kedro import scoring, tracking
from erc_kedro.evaluation.calibration import temperature_scaled
from erc_kedro.scoring.served import _load_pyfunc

DATA = "data/demo"
SCORED = f"{DATA}/07_model_output/scored/meld-full"
SUFFIXES = ("parquet", "csv", "json", "vtt", "srt", "TextGrid", "eaf", "rttm")


# The process that imports it has no network interface from then on, where the machine lets it.
OFFLINE = """
import ctypes, os, socket
from pathlib import Path
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
user, group = os.getuid(), os.getgid()
unshare = getattr(ctypes.CDLL(None), "unshare", lambda _: -1)
if unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0:
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    Path("/proc/self/setgroups").write_text("deny")
    for name, own in (("uid_map", user), ("gid_map", group)):
        Path("/proc/self", name).write_text(f"0 {own} 1")
    print("there is no network")
"""


@pytest.fixture(scope="module")
def project(copy_of_demo):
    """The demo's interview and MELD's test dialogues, scored by one command; and what that said."""
    project = copy_of_demo()
    utterances = utterances_of_test(project)
    manifest = utterances[["utterance_id", "dialogue_id", "position", "speaker", "text", "clip"]]
    # Fixtures are made in folders of their own, and a project may be moved.
    manifest = manifest.assign(
        clip=[None if pd.isna(clip) else str(project.folder / clip) for clip in manifest["clip"]]
    )
    manifest.to_csv(project.folder / "dialogues.csv", index=False)
    where = f"[{DATA}/01_raw/interview,dialogues.csv]"
    words = ["run", "--env=demo", "--pipeline=score", f"--params=recordings={where},model=meld/full"]
    project.write("src/offline.py", OFFLINE)
    return project, project.kedro(*words, first="offline")


def utterances_of_test(project):
    table = pd.read_parquet(project.folder / DATA / "03_primary/meld/utterances.parquet")
    return table[table["split"] == "test"]


def timelines(project):
    each = [pd.read_parquet(path) for path in sorted((project.folder / SCORED).glob("*/timeline.parquet"))]
    return pd.concat(each, ignore_index=True)


def probabilities(model):
    return [f"p_{label}" for label in model.labels]


@pytest.fixture(scope="module")
def model(project):
    return scoring.load(project[0].folder / DATA / "06_models/meld/full/bundle")


def test_the_last_lines_say_what_came_of_it(project):
    place, said = project
    dialogues = utterances_of_test(place)["dialogue_id"].nunique()
    assert f"{dialogues + 1} recordings scored, 0 were done before, 0 failed" in said
    assert f"Open {place.folder / SCORED / 'index.html'}" in said.splitlines()[-4]
    assert "article 5(1)(f)" in said
    # How many of validation's were as sure as what is decided, or that none was.
    assert "decided is a confidence of" in said or "nothing is decided" in said


def test_it_needs_no_network(project):
    if "there is no network" not in project[1]:
        pytest.skip("this machine lets nobody leave its networks")
    assert " 0 failed" in project[1]


def test_a_recording_leaves_every_format_and_a_page(project):
    folder = project[0].folder / SCORED / "interview"
    there = {path.name for path in folder.iterdir()}
    assert there == {*(f"timeline.{suffix}" for suffix in SUFFIXES), "page.html", "score.json"}
    timeline = pd.read_parquet(folder / "timeline.parquet")
    assert set(timeline["speaker"]) == {"Anna", "Ben"}
    # Both have half of the picture.
    assert (timeline["visual_reason"] == "ok").mean() > 0.5
    assert "01_raw/interview/interview.mp4" in (folder / "page.html").read_text()


def test_dialogues_of_the_corpus_get_the_corpus_s_probabilities(project, model):
    place, _ = project
    predictions = pd.read_parquet(place.folder / DATA / "07_model_output/meld/full/predictions.parquet")
    rows = predictions[predictions["head"] == "tav"].set_index(["seed", "utterance_id"])
    made = timelines(place).set_index(["recording", "position"])
    utterances = utterances_of_test(place)
    columns = probabilities(model)
    expected = np.mean(
        [
            temperature_scaled(
                rows.loc[seed.seed].loc[utterances["utterance_id"], columns].to_numpy(), seed.temperature
            )
            for seed in model.card.seeds
        ],
        axis=0,
    )
    own = made.loc[list(zip(utterances["dialogue_id"], utterances["position"], strict=True)), columns]
    assert own.to_numpy() == pytest.approx(expected, abs=1e-5)


def test_a_moved_bundle_and_the_served_model_agree_with_the_pipeline(
    demo, project, model, tmp_path, monkeypatch
):
    place, _ = project
    timeline = pd.read_parquet(place.folder / SCORED / "interview" / "timeline.parquet")
    video = place.folder / DATA / "01_raw/interview/interview.mp4"
    table = pd.DataFrame(
        {
            "dialogue_id": timeline["recording"],
            "speaker": timeline["speaker"],
            "text": timeline["text"],
            "clip": str(video),
            "start_s": timeline["start_s"],
            "end_s": timeline["end_s"],
            "frame_side": timeline["speaker"].map({"Anna": "left", "Ben": "right"}),
        }
    )
    moved = scoring.load(shutil.copytree(model.folder, tmp_path / "moved"))
    columns = probabilities(model)
    expected = timeline[columns].to_numpy()
    assert moved.score(table)[columns].to_numpy() == pytest.approx(expected, abs=1e-6)
    # Training registered it, too.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{demo.folder / 'mlflow.db'}")
    monkeypatch.setenv("ERC_SCORE_MEDIA", str(video.parent))
    registered = tracking.resolve("models:/erc-demo-meld@champion")
    served = _load_pyfunc(str(registered.parent)).predict(table.assign(clip=video.name))
    assert served[columns].to_numpy(float) == pytest.approx(expected, abs=1e-6)


def test_a_forgotten_recording_is_gone_and_said_to_be(project):
    place, _ = project
    said = place.kedro("run", "--env=demo", "--pipeline=forget", "--params=recording=interview")
    assert not (place.folder / SCORED / "interview").exists()
    assert str(place.folder / SCORED / "interview") in said
    assert "entries" in said
    assert os.path.exists(place.folder / DATA / "01_raw/interview/interview.mp4")
    # Nor does the run that forgot tell whom.
    assert "interview" not in str([run.data.to_dictionary() for run in place.runs()][1:])
    again = place.kedro(
        "run", "--env=demo", "--pipeline=forget", "--params=recording=interview", succeeds=False
    )
    assert "has no results" in again


def test_what_is_missing_is_asked_for(demo_copy):
    said = demo_copy.kedro("run", "--env=demo", "--pipeline=score", succeeds=False)
    assert "--params=recordings=PATH,model=meld/full" in said
    said = demo_copy.kedro(
        "run", "--env=demo", "--pipeline=score", "--params=recordings=data,model=meld/none", succeeds=False
    )
    assert "there are iemocap/full, meld/full" in said
