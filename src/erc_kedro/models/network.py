"""The network: context, guided gates and fusion, a linear path beside them, seven heads (docs/model.md)."""

from dataclasses import replace

import torch
from torch import Tensor

from erc_kedro.models import losses
from erc_kedro.models.base import Network
from erc_kedro.models.batch import Batch, Output
from erc_kedro.models.encoders import GruContext, Inputs, TransformerContext
from erc_kedro.models.fusion import PairFusion, TrimodalFusion
from erc_kedro.models.gates import GuidedGates
from erc_kedro.models.layers import Dropout, GroupedLinear
from erc_kedro.models.linear import LinearPath
from erc_kedro.parameters import LossParameters, ModelParameters
from erc_kedro.schemas import HEADS


class GatedFusionNetwork(Network):
    """Cross-modal gated fusion after Zhao, Ren and Zhou (2025), as docs/model.md reads it.

    Args:
        parameters: the switches and sizes.
        dimensions: D_m of text, audio and visual features.
        classes: C.
    """

    heads = HEADS

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__(parameters, dimensions, classes)
        self.parameters_of_model = parameters
        size = parameters.hidden
        self.inputs = Inputs(dimensions, size, parameters.dropout)
        encoder = TransformerContext if parameters.context_encoder == "transformer" else GruContext
        self.context = encoder(parameters, 3)
        self.gates = GuidedGates(parameters)
        self.pairs = PairFusion(parameters)
        self.trimodal = TrimodalFusion(parameters)
        self.dropout = Dropout(parameters.dropout)
        self.classifiers = GroupedLinear(len(HEADS), size, classes)
        self.linear = LinearPath(parameters, dimensions, classes) if parameters.linear_path else None
        # Pi and Q of the loss: only training calls them.
        self.consistency = GroupedLinear(6, size, size)
        self.redundancy = GroupedLinear(3, size, size)

    def forward(self, batch: Batch) -> Output:
        present = batch.seen(self.parameters_of_model.modalities)
        length = present.shape[1]
        allowed = present.permute(2, 0, 1)[:, :, None, :]
        if self.parameters_of_model.causal:
            past = torch.ones(length, length, dtype=torch.bool, device=present.device).tril()
            allowed = allowed & past
        z = self.inputs(batch.features, present)
        h = self.context(z, batch.speaker, present, batch.valid, allowed)
        e, gates = self.gates(h, allowed)
        pairs, alpha, beta = self.pairs(e)
        tav, weights = self.trimodal(pairs, e, present)
        representations = torch.cat([e, pairs, tav[None]])
        logits = self.classifiers(self.dropout(representations).flatten(1, 2))
        logits = logits.view(*representations.shape[:3], -1)
        if self.linear is not None:
            logits = logits + self.linear(self.features(batch))
        return Output(logits, representations, gates, alpha, beta, weights)

    def loss(
        self, output: Output, batch: Batch, parameters: LossParameters, class_weight: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """:func:`losses.total` of this network's output."""
        batch = replace(batch, present=batch.seen(self.parameters_of_model.modalities))
        return losses.total(output, batch, parameters, self.consistency, self.redundancy, class_weight)
