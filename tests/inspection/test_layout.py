"""The map: who is on it, and that alike utterances lie together."""

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from erc_kedro import schemas
from erc_kedro.inspection import layout as module
from erc_kedro.inspection.layout import layout
from erc_kedro.models.network import GatedFusionNetwork
from erc_kedro.training.batches import assemble
from tests.conftest import CLASSES, make_corpus
from tests.defaults import ModelParameters


@pytest.fixture
def network():
    torch.manual_seed(0)
    return GatedFusionNetwork(ModelParameters(hidden=16, attention_heads=2), [6, 5, 4], 3).eval()


@pytest.fixture
def corpus():
    return make_corpus(dialogues=60, signal=12.0)


def test_neighbours_on_the_map_share_their_emotion(network, corpus):
    table = layout(network, assemble(*corpus, CLASSES))
    schemas.layout.validate(table)
    assert set(table["head"]) == {"tav", "t", "a", "v"}
    # Features alone carry the label here; a map of anything else would not.
    text = table[table["head"] == "t"]
    near = KNeighborsClassifier(3).fit(text[["x", "y"]], text["label"])
    assert near.score(text[["x", "y"]], text["label"]) > 0.8
    assert layout(network, assemble(*corpus, CLASSES)).equals(table)


def test_who_lacks_a_modality_is_not_on_its_map(network, corpus):
    utterances, features = corpus
    features["audio"].loc[::2, "present"] = False
    data = assemble(utterances, features, CLASSES)
    table = layout(network, data)
    there = set(data.utterance_id[data.present[:-1, 1].numpy()])
    assert set(table.query("head == 'a'")["utterance_id"]) <= there
    assert set(table.query("head == 'tav'")["utterance_id"]) > set(table.query("head == 'a'")["utterance_id"])
    assert set(layout(network, data.only(("text",)))["head"]) == {"tav", "t"}


def test_a_network_that_sees_no_difference_makes_no_map(network, corpus):
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    assert layout(network, assemble(*corpus, CLASSES)).empty


def test_many_are_drawn_from_and_few_make_no_map(network, corpus, monkeypatch):
    data = assemble(*corpus, CLASSES)
    monkeypatch.setattr(module, "MOST", 20)
    assert (layout(network, data).groupby("head").size() == 20).all()
    few = assemble(*make_corpus(dialogues=4), CLASSES)
    assert 0 < len(few.rows("test")) < module.FEWEST
    assert layout(network, few).empty
    utterances, features = corpus
    blind = utterances.assign(label=None)
    blind.loc[utterances["split"] != "test", "label"] = utterances["label"]
    assert layout(network, assemble(blind, features, CLASSES)).empty
