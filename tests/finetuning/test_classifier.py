"""The network: what is trained how fast, and losses against plain loops."""

import numpy as np
import pytest
import torch
from transformers import AutoModel

from erc_kedro.finetuning import classifier
from erc_kedro.parameters import LoraParameters
from tests import tiny
from tests.finetuning.corpus import parameters


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.bert(tmp_path_factory.mktemp("bert"), layers=3)


@pytest.mark.parametrize("kind", [tiny.bert, tiny.roberta])
def test_attention_is_not_dropped_out_and_hidden_states_are(kind, tmp_path):
    _, encoder, _, _ = classifier.load(str(kind(tmp_path)))
    assert encoder.config.attention_probs_dropout_prob == 0
    assert encoder.config.hidden_dropout_prob == 0.1


def test_each_layer_learns_slower_than_the_one_above(folder):
    _, encoder, _, _ = classifier.load(str(folder))
    network = classifier.Classifier(encoder, 3, 0.1)
    groups = classifier.groups(network, parameters(folder, learning_rate=1.0, layer_decay=0.5))
    rate = {id(p): group["rate"] for group in groups for p in group["params"]}
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    named = dict(network.named_parameters())
    assert set(rate) == {id(p) for p in named.values()}
    assert rate[id(named["head.weight"])] == 1
    layers = [rate[id(named[f"encoder.encoder.layer.{i}.output.dense.weight"])] for i in range(3)]
    assert layers == [0.125, 0.25, 0.5]
    assert rate[id(named["encoder.embeddings.word_embeddings.weight"])] == 0.0625
    assert decay[id(named["encoder.encoder.layer.0.output.dense.weight"])] == 0.01
    assert decay[id(named["encoder.encoder.layer.0.output.LayerNorm.weight"])] == 0


def test_the_contrastive_term_is_that_of_a_plain_loop():
    torch.manual_seed(0)
    unit = torch.nn.functional.normalize(torch.randn(7, 5), dim=1)
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 1])
    expected = []
    for i in range(7):
        others = [j for j in range(7) if j != i]
        alike = [j for j in others if labels[j] == labels[i]]
        if alike:
            total = sum(np.exp(float(unit[i] @ unit[j]) / 0.2) for j in others)
            terms = [np.log(np.exp(float(unit[i] @ unit[j]) / 0.2) / total) for j in alike]
            expected.append(-np.mean(terms))
    assert float(classifier.contrast(unit, labels, 0.2)) == pytest.approx(np.mean(expected), rel=1e-5)
    assert float(classifier.contrast(unit[:1], labels[:1], 0.2)) == 0


def test_adapters_alone_are_trained_and_disappear_when_merged(folder):
    _, encoder, _, _ = classifier.load(str(folder))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    network = classifier.Classifier(classifier.with_adapters(encoder, LoraParameters(rank=2)), 3, 0.1)
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert all("lora" in name or name.startswith("head") for name in trained)
    assert any("lora" in name for name in trained)
    groups = classifier.groups(network, parameters(folder, learning_rate=1.0, layer_decay=0.5))
    assert {round(group["rate"], 3) for group in groups} == {0.125, 0.25, 0.5, 1.0}
    merged = network.encoder.merge_and_unload()
    plain = AutoModel.from_pretrained(folder)
    assert set(merged.state_dict()) == set(plain.state_dict()) == set(before)


def test_adapters_on_layers_that_are_not_there_are_refused_by_parameter(folder):
    _, encoder, _, _ = classifier.load(str(folder))
    with pytest.raises(ValueError, match=r"finetune\.lora\.targets"):
        classifier.with_adapters(encoder, LoraParameters(targets=("no_such_layer",)))
