"""The network: context, guided gates, guided fusion, seven heads (model.md, forward)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erc_kedro.models.encoders import GruContext, Inputs, TransformerContext
from erc_kedro.models.fusion import PairFusion, TrimodalFusion
from erc_kedro.models.gates import GuidedGates
from erc_kedro.models.layers import GroupedLinear
from erc_kedro.parameters import ModelParameters


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


@dataclass
class Output:
    """What a forward pass yields; representations and heads are ordered t, a, v, ta, tv, av, tav.

    Attributes:
        logits: [7, B, L, C].
        representations: E_t, E_a, E_v, F_ta, F_tv, F_av, F_tav: [7, B, L, d].
        gates: G [6, B, L, d] (``gates.TARGET``, ``gates.SOURCE``), or None when switched off.
        alpha, beta: [3, B, L, d] for ta, tv, av, or None.
        weights: [6, B, L, d] for ta, tv, av, t, a, v, or None.
    """

    logits: Tensor
    representations: Tensor
    gates: Tensor | None
    alpha: Tensor | None
    beta: Tensor | None
    weights: Tensor | None


class GatedFusionNetwork(nn.Module):
    """Cross-modal gated fusion after Zhao, Ren and Zhou (2025), as read in model.md.

    Args:
        parameters: the switches and sizes.
        dimensions: D_m of text, audio and visual features.
        classes: C.
    """

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__()
        self.parameters_of_model = parameters
        size = parameters.hidden
        self.inputs = Inputs(dimensions, size, parameters.dropout)
        context = TransformerContext if parameters.context == "transformer" else GruContext
        self.context = context(parameters, 3)
        self.gates = GuidedGates(parameters)
        self.pairs = PairFusion(parameters)
        self.trimodal = TrimodalFusion(parameters)
        self.dropout = nn.Dropout(parameters.dropout)
        self.heads = GroupedLinear(7, size, classes)
        # Pi and Q of the loss: only training calls them.
        self.consistency = GroupedLinear(6, size, size)
        self.redundancy = GroupedLinear(3, size, size)

    def forward(self, batch: Batch) -> Output:
        present = batch.present & batch.valid[..., None]
        for index, modality in enumerate(("text", "audio", "visual")):
            if modality not in self.parameters_of_model.modalities:
                present = present & (torch.arange(3, device=present.device) != index)
        length = present.shape[1]
        allowed = present.permute(2, 0, 1)[:, :, None, :]
        if self.parameters_of_model.causal:
            past = torch.ones(length, length, dtype=torch.bool, device=present.device).tril()
            allowed = allowed & past
        else:
            allowed = allowed.expand(-1, -1, length, -1)
        z = self.inputs(batch.features, present)
        h = self.context(z, batch.speaker, present, batch.valid, allowed)
        e, gates = self.gates(h, allowed)
        pairs, alpha, beta = self.pairs(e)
        tav, weights = self.trimodal(pairs, e, present)
        representations = torch.cat([e, pairs, tav[None]])
        logits = self.heads(self.dropout(representations).flatten(1, 2))
        return Output(
            logits.view(*representations.shape[:3], -1), representations, gates, alpha, beta, weights
        )
