"""The linear path adds to each head what is linear in the features of its own modalities."""

import torch

from erc_kedro.schemas import HEADS
from tests.defaults import ModelParameters
from tests.models.test_network import CLASSES, DIMENSIONS, batch, network

SMALL = {"hidden": 16, "attention_heads": 2}
# By head, the letters of its modalities.
NAMES = "tav"


def logits(net, b):
    with torch.no_grad():
        return net(b).logits


def with_and_without():
    without = network(ModelParameters(linear_path=False, **SMALL))
    net = network(ModelParameters(linear_path=True, **SMALL))
    return net, without


def test_a_new_network_is_the_one_without_it():
    net, without = with_and_without()
    torch.testing.assert_close(logits(net, batch([5, 3])), logits(without, batch([5, 3])), atol=0, rtol=0)


def test_a_head_reads_its_own_modalities_and_sums_them():
    net, without = with_and_without()
    draw = torch.Generator().manual_seed(1)
    for weight in net.linear.weights:
        weight.data = torch.randn(weight.shape, generator=draw)
    b = batch([5, 3])
    added = logits(net, b) - logits(without, b)
    # Weights of a modality: its own head, its pairs in the order of heads, tav; each of all classes.
    for number, head in enumerate(HEADS):
        expected = torch.zeros(*b.valid.shape, CLASSES)
        for m, letter in enumerate(NAMES):
            if letter in head:
                place = [name for name in HEADS if letter in name].index(head)
                own = net.linear.weights[m][:, place * CLASSES : (place + 1) * CLASSES]
                expected += torch.where(b.present[..., m : m + 1], b.features[m], 0.0) @ own
        torch.testing.assert_close(added[number][b.valid], expected[b.valid], atol=1e-4, rtol=0)
    assert added[:, b.valid].abs().max() > 1


def test_what_an_absent_modality_stores_is_not_read():
    net, _ = with_and_without()
    for weight in net.linear.weights:
        torch.nn.init.ones_(weight)
    b = batch([6])
    before = logits(net, b)
    for m, size in enumerate(DIMENSIONS):
        b.features[m][~b.present[..., m]] = torch.full((size,), torch.nan)
    torch.testing.assert_close(logits(net, b), before, atol=0, rtol=0)
