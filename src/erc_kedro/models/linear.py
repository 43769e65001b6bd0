"""The linear path beside the network: what each modality's own features say (docs/model.md#linear-path)."""

import torch
from torch import Tensor, nn

from erc_kedro.models.layers import Dropout
from erc_kedro.parameters import ModelParameters


class LinearPath(nn.Module):
    """Logits of every head that are linear in the features of the modalities that the head may see.

    They begin as zeros, so that the network around them begins as it would without them.
    """

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__()
        self.dropout = Dropout(parameters.dropout)
        # Of each modality to its own head, the two pairs that it is in, and tav: jointly fitted weights of
        # tav are not the sum of those that fit a modality alone.
        self.weights = nn.ParameterList(torch.zeros(size, 4 * classes) for size in dimensions)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Three tensors [B, L, D_m], zero where absent -> [7, B, L, C] in the order of ``HEADS``."""
        t, a, v = (
            (self.dropout(x) @ weight).unflatten(-1, (4, -1)).unbind(-2)
            for weight, x in zip(self.weights, features, strict=True)
        )
        pairs = (t[1] + a[1], t[2] + v[1], a[2] + v[2])
        return torch.stack([t[0], a[0], v[0], *pairs, t[3] + a[3] + v[3]])
