"""The network keeps what docs/model.md promises, whatever its switches."""

import itertools
from dataclasses import replace

import pytest
import torch

from erc_kedro.models.batch import Batch
from erc_kedro.models.network import GatedFusionNetwork
from tests.defaults import LossParameters, ModelParameters

DIMENSIONS, CLASSES = [6, 5, 4], 3
SHAPES = [
    ModelParameters(hidden=16, attention_heads=2, context_encoder=context, causal=causal, **switch)
    for context, causal in itertools.product(("transformer", "gru"), (False, True))
    for switch in ({}, {"gates": False, "guide": False}, {"fusion": "concat"}, {"layers": 2})
]


def network(parameters, seed=0):
    torch.manual_seed(seed)
    return GatedFusionNetwork(parameters, DIMENSIONS, CLASSES).eval()


def batch(lengths, length=None, seed=0, speakers=3):
    draw = torch.Generator().manual_seed(seed)
    longest = length or max(lengths)
    valid = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
    count = len(lengths)
    present = (torch.rand(count, longest, 3, generator=draw) < 0.7) & valid[..., None]
    return Batch(
        features=[torch.randn(count, longest, size, generator=draw) for size in DIMENSIONS],
        present=present,
        valid=valid,
        speaker=torch.randint(0, speakers, (count, longest), generator=draw) * valid,
        label=torch.where(valid, torch.randint(0, CLASSES, (count, longest), generator=draw), -1),
        row=torch.where(valid, torch.arange(count * longest).view(count, longest), -1),
    )


def pick(b, dialogues, length):
    """Some dialogues of a batch, cut or padded with noise to another length."""
    have = b.valid.shape[1]

    def fit(x):
        x = x[dialogues]
        if length <= have:
            return x[:, :length]
        noise = x.new_ones((len(dialogues), length - have, *x.shape[2:]))
        return torch.cat([x, noise * 7 if x.is_floating_point() else noise], 1)

    valid = fit(b.valid.long()).bool() & (torch.arange(length) < have)
    return Batch(
        [fit(x) for x in b.features], fit(b.present), valid, fit(b.speaker), fit(b.label), fit(b.row)
    )


def probabilities(net, b):
    with torch.no_grad():
        return net(b).logits.softmax(-1)


@pytest.mark.parametrize("parameters", [p for p in SHAPES if p.causal], ids=str)
def test_causal_sees_no_future(parameters):
    net, b = network(parameters), batch([6, 6])
    before = probabilities(net, b)
    later = [x.clone() for x in b.features]
    for x in later:
        x[:, 4:] += 5
    changed = replace(b, features=later, speaker=b.speaker.clone(), present=b.present.clone())
    changed.speaker[:, 4:] = 1
    changed.present[:, 4:] = True
    after = probabilities(net, changed)
    torch.testing.assert_close(after[:, :, :4], before[:, :, :4], atol=1e-6, rtol=0)
    assert not torch.allclose(after[:, :, 4:], before[:, :, 4:], atol=1e-3)


@pytest.mark.parametrize("parameters", [p for p in SHAPES if p.causal], ids=str)
def test_causal_does_not_know_that_a_modality_will_come(parameters):
    net, b = network(parameters), batch([6])
    b.present[:, :4, 1] = False
    comes, stays_away = b.present.clone(), b.present.clone()
    comes[:, 4:, 1], stays_away[:, 4:, 1] = True, False
    with_it, without_it = (probabilities(net, replace(b, present=p)) for p in (comes, stays_away))
    torch.testing.assert_close(with_it[:, :, :4], without_it[:, :, :4], atol=1e-6, rtol=0)


@pytest.mark.parametrize("context", ["transformer", "gru"])
def test_without_causal_the_future_is_used(context):
    net, b = network(ModelParameters(hidden=16, attention_heads=2, context_encoder=context)), batch([6])
    b.present[:] = True
    later = [x.clone() for x in b.features]
    for x in later:
        x[:, 5:] += 5
    assert not torch.allclose(
        probabilities(net, replace(b, features=later))[:, :, :5], probabilities(net, b)[:, :, :5], atol=1e-4
    )


@pytest.mark.parametrize("parameters", SHAPES, ids=str)
@pytest.mark.parametrize("supervision", ["teacher", "mutual"])
def test_gradients_are_finite_and_reach_every_weight(parameters, supervision):
    net = network(parameters.model_copy(update={"guide_dropout": 0.5})).train()
    b = batch([5, 1, 3])
    b.present[2] = False
    loss, terms = net.loss(net(b), b, LossParameters(supervision=supervision))
    loss.backward()
    assert torch.isfinite(loss)
    assert ("student_to_teacher" in terms) == (supervision == "mutual")
    for name, weight in net.named_parameters():
        if not parameters.guide and name == "pairs.null_guide":
            continue
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


def test_gates_and_weights_are_shares():
    output = network(ModelParameters(hidden=16, attention_heads=2))(batch([4, 2]))
    assert ((output.gates > 0) & (output.gates < 1)).all()
    torch.testing.assert_close(output.weights.sum(0), torch.ones_like(output.weights[0]))
