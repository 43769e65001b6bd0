"""Lost and noisy modalities: nothing changes where nothing is lost, and only what is lost changes."""

import numpy as np
import pytest
import torch

from erc_kedro import schemas
from erc_kedro.inspection.degradation import degraded_predictions
from erc_kedro.models.network import GatedFusionNetwork
from erc_kedro.training.batches import assemble
from erc_kedro.training.loop import predict
from tests.conftest import CLASSES, make_corpus
from tests.defaults import ModelParameters

MODEL = ModelParameters(hidden=16, attention_heads=2)


@pytest.fixture
def data():
    utterances, features = make_corpus(dialogues=40)
    return assemble(utterances, features, CLASSES)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return GatedFusionNetwork(MODEL, [6, 5, 4], 3).eval()


def guessed(network, data):
    table = predict(network, data).query("head == 'tav' and split == 'test'")
    best = table[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)
    return dict(zip(table["utterance_id"], np.array(CLASSES)[best], strict=True))


def of(table, kind, modality, amount):
    rows = table.query("kind == @kind and modality == @modality and amount == @amount")
    return dict(zip(rows["utterance_id"], rows["predicted"], strict=True))


def test_nothing_lost_is_the_prediction_itself(network, data):
    table = degraded_predictions(network, data, 0, size=7)
    schemas.degraded.validate(table.assign(seed=0)[["seed", *table.columns]])
    for modality in ("text", "audio", "visual"):
        for kind in ("missing", "noise"):
            assert of(table, kind, modality, 0.0) == guessed(network, data)


def test_all_lost_is_a_corpus_without_the_modality(network, data):
    table = degraded_predictions(network, data, 0)
    assert of(table, "missing", "text", 1.0) == guessed(network, data.only(("audio", "visual")))
    assert of(table, "missing", "visual", 1.0) == guessed(network, data.only(("text", "audio")))


def test_noise_and_loss_change_something_and_repeat(network, data):
    table = degraded_predictions(network, data, 0)
    assert of(table, "noise", "text", 4.0) != guessed(network, data)
    again = degraded_predictions(network, data, 0, size=9)
    assert (table["predicted"] == again["predicted"]).all()
    other = degraded_predictions(network, data, 1)
    assert (table["predicted"] != other["predicted"]).any()


def test_only_the_test_split_and_modalities_that_are_there(network, data):
    table = degraded_predictions(network, data.only(("text",)), 0)
    assert set(table["modality"]) == {"text"}
    test = {
        u for u, s in zip(data.utterance_id, np.repeat(data.split, data.length), strict=True) if s == "test"
    }
    assert set(table["utterance_id"]) == test
    label = dict(zip(data.utterance_id, np.array(CLASSES)[data.label[:-1].numpy()], strict=True))
    assert all(label[row.utterance_id] == row.label for row in table.itertuples())


def test_unlabelled_utterances_keep_no_label(network):
    utterances, features = make_corpus()
    utterances.loc[utterances["split"] == "test", "label"] = None
    table = degraded_predictions(network, assemble(utterances, features, CLASSES), 0)
    assert table["label"].isna().all()
    assert table["predicted"].isin(CLASSES).all()
