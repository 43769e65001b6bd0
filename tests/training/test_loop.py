"""A fit learns, selects on validation alone, resumes exactly and repeats nothing."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from erc_kedro import sources
from erc_kedro.models.baselines.classical import STRENGTHS
from erc_kedro.parameters import ARCHITECTURES
from erc_kedro.schemas import HEADS, MODALITIES
from erc_kedro.training import checkpoint, loop
from erc_kedro.training.batches import assemble
from erc_kedro.training.loop import drop_modalities, load_network, predict, train_model, weights_of_classes
from erc_kedro.training.seeds import TrainingTask, train_all, train_seeds
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TrainParameters
from tests.models.test_network import batch

SMALL = TrainParameters(
    seeds=2,
    epochs=6,
    patience=6,
    learning_rate=0.005,
    batch_utterances=32,
    model={"hidden": 16, "attention_heads": 2, "dropout": 0.1},
)


@pytest.fixture
def data(corpus):
    return assemble(*corpus, CLASSES)


def accuracy(predictions, split, head="tav"):
    rows = predictions[(predictions["split"] == split) & (predictions["head"] == head)]
    guess = rows[[f"p_{c}" for c in CLASSES]].to_numpy().argmax(1)
    return float((np.array(CLASSES)[guess] == rows["label"]).mean())


def test_it_learns_and_writes_what_it_says(tmp_path):
    data = assemble(*make_corpus(60, signal=3.0), CLASSES)
    result = train_model(data, SMALL.model_copy(update={"epochs": 20}), 0, tmp_path)
    assert accuracy(result.predictions, "test") > 0.9
    p = result.predictions
    assert len(p) == 7 * len(data.utterance_id)
    assert p[[f"p_{c}" for c in CLASSES]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "history.parquet",
        "model.safetensors",
        "predictions.parquet",
    ]


def test_test_labels_change_nothing_but_the_labels_themselves(corpus, tmp_path):
    utterances, features = corpus
    shuffled = utterances.copy()
    test = shuffled["split"] == "test"
    shuffled.loc[test, "label"] = CLASSES[0]
    first = train_model(assemble(utterances, features, CLASSES), SMALL, 0, tmp_path / "a")
    other = train_model(assemble(shuffled, features, CLASSES), SMALL, 0, tmp_path / "b")
    columns = [f"p_{c}" for c in CLASSES]
    pd.testing.assert_frame_equal(first.predictions[columns], other.predictions[columns])
    assert first.history["selected"].tolist() == other.history["selected"].tolist()


def test_the_selected_epoch_is_the_best_on_validation(data, tmp_path):
    history = train_model(data, SMALL, 0, tmp_path).history
    assert history["selected"].sum() == 1
    chosen = history.loc[history["selected"], "val_weighted_f1"].item()
    assert chosen == history["val_weighted_f1"].max()


def test_patience_ends_training(data, tmp_path):
    history = train_model(data, SMALL.model_copy(update={"epochs": 200, "patience": 3}), 0, tmp_path).history
    best = int(history.loc[history["selected"], "epoch"].item())
    assert len(history) == best + 1 + 3


@pytest.mark.parametrize("encoder", ["transformer", "gru"])
def test_a_killed_fit_resumes_to_the_same_result(data, tmp_path, monkeypatch, encoder):
    model = SMALL.model.model_copy(update={"context_encoder": encoder})
    parameters = SMALL.model_copy(update={"model": model})
    whole = train_model(data, parameters, 3, tmp_path / "whole")
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)

    def kill(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(data, parameters, 3, tmp_path / "killed", kill)
    epochs = []
    resumed = train_model(data, parameters, 3, tmp_path / "killed", lambda row: epochs.append(row["epoch"]))
    assert resumed.resumed == "epoch 3"
    assert epochs == [3, 4, 5]
    pd.testing.assert_frame_equal(resumed.predictions, whole.predictions)
    pd.testing.assert_frame_equal(
        resumed.history.drop(columns="seconds"), whole.history.drop(columns="seconds")
    )


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(data, tmp_path):
    columns = [f"p_{c}" for c in CLASSES]
    runs = [
        train_model(data, SMALL, seed, tmp_path / name).predictions[columns]
        for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    ]
    pd.testing.assert_frame_equal(runs[0], runs[1])
    assert not np.allclose(runs[0], runs[2])


def test_a_finished_seed_is_reused_and_a_changed_input_is_not(corpus, data, tmp_path):
    tmp_path = tmp_path / "corpus" / "experiment"
    first = list(train_seeds(data, SMALL, tmp_path, "x"))
    again = list(train_seeds(data, SMALL, tmp_path, "x"))
    assert [f.resumed for f in again] == ["done", "done"]
    for one, two in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one.predictions, two.predictions)
    # More seeds reuse those that are there.
    more = [f.resumed for f in train_seeds(data, SMALL.model_copy(update={"seeds": 3}), tmp_path, "x")]
    assert more == ["done", "done", ""]
    slower = SMALL.model_copy(update={"learning_rate": 0.001})
    assert next(train_seeds(data, slower, tmp_path, "x")).resumed == ""
    utterances, features = corpus
    features["audio"].loc[0, "present"] = False
    changed = assemble(utterances, features, CLASSES)
    assert next(train_seeds(changed, slower, tmp_path, "x")).resumed == ""


def test_a_half_written_result_is_not_believed(data, tmp_path):
    train_model(data, SMALL, 0, tmp_path)
    (tmp_path / "predictions.parquet").write_bytes(b"PAR1")
    assert train_model(data, SMALL, 0, tmp_path).resumed == ""


def test_an_unreadable_checkpoint_starts_afresh(data, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    assert train_model(data, SMALL, 0, tmp_path).resumed == ""


def test_a_split_without_labels_is_refused(corpus, tmp_path):
    utterances, features = corpus
    utterances.loc[utterances["split"] == "val", "label"] = pd.NA
    with pytest.raises(ValueError, match="the val split has no labelled utterance"):
        train_model(assemble(utterances, features, CLASSES), SMALL, 0, tmp_path)


def test_unlabelled_utterances_are_predicted_and_never_scored(corpus, tmp_path):
    utterances, features = corpus
    utterances.loc[utterances.index[::3], "label"] = pd.NA
    result = train_model(assemble(utterances, features, CLASSES), SMALL, 0, tmp_path)
    assert len(result.predictions) == 7 * len(utterances)
    assert result.predictions["label"].isna().sum() == 7 * utterances["label"].isna().sum()


def test_class_weights_follow_training_counts(data):
    counts = torch.bincount(data.label[data.rows("train")], minlength=3).double()
    torch.testing.assert_close(
        weights_of_classes(data, "balanced").double(), counts.sum() / (3 * counts), rtol=1e-6, atol=0
    )
    assert weights_of_classes(data, "none") is None


def test_modality_dropout_leaves_something_to_see():
    torch.manual_seed(0)
    b = batch([3] * 200)
    had = b.present.any(1)
    left = drop_modalities(b, 0.999).present.any(1)
    lost = (had & ~left).sum(1)
    assert (left <= had).all()
    assert (left.any(1) == had.any(1)).all()
    assert set(lost.tolist()) == {0, 1, 2}
    assert torch.equal(drop_modalities(b, 0.0).present, b.present)


def test_equal_content_is_trained_once_whatever_its_experiment(tmp_path):
    utterances, features = make_corpus()
    features["visual"]["present"] = False
    data = assemble(utterances, features, CLASSES)
    without_visual = SMALL.model_copy(
        update={"model": SMALL.model.model_copy(update={"modalities": ("text", "audio")})}
    )
    tasks = [
        TrainingTask(data, parameters, 0, tmp_path / name / "seed0")
        for name, parameters in (("full", SMALL), ("text_audio", without_visual))
    ]
    first, second = train_all(tasks, tmp_path, "x")
    assert (first.resumed, second.resumed) == ("", "done")
    pd.testing.assert_frame_equal(first.predictions, second.predictions)
    config = json.loads((second.folder / "config.json").read_text())
    assert config["parameters"]["model"]["modalities"] == ["text", "audio"]
    # Where the modality is there, only the experiment that does not look at it has been done before.
    data = assemble(*make_corpus(), CLASSES)
    tasks = [replace(task, data=data) for task in tasks]
    assert [f.resumed for f in train_all(tasks, tmp_path, "x")] == ["", "done"]


def test_withholding_a_modality_uses_the_whole_models_weights(data, tmp_path):
    withheld = SMALL.model_copy(update={"withhold": ("audio",)})
    epochs = []
    whole = train_model(data, SMALL, 0, tmp_path / "full" / "seed0")
    part = train_model(data, withheld, 0, tmp_path / "no_audio" / "seed0", epochs.append, shared=tmp_path)
    assert epochs == []
    assert (part.folder / "model.safetensors").read_bytes() == (
        whole.folder / "model.safetensors"
    ).read_bytes()
    network = load_network(whole.folder)
    left = [head for head in HEADS if head != "a"]
    expected = predict(network, data.only(["text", "visual"]), heads=left)
    pd.testing.assert_frame_equal(part.predictions.drop(columns="seed"), expected)
    same_heads = whole.predictions[whole.predictions["head"] != "a"]
    assert not np.allclose(expected["p_calm"], same_heads["p_calm"])


def test_what_rests_on_no_modality_of_training_is_not_predicted(tmp_path):
    utterances, features = make_corpus(40)
    features["audio"] = features["audio"].assign(present=False)
    data = assemble(utterances, features, CLASSES)
    made = train_model(data, SMALL.model_copy(update={"epochs": 2}), 0, tmp_path).predictions
    assert list(made["head"].unique()) == ["t", "v", "ta", "tv", "av", "tav"]
    alone = SMALL.model.model_copy(update={"modalities": ("text",)})
    parameters = SMALL.model_copy(update={"epochs": 2, "model": alone})
    made = train_model(data, parameters, 0, tmp_path / "text").predictions
    assert list(made["head"].unique()) == ["t", "ta", "tv", "tav"]


def test_the_key_follows_what_the_code_does_and_not_its_comments(tmp_path, monkeypatch):
    def version(text, changed="training/loop.py"):
        for name in (
            "models/network.py",
            "models/architectures.py",
            "training/loop.py",
            "models/baselines/base.py",
        ):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("pass")
        (tmp_path / changed).write_text(text)
        monkeypatch.setattr(sources, "PACKAGE", tmp_path)
        sources.version.cache_clear()
        return checkpoint.code_version("gated_fusion")

    try:
        plain = version("def f():\n    return 1\n")
        assert version('def f():\n    """Says what."""\n    # and why\n    return 1\n') == plain
        assert version("def f():\n    return 2\n") != plain
        # One more architecture changes none of the others.
        assert version("pass") == version("A = 1", "models/architectures.py") != version("A = 1")
    finally:
        sources.version.cache_clear()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_trained_and_scored_by_the_same_loop(architecture, data, tmp_path):
    model = SMALL.model.model_copy(update={"architecture": architecture})
    result = train_model(data, SMALL.model_copy(update={"model": model, "epochs": 2}), 0, tmp_path)
    p = result.predictions
    assert "tav" in set(p["head"])
    assert set(p["head"]) <= set(HEADS)
    assert p[[f"p_{c}" for c in CLASSES]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert result.history["selected"].sum() == 1
    pd.testing.assert_frame_equal(predict(load_network(tmp_path), data), p.drop(columns="seed"))


def test_the_simplest_baselines_are_what_scikit_learn_says(tmp_path):
    utterances, features = make_corpus(40)
    data = assemble(utterances, features, CLASSES)
    train = data.rows("train")
    y = data.label.numpy()

    def logits(architecture, modalities=MODALITIES):
        model = SMALL.model.model_copy(update={"architecture": architecture, "modalities": modalities})
        folder = tmp_path / f"{architecture} {modalities}"
        p = train_model(data, SMALL.model_copy(update={"model": model}), 0, folder).predictions
        return p[[f"p_{c}" for c in CLASSES]].to_numpy()

    for modalities in (("text",), MODALITIES):
        seen = [x.numpy() for name, x in zip(MODALITIES, data.features, strict=True) if name in modalities]
        x = np.hstack(seen)
        expected = [
            LogisticRegression(C=c, max_iter=2000).fit(x[train], y[train]).predict_proba(x[:-1])
            for c in STRENGTHS
        ]
        got = logits("logistic_regression", modalities)
        assert min(np.abs(got - e).max() for e in expected) < 1e-3
    majority = logits("majority")
    assert (majority.argmax(1) == np.bincount(y[train]).argmax()).all()


def test_logistic_regression_survives_classes_that_training_never_shows(tmp_path):
    utterances, features = make_corpus(40)
    model = SMALL.model.model_copy(update={"architecture": "logistic_regression"})
    for count, gone in ((2, ["cross"]), (1, ["cross", "glad"])):
        table = utterances.copy()
        table.loc[table["label"].isin(gone) & (table["split"] == "train"), "label"] = pd.NA
        data = assemble(table, features, CLASSES)
        p = train_model(data, SMALL.model_copy(update={"model": model}), 0, tmp_path / str(count)).predictions
        guess = np.array(CLASSES)[p[[f"p_{c}" for c in CLASSES]].to_numpy().argmax(1)]
        assert set(guess) == set(CLASSES) - set(gone)
