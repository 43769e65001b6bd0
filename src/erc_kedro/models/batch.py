"""What every network takes, yields and answers to."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erc_kedro.parameters import LossParameters
from erc_kedro.schemas import MODALITIES


@dataclass
class Batch:
    """Dialogues side by side.

    Attributes:
        features: three tensors [B, L, D_m], in the order text, audio, visual.
        present: bool [B, L, 3], the modality is really there; False at padding.
        valid: bool [B, L], a real utterance, not padding.
        speaker: int64 [B, L], the speaker's number by first appearance in the dialogue.
        label: int64 [B, L], the class, or -1 where there is none.
        row: int64 [B, L], the utterance's row in its table, or -1 at padding.
    """

    features: list[Tensor]
    present: Tensor
    valid: Tensor
    speaker: Tensor
    label: Tensor
    row: Tensor

    def seen(self, modalities: Collection[str]) -> Tensor:
        """``present`` [B, L, 3] as a network sees it that uses only these modalities."""
        used = torch.tensor([name in modalities for name in MODALITIES], device=self.present.device)
        return self.present & self.valid[..., None] & used


@dataclass
class Output:
    """What a forward pass yields.

    Attributes:
        logits: [R, B, L, C], one row a head, in the order of the network's ``heads``; the last is tav.

    Only of the gated fusion network, None elsewhere or where switched off:

    Attributes:
        representations: E_t, E_a, E_v, F_ta, F_tv, F_av, F_tav: [7, B, L, d].
        gates: G [6, B, L, d] (``gates.TARGET``, ``gates.SOURCE``).
        alpha, beta: [3, B, L, d] for ta, tv, av.
        weights: [6, B, L, d] for ta, tv, av, t, a, v.
    """

    logits: Tensor
    representations: Tensor | None = None
    gates: Tensor | None = None
    alpha: Tensor | None = None
    beta: Tensor | None = None
    weights: Tensor | None = None


class Network(nn.Module):
    """A model that can be trained: ``forward`` maps a :class:`Batch` to an :class:`Output`.

    Attributes:
        heads: names of its heads, of ``schemas.HEADS`` and in that order; the last is tav, the prediction.
    """

    heads: tuple[str, ...]

    def loss(
        self, output: Output, batch: Batch, parameters: LossParameters, class_weight: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss of this network's output, and its terms, weighted and detached, by name.

        Args:
            class_weight: [C] for ``class_weighting``, or None.
        """
        raise NotImplementedError
