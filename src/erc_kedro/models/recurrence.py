"""Many recurrent networks side by side: one loop over time instead of one a modality and direction."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from erc_kedro.models.layers import Dropout, GroupedLinear


class Packing:
    """Where utterances lie when rows of different lengths are packed by time, longest row first.

    Args:
        row: int64 [N], the run of utterances that each one belongs to, in any numbering.
        step: int64 [N], its place on that run, from 0 without gaps.

    Attributes:
        sizes: how many rows are still running at each step.
        forward, backward: int64 [N], an utterance's place when rows run from their start or their end.
    """

    def __init__(self, row: Tensor, step: Tensor) -> None:
        row = row.unique(return_inverse=True)[1]
        lengths = row.bincount()
        rank = lengths.argsort(descending=True, stable=True).argsort()[row]
        running = step.bincount()
        first = running.cumsum(0) - running
        self.sizes: list[int] = running.tolist()
        self.forward = first[step] + rank
        self.backward = first[lengths[row] - 1 - step] + rank


class GroupedGru(nn.Module):
    """G GRUs (Cho et al., 2014; the equations of ``torch.nn.GRU``) over the same rows, each with its weights.

    Args:
        groups: G; inputs, hidden: sizes; hidden is that of each direction.
        both: a second direction from each row's end; its output is concatenated.
        layers: stacked layers; dropout: between them.
    """

    def __init__(
        self, groups: int, inputs: int, hidden: int, both: bool, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.directions = 2 if both else 1
        sizes = [inputs] + [hidden * self.directions] * (layers - 1)
        # Group g's directions lie side by side: g forward, g backward, g + 1 forward, …
        self.inputs = nn.ModuleList(
            GroupedLinear(groups * self.directions, size, 3 * hidden) for size in sizes
        )
        self.states = nn.ModuleList(_State(groups * self.directions, hidden) for _ in sizes)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, packing: Packing, groups: Tensor) -> Tensor:
        """x [G', N, inputs] of the utterances that ``packing`` places -> [G', N, directions * hidden].

        Args:
            groups: int64 [G'], which of the G networks run.
        """
        places = torch.stack([packing.forward, packing.backward][: self.directions])
        orders = places.argsort(1)
        own = (groups[:, None] * self.directions + torch.arange(self.directions, device=x.device)).flatten()
        for layer, (inputs, state) in enumerate(zip(self.inputs, self.states, strict=True)):
            assert isinstance(inputs, GroupedLinear)
            assert isinstance(state, _State)
            if layer:
                x = self.dropout(x)
            # [G', N, i] -> [G' * directions, N, i], packed.
            packed = x[:, orders].flatten(0, 1)
            projected = torch.baddbmm(inputs.bias[own], packed, inputs.weight[own])
            h = _Scan.apply(projected, state.weight[own], state.bias[own], packing.sizes)
            h = h.view(len(groups), self.directions, *h.shape[1:])
            x = torch.cat([h[:, d, places[d]] for d in range(self.directions)], -1)
        return x


class _State(nn.Module):
    """Weights from a hidden state to the next."""

    def __init__(self, groups: int, hidden: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(hidden)
        self.weight = nn.Parameter(torch.empty(groups, hidden, 3 * hidden).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(groups, 1, 3 * hidden).uniform_(-bound, bound))


class _Scan(torch.autograd.Function):
    """The recurrence over packed inputs, with its gradient written out.

    r, z = sigmoid(x_rz + W_rz h + b_rz); n = tanh(x_n + r (W_n h + b_n)); h' = n + z (h - n).

    Autograd would record some fifteen nodes a step, which costs more than the arithmetic.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, sizes: list[int]) -> Tensor:
        """x [G, N, 3h], weight [G, h, 3h], bias [G, 1, 3h] -> h [G, N, h]."""
        groups, count, triple = x.shape
        size = triple // 3
        out = x.new_empty(groups, count, size)
        # What only the gradient reads is kept only where there will be one.
        trains = any(ctx.needs_input_grad)
        before, n, inner = (torch.empty_like(out) if trains else out for _ in range(3))
        gates = x.new_empty(groups, count, 2 * size) if trains else out
        h = x.new_zeros(groups, sizes[0] if sizes else 0, size)
        at = 0
        for rows in sizes:
            here = slice(at, at + rows)
            h = h[:, :rows]
            if trains:
                before[:, here] = h
            s = torch.baddbmm(bias, h, weight)
            gate = (x[:, here, : 2 * size] + s[..., : 2 * size]).sigmoid_()
            new = torch.addcmul(x[:, here, 2 * size :], gate[..., :size], s[..., 2 * size :]).tanh_()
            h = torch.lerp(new, h, gate[..., size:])
            out[:, here] = h
            if trains:
                gates[:, here], n[:, here], inner[:, here] = gate, new, s[..., 2 * size :]
            at += rows
        ctx.save_for_backward(weight, before, gates, n, inner)
        ctx.sizes = sizes
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # type: ignore[override]
        weight, before, gates, n, inner = ctx.saved_tensors
        size = n.shape[-1]
        r, z = gates[..., :size], gates[..., size:]
        # What does not depend on later steps is computed for all of them at once.
        to_n = (1 - z) * (1 - n * n)
        to_z = (before - n) * z * (1 - z)
        to_r = to_n * inner * r * (1 - r)
        local = torch.cat([to_r, to_z, to_n * r], -1)
        back = weight.transpose(1, 2).contiguous()
        total = torch.empty_like(n)
        state = torch.empty_like(local)
        carried = grad.new_zeros(grad.shape[0], 0, size)
        at = grad.shape[1]
        for rows in reversed(ctx.sizes):
            here = slice(at - rows, at)
            g = grad[:, here].clone()
            g[:, : carried.shape[1]] += carried
            total[:, here] = g
            s = g.repeat(1, 1, 3).mul_(local[:, here])
            state[:, here] = s
            carried = torch.baddbmm(g * z[:, here], s, back)
            at -= rows
        by_x = torch.cat([state[..., : 2 * size], total * to_n], -1)
        return by_x, before.transpose(1, 2) @ state, state.sum(1, keepdim=True), None
