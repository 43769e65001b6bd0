"""Layers that hold one set of weights per group (modality, pair or head) and run all groups in one call."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Utterances that attend at a time, so that memory grows with a dialogue's length, not with its square.
QUERIES = 512


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


class Dropout(nn.Module):
    """Dropout whose mask comes from random bytes; torch's own takes five times as long on a CPU.

    The rate is rounded to the nearest 256th; what is kept is scaled by the rounded one.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped = round(256 * rate)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return x
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept * (256 / (256 - self.dropped))


def select(x: Tensor, groups: Sequence[int]) -> Tensor:
    """``x[list(groups)]`` along the first axis; the gradient of indexing is slow, this one's is not."""
    parts = x.unbind()
    return torch.stack([parts[group] for group in groups])


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, heads: int) -> Tensor:
    """Multi-head attention of G groups; a query that may attend to nothing yields zeros.

    Weights are not dropped: that would rule out torch's fused kernel, and what attention yields is dropped.

    Args:
        q, k, v: [G, B, L, d].
        allowed: bool [G, B, L (query), L (key)], or [G, B, 1, L] for the same keys to every query, which
            takes memory by a dialogue's length and not by its square.
    Returns:
        [G, B, L, d].
    """
    length, whole = q.shape[2], allowed.shape[2] == 1
    some = allowed.flatten(1).any(1)
    if some.any() and not some.all():
        # Of a chat nobody is heard or seen: groups whose keys are all absent yield zeros without the work.
        out = torch.zeros_like(q)
        out[some] = attend(q[some], k[some], v[some], allowed[some], heads)
        return out
    parts = []
    for first in range(0, length, QUERIES):
        part = slice(first, first + QUERIES)
        parts.append(_attend(q[:, :, part], k, v, allowed if whole else allowed[:, :, part], heads))
    return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]


def _attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, heads: int) -> Tensor:
    groups, batch, queries, size = q.shape

    def split(x: Tensor) -> Tensor:
        return x.reshape(groups * batch, x.shape[2], heads, size // heads).transpose(1, 2)

    some = allowed.any(-1, keepdim=True)
    # A row without keys would be softmax over nothing (NaN); it is opened here and zeroed below.
    mask = (allowed | ~some).reshape(groups * batch, 1, -1, k.shape[2])
    out = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask)
    return out.transpose(1, 2).reshape(groups, batch, queries, size) * some
