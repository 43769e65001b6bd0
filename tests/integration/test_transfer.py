"""One embedded corpus teaches the other, as a user runs it."""

import json
import signal
import time

import pandas as pd
import pytest

DATA = "data/demo"
LABELS = "labels=conf/base/labels/meld_iemocap.yml"
COMMAND = ("run", "--env=demo", "--pipeline=transfer")
TO_IEMOCAP = (*COMMAND, f"--params=from=[meld],to=iemocap,{LABELS},seeds=2")
ARMS = [
    *("target_alone", "target_majority", "zero_shot", "joint"),
    *("fine_tuned_2", "alone_2", "fine_tuned_4", "alone_4"),
]


@pytest.fixture(scope="module")
def transferred(copy_of_demo):
    """A finished demo in which MELD has taught IEMOCAP, and what was printed."""
    project = copy_of_demo()
    return project, project.kedro(*TO_IEMOCAP)


def configs(project):
    below = project.folder / DATA / "06_models" / "transfer"
    paths = below.rglob("config.json")
    return {
        path.relative_to(below).parent.as_posix(): (
            path.stat().st_mtime_ns,
            json.loads(path.read_text())["key"],
        )
        for path in paths
    }


def test_one_table_holds_every_arm_with_intervals_and_what_transfer_buys(transferred):
    project, printed = transferred
    folder = project.folder / DATA / "08_reporting" / "transfer"
    rows = pd.read_parquet(folder / "meld_to_iemocap.parquet").set_index("arm")
    assert list(rows.index) == ARMS
    assert (rows["seeds"] == 2).all()
    for score in ("accuracy", "weighted_f1", "uar"):
        assert rows[score].between(0, 1).all()
        assert rows[f"{score}_std"].notna().all()
    assert ((rows["low"] <= rows["weighted_f1"]) & (rows["weighted_f1"] <= rows["high"])).all()
    others = rows.drop(index="target_alone")
    expected = others["weighted_f1"] - rows.loc["target_alone", "weighted_f1"]
    assert others["difference"].to_numpy() == pytest.approx(expected.to_numpy())
    for k in (2, 4):
        tuned, alone = rows.loc[f"fine_tuned_{k}"], rows.loc[f"alone_{k}"]
        assert tuned["gain"] == pytest.approx(tuned["weighted_f1"] - alone["weighted_f1"])
        assert tuned["gain_low"] <= tuned["gain"] <= tuned["gain_high"]
    page = (folder / "meld_to_iemocap.md").read_text("utf-8")
    assert "SYNTHETIC DATA" in page
    assert "arXiv" in page
    assert all(f"| {arm} |" in page for arm in ARMS)
    assert "The networks read text and audio and visual" in page
    assert f"Open {folder / 'meld_to_iemocap.md'}" in printed
    assert "zero-shot" in printed[printed.index("Running node: compare_arms") :]


def test_scores_are_scikit_learn_s_on_shared_labels_of_the_target_s_test(transferred):
    from sklearn.metrics import f1_score

    project, _ = transferred
    predictions = pd.read_parquet(
        project.folder / DATA / "07_model_output" / "transfer" / "meld_to_iemocap.parquet"
    )
    utterances = pd.read_parquet(project.folder / DATA / "03_primary" / "iemocap" / "utterances.parquet")
    words = {"neu": "neutral", "hap": "happy", "exc": "happy", "sad": "sad", "ang": "angry"}
    tested = utterances[utterances["split"] == "test"]
    truth = tested.set_index("iemocap/" + tested["utterance_id"])["label"].map(words).dropna()
    assert len(truth) < len(tested)
    scores = []
    for seed in range(2):
        p = predictions.query(f"experiment == 'zero_shot' and split == 'test' and seed == {seed}")
        assert {*p["utterance_id"]} == {*("iemocap/" + tested["utterance_id"])}
        p = p.set_index("utterance_id").loc[truth.index]
        columns = [column for column in p if column.startswith("p_")]
        guess = p[columns].idxmax(axis=1).str.removeprefix("p_")
        scores.append(f1_score(truth, guess, average="weighted"))
    rows = pd.read_parquet(project.folder / DATA / "08_reporting" / "transfer" / "meld_to_iemocap.parquet")
    found = rows.set_index("arm").loc["zero_shot", "weighted_f1"]
    assert found == pytest.approx(sum(scores) / 2)


def test_runs_are_nested_and_say_their_arm(transferred):
    project, _ = transferred
    runs = {run.info.run_id: run for run in project.runs()}
    by_level = {
        level: [run for run in runs.values() if run.data.tags["level"] == level]
        for level in ("run", "corpus", "seed")
    }
    assert [run.info.run_name for run in by_level["run"]] == ["transfer"]
    assert sorted(run.data.tags["experiment"] for run in by_level["corpus"]) == sorted(ARMS)
    assert {run.data.tags["corpus"] for run in by_level["corpus"]} == {"meld_to_iemocap"}
    assert len(by_level["seed"]) == 2 * len(ARMS)
    for run in by_level["seed"]:
        parent = runs[run.data.tags["mlflow.parentRunId"]]
        assert parent.data.tags["experiment"] == run.data.tags["experiment"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_a_killed_transfer_goes_on_and_a_second_one_trains_nothing(transferred, copy_of):
    project = copy_of(transferred[0])
    before = configs(project)
    assert len(before) == 2 * len(ARMS)
    (project.folder / DATA / "06_models/transfer/meld_to_iemocap/joint/seed1/config.json").unlink()
    process = project.start(*TO_IEMOCAP)
    again = project.folder / DATA / "06_models/transfer/meld_to_iemocap/joint/seed1/config.json"
    deadline = time.monotonic() + 200
    while not again.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert again.exists()
    project.kedro(*TO_IEMOCAP)
    after = configs(project)
    assert {name: key for name, (_, key) in after.items()} == {name: key for name, (_, key) in before.items()}
    assert {name for name in after if after[name] != before[name]} == {"meld_to_iemocap/joint/seed1"}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("seeds=1", "say which corpora teach which one"),
        (f"from=[films],to=iemocap,{LABELS}", "from: films is no corpus; globals.yml has meld, iemocap"),
        (f"from=[meld],to=meld,{LABELS}", "name each corpus once"),
        ("from=[meld],to=iemocap,labels=nowhere.yml", "labels: nowhere.yml cannot be read"),
        (
            f"from=[meld],to=iemocap,{LABELS},transfer.dialogues=[0]",
            "dialogues",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(transferred, typed, said):
    project, _ = transferred
    before = project.files()
    printed = project.kedro(*COMMAND, f"--params={typed}", succeeds=False)
    assert said in printed
    assert "Traceback" not in printed
    assert project.files() == before


def test_a_label_that_the_map_lacks_is_named_with_its_file(transferred):
    project, _ = transferred
    whole = (project.folder / "conf/base/labels/meld_iemocap.yml").read_text("utf-8")
    project.write("own.yml", whole.replace("    fru: null\n", ""))
    printed = project.kedro(*COMMAND, "--params=from=meld,to=iemocap,labels=own.yml", succeeds=False)
    assert "own.yml: labels.iemocap lacks fru; write `fru: SHARED`, or `fru: null`" in printed
