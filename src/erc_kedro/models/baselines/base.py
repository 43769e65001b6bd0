"""What the baselines share."""

from collections.abc import Collection, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from erc_kedro.models.batch import Batch, Network, Output
from erc_kedro.models.losses import supervised
from erc_kedro.parameters import LossParameters, ModelParameters
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


class Baseline(Network):
    """A network with a prediction head, ``tav``, and whatever other heads its paper trains.

    Args:
        parameters: sizes and modalities; switches of the gated fusion network are not read.
        dimensions: D_m of text, audio and visual features.
        classes: C.
    """

    heads: tuple[str, ...] = ("tav",)

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__()
        self.used = parameters.modalities

    def features(self, batch: Batch) -> list[Tensor]:
        """Three tensors [B, L, D_m], zero wherever a modality is absent or not used, NaN included."""
        seen = batch.seen(self.used)
        return [torch.where(seen[..., m : m + 1], x, 0.0) for m, x in enumerate(batch.features)]

    def loss(
        self, output: Output, batch: Batch, parameters: LossParameters, class_weight: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum over heads of cross-entropy; a single modality's head learns where it is present."""
        label = torch.where(batch.valid, batch.label, -1).flatten()
        seen = batch.seen(self.used)
        mask = torch.stack(
            [
                seen[..., [name[0] for name in MODALITIES].index(head)] if len(head) == 1 else batch.valid
                for head in self.heads
            ]
        ).flatten(1)
        ce = supervised(
            output.logits.flatten(1, 2),
            label,
            mask,
            class_weight,
            parameters.focal_gamma,
            parameters.label_smoothing,
        )
        terms = dict(zip((f"label_{head}" for head in self.heads), ce, strict=True))
        return ce.sum(), {name: term.detach() for name, term in terms.items()}


class ClosedForm(Baseline):
    """A baseline that is not trained by steps."""

    def solve(self, train: Batch, val: Batch) -> float:
        """Sets the weights from training utterances; what is chosen, validation chooses.

        Returns:
            The mean cross-entropy over labelled training utterances.
        """
        raise NotImplementedError
