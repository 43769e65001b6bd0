"""Layers do what their torch namesakes do."""

import pytest
import torch

from erc_kedro.models import layers
from erc_kedro.models.layers import Dropout, select


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    torch.manual_seed(0)
    layer = Dropout(rate).train()
    x = torch.ones(400, 500)
    y = layer(x)
    assert (y == 0).float().mean().item() == pytest.approx(rate, abs=0.005)
    assert y.mean().item() == pytest.approx(1, abs=0.01)
    assert len(y.unique()) == 2
    # Every position is as likely to be dropped, whatever byte of a random word decides on it.
    assert (y.view(-1, 8) == 0).float().mean(0).numpy() == pytest.approx(rate, abs=0.02)
    assert torch.equal(layer.eval()(x), x)


def test_dropout_follows_the_seed_and_passes_gradients_of_what_is_kept():
    layer = Dropout(0.5).train()
    x = torch.ones(7, 3, requires_grad=True)
    torch.manual_seed(1)
    first = layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first)
    first.sum().backward()
    assert torch.equal(x.grad, first)


def test_select_is_indexing():
    x = torch.randn(3, 4, requires_grad=True)
    picked = select(x, (2, 0, 2))
    assert torch.equal(picked, x[[2, 0, 2]])
    picked.sum().backward()
    assert x.grad[:, 0].tolist() == [1.0, 0.0, 2.0]


def test_a_long_dialogue_attends_in_parts_as_it_would_whole(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 11, 8, generator=draw) for _ in range(3))
    allowed = torch.rand(2, 3, 11, 11, generator=draw) < 0.5
    allowed[0, 0, 4] = False
    whole = layers.attend(q, k, v, allowed, 2)
    monkeypatch.setattr(layers, "QUERIES", 4)
    assert torch.allclose(layers.attend(q, k, v, allowed, 2), whole, atol=1e-6)
    assert (whole[0, 0, 4] == 0).all()


def test_a_group_that_may_attend_to_nothing_costs_nothing_and_changes_no_other(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, 2, 7, 8, generator=draw, requires_grad=True) for _ in range(3))
    allowed = torch.rand(3, 2, 7, 7, generator=draw) < 0.5
    allowed[1] = False
    attended = []
    one = layers._attend
    monkeypatch.setattr(layers, "_attend", lambda *asked: attended.append(len(asked[0])) or one(*asked))
    made = layers.attend(q, k, v, allowed, 2)
    made.square().sum().backward()
    assert attended == [2]
    whole = one(q, k, v, allowed, 2)
    torch.testing.assert_close(made, whole, atol=0, rtol=0)
    gradients = [x.grad.clone() for x in (q, k, v)]
    for x in (q, k, v):
        x.grad = None
    whole.square().sum().backward()
    assert (made[1] == 0).all()
    for x, gradient in zip((q, k, v), gradients, strict=True):
        torch.testing.assert_close(gradient, x.grad, atol=0, rtol=0)
