"""Fusion of pairs under the third modality's guide, and of all three (docs/model.md#fusion)."""

import torch
from torch import Tensor, nn

from erc_kedro.models.layers import GroupedLayerNorm, GroupedLinear, select
from erc_kedro.parameters import ModelParameters

# The pairs ta, tv, av, and for each the guide that is not in it.
FIRST = (0, 0, 1)
SECOND = (1, 2, 2)
GUIDE = (2, 1, 0)


class PairFusion(nn.Module):
    """F_p = LN(alpha * V E_m + (1 - alpha) * V' E_n + beta * U P), guided by E_k.

    alpha = sigmoid(W [E_m; E_n; E_k]); P = tanh(W1 E_m) * tanh(W2 E_n); beta = sigmoid(W [E_k; P]).
    That a third modality guides a pair is the paper's idea; the equations and guide dropout are ours.
    """

    def __init__(self, parameters: ModelParameters) -> None:
        super().__init__()
        size = parameters.hidden
        self.gated, self.guided = parameters.fusion == "gated", parameters.guide
        self.guide_dropout = parameters.guide_dropout
        if self.gated:
            self.null_guide = nn.Parameter(torch.randn(3, 1, size) * 0.02)
            # [V; W1] of the first and [V'; W2] of the second member.
            self.first = GroupedLinear(3, size, 2 * size)
            self.second = GroupedLinear(3, size, 2 * size)
            self.alpha = GroupedLinear(3, 3 * size, size)
            self.beta = GroupedLinear(3, 2 * size, size)
            self.product = GroupedLinear(3, size, size)
        else:
            self.concat = GroupedLinear(3, 2 * size, size)
        self.norm = GroupedLayerNorm(3, size)

    def forward(self, e: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """e [3, B, L, d] -> F [3 (ta, tv, av), B, L, d], alpha and beta of that shape (None for concat)."""
        shape = e.shape
        first, second = select(e, FIRST).flatten(1, 2), select(e, SECOND).flatten(1, 2)
        if not self.gated:
            return self.norm(self.concat(torch.cat([first, second], -1))).view(shape), None, None
        guide = self._guide(e)
        alpha = torch.sigmoid(self.alpha(torch.cat([first, second, guide], -1)))
        v1, w1 = self.first(first).chunk(2, -1)
        v2, w2 = self.second(second).chunk(2, -1)
        product = torch.tanh(w1) * torch.tanh(w2)
        beta = torch.sigmoid(self.beta(torch.cat([guide, product], -1)))
        fused = self.norm(alpha * v1 + (1 - alpha) * v2 + beta * self.product(product))
        return fused.view(shape), alpha.view(shape), beta.view(shape)

    def _guide(self, e: Tensor) -> Tensor:
        groups, batch, length, size = e.shape
        null = self.null_guide.expand(3, batch * length, size)
        if not self.guided:
            return null
        guide = select(e, GUIDE).flatten(1, 2)
        if self.training and self.guide_dropout > 0:
            kept = torch.rand(groups, batch, 1, 1, device=e.device) >= self.guide_dropout
            guide = torch.where(kept.expand(groups, batch, length, 1).reshape(groups, -1, 1), guide, null)
        return guide


class TrimodalFusion(nn.Module):
    """F_tav = LN(sum of r in {ta, tv, av, t, a, v}, weighted per channel by a softmax over r)."""

    def __init__(self, parameters: ModelParameters) -> None:
        super().__init__()
        size = parameters.hidden
        self.gated = parameters.fusion == "gated"
        self.map = GroupedLinear(6, size, size) if self.gated else nn.Linear(6 * size, size)
        self.norm = nn.LayerNorm(size)

    def forward(self, pairs: Tensor, singles: Tensor, present: Tensor) -> tuple[Tensor, Tensor | None]:
        """pairs, singles [3, B, L, d]; present [B, L, 3] -> F_tav [B, L, d], weights [6, B, L, d] or None."""
        parts = torch.cat([pairs, singles])
        shape = parts.shape
        if not self.gated:
            return self.norm(self.map(parts.permute(1, 2, 0, 3).flatten(2))), None
        scores = self.map(parts.flatten(1, 2)).view(shape)
        here = represented(present)
        # An utterance without any modality keeps all of its (null) parts.
        here = here | ~here.any(0)
        weights = scores.masked_fill(~here[..., None], float("-inf")).softmax(0)
        return self.norm((weights * parts).sum(0)), weights


def represented(present: Tensor) -> Tensor:
    """Which of ta, tv, av, t, a, v rest on at least one present modality: [B, L, 3] -> bool [6, B, L]."""
    singles = present.permute(2, 0, 1)
    return torch.cat([singles[list(FIRST)] | singles[list(SECOND)], singles])
