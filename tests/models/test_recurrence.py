"""The grouped GRU is torch's, for every group, direction and length at once."""

import pytest
import torch
from torch import nn

from erc_kedro.models.recurrence import GroupedGru, Packing

GROUPS, INPUTS, HIDDEN, LENGTHS = 3, 5, 4, (3, 1, 6, 2)


def utterances():
    torch.manual_seed(0)
    row = torch.cat([torch.full((n,), 10 * r) for r, n in enumerate(LENGTHS)])
    step = torch.cat([torch.arange(n) for n in LENGTHS])
    mixed = torch.randperm(len(row))
    return row[mixed], step[mixed]


def torch_gru(ours, group, both):
    theirs = nn.GRU(INPUTS, HIDDEN, len(ours.inputs), batch_first=True, bidirectional=both).double()
    with torch.no_grad():
        for layer in range(len(ours.inputs)):
            for direction in range(ours.directions):
                name = f"l{layer}" + ("_reverse" if direction else "")
                at = group * ours.directions + direction
                getattr(theirs, f"weight_ih_{name}").copy_(ours.inputs[layer].weight[at].T)
                getattr(theirs, f"bias_ih_{name}").copy_(ours.inputs[layer].bias[at, 0])
                getattr(theirs, f"weight_hh_{name}").copy_(ours.states[layer].weight[at].T)
                getattr(theirs, f"bias_hh_{name}").copy_(ours.states[layer].bias[at, 0])
    return theirs


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_it_is_torchs_gru_row_by_row(both, layers):
    row, step = utterances()
    ours = GroupedGru(GROUPS, INPUTS, HIDDEN, both, layers).double()
    x = torch.randn(GROUPS, len(row), INPUTS, dtype=torch.double)
    got = ours(x, Packing(row, step), torch.arange(GROUPS))
    for group in range(GROUPS):
        theirs = torch_gru(ours, group, both)
        for r in row.unique():
            which = (row == r).nonzero()[:, 0]
            which = which[step[which].argsort()]
            torch.testing.assert_close(
                got[group, which], theirs(x[group, which][None])[0][0], atol=1e-12, rtol=0
            )


@pytest.mark.parametrize("both", [True, False])
def test_its_gradient_is_the_numerical_one(both):
    row, step = utterances()
    ours = GroupedGru(GROUPS, INPUTS, HIDDEN, both, 2).double()
    x = torch.randn(GROUPS, len(row), INPUTS, dtype=torch.double, requires_grad=True)
    weights = tuple(ours.parameters())
    assert torch.autograd.gradcheck(
        lambda x, *_: ours(x, Packing(row, step), torch.arange(GROUPS)), (x, *weights), atol=1e-6
    )


def test_some_groups_alone_are_as_among_all():
    row, step = utterances()
    ours = GroupedGru(GROUPS, INPUTS, HIDDEN, True)
    x = torch.randn(GROUPS, len(row), INPUTS)
    whole = ours(x, Packing(row, step), torch.arange(GROUPS))
    some = ours(x[[0, 2]], Packing(row, step), torch.tensor([0, 2]))
    torch.testing.assert_close(some, whole[[0, 2]])


@pytest.mark.parametrize("both", [True, False])
def test_without_gradients_it_gives_the_same(both):
    row, step = utterances()
    ours = GroupedGru(GROUPS, INPUTS, HIDDEN, both, 2)
    x = torch.randn(GROUPS, len(row), INPUTS)
    trained = ours(x, Packing(row, step), torch.arange(GROUPS))
    with torch.inference_mode():
        assert torch.equal(ours(x, Packing(row, step), torch.arange(GROUPS)), trained)
