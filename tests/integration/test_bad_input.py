"""Bad input is refused by file, row and fix, leaves nothing half-written, and its run does not stay open."""

import pickle
import re
import shutil
import signal
import time

import pandas as pd
import pytest

MELD = "data/demo/01_raw/meld"
# MLflow accepts no such characters, and calls the deviation of a metric by the metric's name and `.std`.
LABELS = ("😀", "😢", "😢.std")


def refused(project, *words):
    """The message of a run that must fail, and must have written nothing."""
    before = project.files()
    printed = project.kedro("run", *words, succeeds=False)
    assert project.files() == before
    assert "RUNNING" not in project.statuses().values()
    return printed


@pytest.fixture(scope="module")
def raw(new_project, demo):
    """A project with the raw embedded corpora, and nothing made from them yet."""
    project = new_project()
    shutil.copytree(demo.folder / "data/demo/01_raw", project.folder / "data/demo/01_raw")
    return project


@pytest.fixture
def releases(raw, store):
    """The same, to change: afterwards its files and its MLflow store are again what they were."""
    before = raw.files()
    yield raw
    for name, (_, content) in before.items():
        if (raw.folder / name).read_bytes() != content:
            (raw.folder / name).write_bytes(content)
    shutil.copy(store, raw.folder / "mlflow.db")


def change(project, name, old, new):
    """Replaces a text in a raw file; returns the row of its first occurrence, the header being row 1."""
    path = project.folder / name
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    return content[: content.index(old)].count(b"\n") + 1


def test_a_missing_raw_folder(project):
    printed = refused(project, "--pipeline=ingestion", "--namespaces=meld")
    assert "data/01_raw/meld does not exist" in printed
    assert "_raw=PATH" in printed
    assert "make demo" in printed
    assert project.statuses() == {"ingestion": "FAILED"}


def test_a_csv_without_a_column(releases):
    change(releases, f"{MELD}/train_sent_emo.csv", b"Emotion", b"Feeling")
    printed = refused(releases, "--env=demo", "--pipeline=ingestion", "--namespaces=meld")
    assert re.search(r"CorpusError: .*train_sent_emo\.csv.*emotion.*is missing", printed, re.IGNORECASE)
    assert releases.statuses() == {"ingestion": "FAILED"}


def test_an_unknown_label(releases):
    row = change(releases, f"{MELD}/dev_sent_emo.csv", b",neutral,neutral,", b",boredom,neutral,")
    printed = refused(releases, "--env=demo", "--pipeline=ingestion", "--namespaces=meld")
    message = re.search(r"CorpusError: (.*dev_sent_emo\.csv.*)", printed)[1]
    assert re.search(rf"row {row}\b", message)
    assert "'boredom'" in message
    assert "surprise" in message
    assert releases.statuses() == {"ingestion": "FAILED"}


def test_a_duplicated_utterance(releases):
    path = releases.folder / MELD / "test_sent_emo.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[3]]))
    printed = refused(releases, "--env=demo", "--pipeline=ingestion", "--namespaces=meld")
    message = re.search(r"CorpusError: (.*test_sent_emo\.csv.*)", printed)[1]
    assert re.search(rf"row {len(lines) + 1}\b", message)
    assert re.search(r"row 4\b", message)
    assert releases.statuses() == {"ingestion": "FAILED"}


def test_an_empty_corpus(releases):
    path = releases.folder / MELD / "train_sent_emo.csv"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    printed = refused(releases, "--env=demo", "--pipeline=ingestion", "--namespaces=meld")
    assert re.search(r"CorpusError: .*train_sent_emo\.csv.*(no rows|empty)", printed)
    assert releases.statuses() == {"ingestion": "FAILED"}


