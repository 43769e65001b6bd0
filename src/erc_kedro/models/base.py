"""What every network is: ours, the baselines, and anybody's own (docs/adding-a-model.md)."""

from typing import Any

import torch
from torch import Tensor, nn

from erc_kedro.models.batch import Batch, Output
from erc_kedro.models.losses import supervised
from erc_kedro.parameters import LossParameters, ModelParameters, Parameters
from erc_kedro.schemas import MODALITIES


class Network(nn.Module):
    """A model that can be trained: ``forward`` maps a :class:`Batch` to an :class:`Output`.

    Padding, and the other dialogues of a batch, change no logit of a real utterance.

    Args:
        parameters: sizes and modalities, which a network may read; ``settings`` are its own.
        dimensions: D_m of text, audio and visual features.
        classes: C.

    Attributes:
        heads: names of its heads, of ``schemas.HEADS`` and in that order; the last is tav, the prediction.
        used: names of the modalities that it may see.
        settings: the values of its own parameters, a ``Settings``.
    """

    class Settings(Parameters):
        """A network's own parameters (``train.model.settings``); here alone they may have defaults."""

    heads: tuple[str, ...] = ("tav",)

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__()
        self.used = parameters.modalities
        self.settings: Any = self.Settings(**parameters.settings)

    def features(self, batch: Batch) -> list[Tensor]:
        """Three tensors [B, L, D_m], zero wherever a modality is absent or not used, NaN included."""
        seen = batch.seen(self.used)
        return [torch.where(seen[..., m : m + 1], x, 0.0) for m, x in enumerate(batch.features)]

    def loss(
        self, output: Output, batch: Batch, parameters: LossParameters, class_weight: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss of this network's output, and its terms, weighted and detached, by name.

        Here the sum over heads of cross-entropy; a single modality's head learns where it is present.

        Args:
            class_weight: [C] for ``class_weighting``, or None.
        """
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


class ClosedForm(Network):
    """A network that is not trained by steps."""

    def solve(self, train: Batch, val: Batch) -> float:
        """Sets the weights from training utterances; what is chosen, validation chooses.

        Returns:
            The mean cross-entropy over labelled training utterances.
        """
        raise NotImplementedError
