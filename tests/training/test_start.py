"""Training that starts from another model's weights: it does, it says so in its key, and it is reused."""

import pytest
import torch
from safetensors.torch import load_file

from erc_kedro.training import checkpoint
from erc_kedro.training.batches import assemble
from erc_kedro.training.loop import train_model
from erc_kedro.training.seeds import TrainingTask, train_all
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TrainParameters

SMALL = TrainParameters(epochs=2, patience=2, batch_utterances=16, model={"hidden": 16, "attention_heads": 2})
STILL = SMALL.model_copy(update={"epochs": 1, "learning_rate": 1e-12, "weight_decay": 0.0})


def weights(folder):
    return load_file(folder / checkpoint.WEIGHTS)


@pytest.fixture
def first(tmp_path):
    return train_model(assemble(*make_corpus(16), CLASSES), SMALL, 0, tmp_path / "first").folder


def test_weights_are_those_of_the_start_where_nothing_is_learned(first, tmp_path):
    data = assemble(*make_corpus(12, seed=5), CLASSES)
    made = train_model(data, STILL, 0, tmp_path / "tuned", start=first)
    before, after = weights(first), weights(made.folder)
    assert len(before) > 5
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-6, rtol=0)
    alone = weights(train_model(data, STILL, 0, tmp_path / "alone").folder)
    assert any((alone[name] - value).abs().max() > 1e-3 for name, value in before.items())


def test_a_start_is_part_of_the_key_by_its_content(first, tmp_path):
    data = assemble(*make_corpus(12, seed=5), CLASSES)
    other = train_model(assemble(*make_corpus(16), CLASSES), SMALL, 1, tmp_path / "other").folder
    keys = [checkpoint.training_key(data, SMALL, 0, start) for start in (None, first, other)]
    assert len({*keys}) == 3
    moved = tmp_path / "moved"
    first.rename(moved)
    assert checkpoint.training_key(data, SMALL, 0, moved) == keys[1]
    with pytest.raises(FileNotFoundError):
        checkpoint.training_key(data, SMALL, 0, first)


def test_tasks_from_different_starts_are_different_models_and_each_is_reused(first, tmp_path):
    data = assemble(*make_corpus(12, seed=5), CLASSES)
    starts = {"alone": None, "tuned": first}
    tasks = [TrainingTask(data, SMALL, 0, tmp_path / "all" / name, start) for name, start in starts.items()]
    alone, tuned = train_all(tasks, tmp_path / "all", "two")
    assert checkpoint.finished(alone.folder) != checkpoint.finished(tuned.folder)
    assert [made.resumed for made in train_all(tasks, tmp_path / "all", "two")] == ["done", "done"]


def test_the_structure_is_the_start_s_whatever_a_few_dialogues_lack(first, tmp_path):
    utterances, features = make_corpus(12, seed=5)
    features["visual"]["present"] = False
    data = assemble(utterances, features, CLASSES)
    made = train_model(data, SMALL, 0, tmp_path / "tuned", start=first)
    assert weights(made.folder).keys() == weights(first).keys()


def test_the_last_epoch_can_be_kept_and_no_validation_is_needed(tmp_path):
    utterances, features = make_corpus(12)
    utterances = utterances[utterances["split"] != "val"]
    features = {name: x[x["utterance_id"].isin(utterances["utterance_id"])] for name, x in features.items()}
    data = assemble(utterances, features, CLASSES)
    with pytest.raises(ValueError, match="val split has no labelled"):
        train_model(data, SMALL, 0, tmp_path / "chosen")
    last = SMALL.model_copy(update={"epochs": 5, "selection": "last"})
    history = train_model(data, last, 0, tmp_path / "last").history
    assert history["selected"].tolist() == [False] * 4 + [True]
    whole = assemble(*make_corpus(12), CLASSES)
    history = train_model(whole, last, 0, tmp_path / "whole").history
    assert history["selected"].tolist() == [False] * 4 + [True]
    assert history["val_weighted_f1"].notna().all()
