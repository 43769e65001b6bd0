"""What every network takes and yields."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

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
