"""The finetune pipeline as a user runs it, with a tiny random encoder."""

import json
import re
import signal
import time

import pandas as pd
import pytest
from sklearn.metrics import f1_score

from tests import tiny

FINETUNE = """
finetune:
  encoder: {encoder}
  context: 1
  following: 1
  targets: 2
  epochs: 2
  batch_utterances: 8
  max_tokens: 64
  folds: 2
  jobs: 1
# As every corpus's own file says what is best for it.
meld: {{finetune: {{folds: 2}}}}
iemocap: {{finetune: {{epochs: 2}}}}
"""


@pytest.fixture(scope="module")
def tuned(copy_of_demo):
    """A copy of the demo whose encoders were fine-tuned and then used. Look, do not touch."""
    project = copy_of_demo()
    tiny.bert(project.folder / "tiny", layers=2)
    project.write("conf/demo/parameters_finetune.yml", FINETUNE.format(encoder="tiny"))
    # In one run, extraction must wait for the encoders.
    walk = "ingestion,finetune,features,train,reporting"
    project.kedro("run", "--env=demo", f"--pipelines={walk}", "--params=experiment=finetuned")
    return project


@pytest.fixture(scope="module")
def runs(tuned):
    return {run.info.run_name: run for run in tuned.runs()}


def table(project, name, corpus="meld"):
    return pd.read_parquet(project.folder / "data/demo" / name.format(corpus=corpus))


def test_the_report_says_which_step_came_before_and_what_the_encoder_scores_alone(tuned):
    page = (tuned.folder / "data/demo/08_reporting/finetuned/report.html").read_text("utf-8")
    assert page.count("after <code>make setup</code> and <code>kedro run --pipeline=finetune</code>,") == 2
    assert len(re.findall(r"alone <code>weighted F1 0\.\d{4} on validation, 0\.\d{4} on test", page)) == 2


@pytest.mark.parametrize("corpus", ["meld", "iemocap"])
def test_the_features_are_the_fine_tuned_encoder_s(tuned, corpus):
    features = table(tuned, "04_feature/{corpus}/text.parquet", corpus)
    made_by = json.loads((tuned.folder / f"data/demo/04_feature/{corpus}/text_provenance.json").read_text())[
        "extractor"
    ]
    assert made_by["name"] == f"tiny fine-tuned on {corpus}"
    assert made_by["settings"]["context"] == 1
    assert features["vector"].map(len).unique().tolist() == [16]
    folder = tuned.folder / "data/demo/06_models/encoders" / corpus
    record = json.loads((folder / "erc_encoder.json").read_text())
    assert sorted(record["fitted"]) == ["", "fold0", "fold1"]
    utterances = table(tuned, "03_primary/{corpus}/utterances.parquet", corpus)
    training = utterances.loc[utterances["split"] == "train", "dialogue_id"]
    assert set(record["fitted"][""]["trained_on"]) == set(training)


def test_the_encoder_alone_is_scored(tuned, runs):
    predictions = table(tuned, "07_model_output/{corpus}/encoder_alone/predictions.parquet")
    test = predictions[predictions["split"] == "test"]
    columns = [name for name in test if name.startswith("p_")]
    guess = test[columns].idxmax(axis=1).str.removeprefix("p_")
    score = f1_score(test["label"], guess, average="weighted", zero_division=0)
    alone = runs["meld encoder alone"]
    assert alone.data.metrics["test.weighted_f1"] == pytest.approx(score)
    assert alone.data.tags["level"] == "corpus"


def test_the_run_that_fitted_it_is_linked_to_those_that_use_it(runs):
    fitted = runs["meld finetune"]
    assert fitted.data.tags["level"] == "finetune"
    assert fitted.data.metrics["val.weighted_f1"] <= 1
    assert "fold1.val_weighted_f1" in fitted.data.metrics
    assert fitted.data.params["finetune.epochs"] == "2"
    for name in ("meld finetuned", "meld finetuned seed 0", "meld encoder alone"):
        assert runs[name].data.tags["finetune_run"] == fitted.info.run_id
    # The dialogues that it learned from are in its record, not in thousands of parameters.
    assert len(runs["meld finetuned"].data.params) < 150


def test_the_curves_are_by_epoch(tuned, runs):
    curve = tuned.client().get_metric_history(runs["meld finetune"].info.run_id, "val_weighted_f1")
    assert [point.step for point in curve] == [0, 1]


def test_an_encoder_that_learned_from_test_dialogues_is_refused(tuned, copy_of):
    project = copy_of(tuned)
    path = project.folder / "data/demo/03_primary/meld/utterances.parquet"
    utterances = pd.read_parquet(path)
    moved = utterances.loc[utterances["split"] == "train", "dialogue_id"].iloc[0]
    utterances.loc[utterances["dialogue_id"] == moved, "split"] = "test"
    utterances.to_parquet(path, index=False)
    words = ["--env=demo", "--namespaces=meld", "--params=experiment=finetuned"]
    printed = project.kedro("run", "--pipelines=features", *words, succeeds=False)
    assert re.search(rf"AuditError: .*was fine-tuned on 1 dialogues of test: {moved}\.", printed)
    # Nor are vectors taken that were made before the split changed.
    printed = project.kedro("run", "--pipelines=train", *words, succeeds=False)
    assert re.search(rf"AuditError: .*was fine-tuned on 1 dialogues of test: {moved}\.", printed)


def test_a_causal_model_does_not_read_vectors_that_know_the_future(tuned, copy_of):
    words = ["--env=demo", "--namespaces=iemocap", "--pipelines=train"]
    printed = copy_of(tuned).kedro(
        "run", *words, "--params=experiment=finetuned,train.model.causal=true", succeeds=False
    )
    assert "AuditError" in printed
    assert "following: 0" in printed


def test_an_encoder_that_was_never_made_is_asked_for_by_command(demo_copy):
    printed = demo_copy.kedro(
        "run",
        "--env=demo",
        "--pipelines=features",
        "--namespaces=meld",
        "--params=experiment=finetuned",
        succeeds=False,
    )
    assert "`kedro run --pipeline=finetune` makes it" in printed


# A file that is written after every step is written for a twentieth of the time.
SAVING_OFTEN = """
from erc_kedro.finetuning import loop
assert loop.SAVE_EVERY_S > 0
loop.SAVE_EVERY_S = 0.0
"""


def test_a_killed_run_goes_on_where_it_was(demo_copy):
    project = demo_copy
    tiny.bert(project.folder / "tiny", layers=2)
    text = FINETUNE.format(encoder="tiny").replace("epochs: 2", "epochs: 20").replace("folds: 2", "folds: 0")
    project.write("conf/demo/parameters_finetune.yml", text)
    project.write("src/saving_often.py", SAVING_OFTEN)
    words = ["run", "--env=demo", "--pipelines=finetune", "--namespaces=meld"]
    process = project.start(*words, first="saving_often")
    checkpoint = project.folder / "data/demo/06_models/encoders/meld/checkpoint.pt"
    give_up = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.05)
    assert checkpoint.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    project.kedro(*words)
    run = next(
        run
        for run in project.runs()
        if run.info.run_name == "meld finetune" and run.info.status == "FINISHED"
    )
    assert run.data.tags["resumed"].startswith("epoch ")
    assert not checkpoint.exists()
