"""The cross-modal guided gate (docs/model.md#gates; the paper's idea, our equations)."""

import torch
from torch import Tensor, nn

from erc_kedro.models.layers import Dropout, GroupedLayerNorm, GroupedLinear, attend, select
from erc_kedro.parameters import ModelParameters

# The six directions n > m: each modality m (target) is strengthened by the two others n (source).
TARGET = (0, 0, 1, 1, 2, 2)
SOURCE = (1, 2, 0, 2, 0, 1)


class GuidedGates(nn.Module):
    """E_m = LN(H_m + sum over n of G_{n>m} * A_{n>m}), all six directions in one call."""

    def __init__(self, parameters: ModelParameters) -> None:
        super().__init__()
        size = parameters.hidden
        self.attention_heads, self.enabled = parameters.attention_heads, parameters.gates
        if self.enabled:
            self.q = GroupedLinear(6, size, size)
            self.kv = GroupedLinear(6, size, 2 * size)
            self.out = GroupedLinear(6, size, size)
            self.gate = GroupedLinear(6, 2 * size, size)
        self.norm = GroupedLayerNorm(3, size)
        self.dropout = Dropout(parameters.dropout)

    def forward(self, h: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor | None]:
        """h [3, B, L, d], allowed [3 (keys), B, L or 1, L] -> E [3, B, L, d] and G [6, B, L, d] or None."""
        shape = h.shape
        flat = h.flatten(1, 2)
        if not self.enabled:
            return self.norm(flat).view(shape), None
        target, source = select(flat, TARGET), select(flat, SOURCE)
        q = self.q(target).view(6, *shape[1:])
        k, v = self.kv(source).view(6, *shape[1:3], -1).chunk(2, -1)
        mask = allowed[list(SOURCE)]
        a = self.out(attend(q, k, v, mask, self.attention_heads).flatten(1, 2))
        # Where the source says nothing, its offset must not speak for it.
        a = a * mask.any(-1).expand(6, *shape[1:3]).reshape(6, -1, 1)
        g = torch.sigmoid(self.gate(torch.cat([target, a], -1)))
        e = flat + self.dropout((g * a).view(3, 2, *flat.shape[1:]).sum(1))
        return self.norm(e).view(shape), g.view(6, *shape[1:])
