"""What the baselines share."""

from collections.abc import Collection, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from erc_kedro.schemas import MODALITIES

T = TypeVar("T")


def used(modalities: Collection[str], each: Sequence[T]) -> list[T]:
    """Those of text, audio and visual that a network uses, always in that order."""
    return [item for name, item in zip(MODALITIES, each, strict=True) if name in modalities]


class Projection(nn.Module):
    """Maps each modality to d before they are concatenated: Dropout(W_m x_m + b_m).

    Papers concatenate raw features, in which 1582 acoustic numbers would drown a sentence vector.
    """

    def __init__(self, dimensions: list[int], hidden: int, dropout: float) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(size, hidden) for size in dimensions)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: list[Tensor]) -> Tensor:
        """M tensors [B, L, D_m] -> [B, L, M d]."""
        return self.dropout(
            torch.cat([project(x) for project, x in zip(self.maps, features, strict=True)], -1)
        )