class Forbidden:
    """Unpickled carelessly, it writes a file."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return exec, (f"open({str(self.witness)!r}, 'w').close()",)


def test_a_pickle_with_a_forbidden_class(demo_copy):
    witness = demo_copy.folder / "it_ran"
    path = demo_copy.folder / "data/demo/01_raw/theirs.pkl"
    path.write_bytes(pickle.dumps({"Ses01F_impro01_F000": Forbidden(witness)}))
    printed = refused(
        demo_copy,
        "--env=demo",
        "--pipeline=features",
        "--nodes=iemocap.clip_features",
        "--params=iemocap.features.audio.path=data/demo/01_raw/theirs.pkl",
    )
    assert re.search(r"CorpusError: .*theirs\.pkl.*exec", printed)
    assert not witness.exists()
    assert demo_copy.statuses() == {"features": "FAILED"}


def test_parameters_that_cannot_be(project):
    for parameter, names in (
        ("iemocap.train.model.hiden=64", ("iemocap.train", "model.hiden", "not permitted")),
        ("experiment=nonsense", ("experiment", "nonsense", "full", "conf/local/experiments/nonsense.yml")),
    ):
        printed = refused(project, f"--params={parameter}")
        for name in names:
            assert name in printed
    # Refused before anything starts, so that there is no run to end.
    assert project.statuses() == {}


# A user's own corpus.


@pytest.fixture
def mine(project):
    """A project for one corpus of one's own, of text alone, as its documentation says to set it up."""
    rows = [
        (
            f"d{d:02}",
            i,
            ("Ann", "Bo")[i % 2],
            f"I feel {LABELS[(d + i) % 3]} about thing {d % 5}",
            LABELS[(d + i) % 3],
        )
        for d in range(30)
        for i in range(2 + d % 3)
    ]
    table = pd.DataFrame(rows, columns=["dialogue_id", "position", "speaker", "text", "label"])
    table["split"] = table["dialogue_id"].map(
        lambda name: ("train", "train", "val", "test")[int(name[1:]) % 4]
    )
    table["clip"] = ""
    table.to_csv(project.folder / "data/01_raw/mine.csv", index=False)
    project.write("conf/local/globals.yml", "corpora: [mine]\n")
    project.write(
        "conf/local/parameters_mine.yml",
        "mine: {ingestion: {reader: manifest, raw: data/01_raw/mine.csv}}\n",
    )
    project.write(
        "conf/local/parameters_train.yml", (project.folder / "conf/demo/parameters_train.yml").read_text()
    )
    return project


def test_one_s_own_corpus_comes_to_the_report(mine):
    mine.kedro("run")
    table = pd.read_parquet(mine.folder / "data/07_model_output/mine/full/predictions.parquet")
    assert {f"p_{label}" for label in LABELS} == {name for name in table if name.startswith("p_")}
    classes = pd.read_csv(mine.folder / "data/08_reporting/full/tables/mine_classes.csv")
    assert set(classes["emotion"]) == set(LABELS)
    (run,) = (run for run in mine.runs() if run.data.tags["level"] == "corpus")
    logged = [name for name in run.data.metrics if name.startswith("test.f1_")]
    assert len(logged) == 2 * len(LABELS)
    # It has text alone: a head of other modalities is untrained, and no score of it may be shown.
    metrics = pd.read_parquet(mine.folder / "data/07_model_output/mine/full/metrics.parquet")
    assert set(metrics["head"]) == {"t", "ta", "tv", "tav"}
    page = (mine.folder / "data/08_reporting/full/report.html").read_text()
    assert "mine" in re.search("<title>(.*?)</title>", page, re.DOTALL)[1]
    assert "SYNTHETIC" not in re.search("<title>(.*?)</title>", page, re.DOTALL)[1]
    assert set(mine.statuses().values()) == {"FINISHED"}
    made = {name.split("/")[2] for name in mine.files() if re.match("data/0[3467]_[a-z_]+/[^.]", name)}
    assert made == {"mine", "cache"}


def test_a_corpus_without_labels_has_features_and_is_not_trained_on(mine):
    path = mine.folder / "data/01_raw/mine.csv"
    pd.read_csv(path).drop(columns="label").to_csv(path, index=False)
    printed = mine.kedro("run", succeeds=False)
    assert "AuditError: mine: No utterance has a label: features can be made, but there is nothing" in printed
    assert "Traceback" not in printed
    # Refused before anything was extracted.
    assert not mine.files("data/04_feature/mine")
    mine.kedro("run", "--pipelines=features", "--params=features.text.extractor=tfidf")
    features = pd.read_parquet(mine.folder / "data/04_feature/mine/text.parquet")
    assert features["present"].all()
    assert "## Features" in (mine.folder / "data/08_reporting/audit/mine_with_features.md").read_text()


def test_a_manifest_with_a_missing_clip(mine):
    path = mine.folder / "data/01_raw/mine.csv"
    lines = path.read_text().splitlines()
    lines[6] += "clips/absent.mp4"
    path.write_text("\n".join(lines) + "\n")
    printed = refused(mine, "--pipeline=ingestion")
    message = re.search(r"CorpusError: (.*mine\.csv.*)", printed)[1]
    assert "row 7, column clip" in message
    assert "clips/absent.mp4" in message
    assert "Correct the path" in message
    assert mine.statuses() == {"ingestion": "FAILED"}


# Ends before the end.


