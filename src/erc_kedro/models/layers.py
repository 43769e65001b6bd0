"""Layers that hold one set of weights per group (modality, pair or head) and run all groups in one call."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GroupedLinear(nn.Module):
    """G linear maps side by side: [G, N, inputs] -> [G, N, outputs]."""

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(groups, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(groups, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class GroupedLayerNorm(nn.Module):
    """Layer normalisation of [G, N, d] with a gain and bias per group."""

    def __init__(self, groups: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(groups, 1, size))
        self.bias = nn.Parameter(torch.zeros(groups, 1, size))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:]) * self.weight + self.bias


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, heads: int, dropout: float) -> Tensor:
    """Multi-head attention of G groups; a query that may attend to nothing yields zeros.

    Args:
        q, k, v: [G, B, L, d].
        allowed: bool, broadcastable to [G, B, L (query), L (key)].
        dropout: the chance that an attention weight is dropped; 0 when evaluating.
    Returns:
        [G, B, L, d].
    """
    groups, batch, length, size = q.shape

    def split(x: Tensor) -> Tensor:
        return x.reshape(groups * batch, length, heads, size // heads).transpose(1, 2)

    allowed = allowed.expand(groups, batch, length, length)
    some = allowed.any(-1, keepdim=True)
    # A row without keys would be softmax over nothing (NaN); it is opened here and zeroed below.
    mask = (allowed | ~some).reshape(groups * batch, 1, length, length)
    out = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask, dropout_p=dropout)
    return out.transpose(1, 2).reshape(groups, batch, length, size) * some