def test_a_training_that_fails_leaves_the_earlier_results(demo_copy):
    def results():
        return {name: file for name, file in demo_copy.files().items() if "/07_model_output/" in name}

    before = results()
    printed = demo_copy.kedro(
        "run",
        "--env=demo",
        "--pipeline=train",
        "--namespaces=meld",
        "--params=train.learning_rate=1e30",
        succeeds=False,
    )
    assert re.search(r"loss is no longer finite.*train\.learning_rate", printed)
    assert results() == before
    assert demo_copy.statuses() == {"train": "FAILED", "meld full": "FAILED"}


SAVING_OFTEN = """
from erc_kedro.training import loop
assert loop.SAVE_EVERY_S > 0
loop.SAVE_EVERY_S = 0.0
"""


def interrupt(project, signal_number):
    """Starts training that saves its state after every epoch, and sends a signal once that is written."""
    folder = project.folder / "data/demo/06_models/meld/full"

    def saved():
        return {path: path.stat().st_mtime_ns for path in folder.glob("*/checkpoint.pt")}

    earlier = saved()
    words = ("run", "--env=demo", "--pipeline=train", "--namespaces=meld")
    process = project.start(*words, first="saving_often")
    try:
        deadline = time.monotonic() + 120
        while saved() in ({}, earlier):
            assert process.poll() is None, process.communicate(timeout=60)[0]
            assert time.monotonic() < deadline, "no checkpoint appeared"
            time.sleep(0.02)
        process.send_signal(signal_number)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0, printed


def test_an_interrupted_training_is_taken_up(demo_copy):
    # Checkpoints after every epoch, and so many epochs that no machine is done before the signal comes.
    demo_copy.write("src/saving_often.py", SAVING_OFTEN)
    demo_copy.write(
        "conf/demo/parameters_train.yml",
        "train: {seeds: 1, epochs: 40, patience: 40, jobs: 1, model: {hidden: 16, attention_heads: 2}}\n",
    )
    before = {name: file for name, file in demo_copy.files().items() if "/07_model_output/" in name}

    interrupt(demo_copy, signal.SIGINT)
    first = {run.info.run_id for run in demo_copy.runs()}
    assert {run.data.tags["level"]: run.info.status for run in demo_copy.runs()} == {
        "run": "KILLED",
        "corpus": "KILLED",
    }

    interrupt(demo_copy, signal.SIGKILL)
    second = {run.info.run_id: run for run in demo_copy.runs() if run.info.run_id not in first}
    # Nobody was left to end these; the next run does.
    assert {run.info.status for run in second.values()} == {"RUNNING"}
    after = {name: file for name, file in demo_copy.files().items() if "/07_model_output/" in name}
    assert after == before

    demo_copy.kedro("run", "--env=demo", "--pipeline=train", "--namespaces=meld")
    runs = {run.info.run_id: run for run in demo_copy.runs()}
    assert {runs[name].info.status for name in (*first, *second)} == {"KILLED"}
    third = {run.data.tags["level"]: run for name, run in runs.items() if name not in {*first, *second}}
    assert {level: run.info.status for level, run in third.items()} == dict.fromkeys(
        ("run", "corpus", "seed"), "FINISHED"
    )
    assert int(third["seed"].data.tags["resumed"].removeprefix("epoch ")) >= 2
    history = pd.read_parquet(demo_copy.folder / "data/demo/07_model_output/meld/full/history.parquet")
    assert history["epoch"].tolist() == list(range(40))
    assert not list(demo_copy.folder.glob("data/demo/06_models/**/checkpoint.pt"))


def test_of_two_trainings_of_one_experiment_the_second_waits_and_takes_up(demo_copy):
    """Both wrote the same files: 3 of 10 pairs failed, with words that misled."""
    demo_copy.write(
        "conf/demo/parameters_train.yml",
        "train: {seeds: 1, epochs: 12, patience: 12, jobs: 1, model: {hidden: 16, attention_heads: 2}}\n",
    )
    words = ("run", "--env=demo", "--pipeline=train", "--namespaces=meld")
    running = [demo_copy.start(*words) for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], "\n".join(said)
    [waited] = [number for number, text in enumerate(said) if "waiting until that is done" in text]
    holder = running[1 - waited].pid
    assert f"is being written by `kedro {' '.join(words)}` (process {holder}, since " in said[waited]
    seeds = [run for run in demo_copy.runs() if run.data.tags["level"] == "seed"]
    assert sorted(run.data.tags["resumed"] for run in seeds) == ["done", "no"]
    # Another experiment is another output: nobody waits for it.
    other = demo_copy.start(*words, "--params=experiment=no_gates")
    third = demo_copy.start(*words, "--params=experiment=only_text")
    for process in (other, third):
        text, _ = process.communicate(timeout=300)
        assert process.returncode == 0, text
        assert "waiting until that is done" not in text
