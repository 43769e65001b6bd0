"""Classifiers of single utterances: what fusion alone, without dialogue context, can tell."""

import torch
from torch import Tensor, nn

from erc_kedro.models.base import Network
from erc_kedro.models.baselines.base import Projection, used
from erc_kedro.models.batch import Batch, Output
from erc_kedro.parameters import ModelParameters
from erc_kedro.schemas import MODALITIES


def mlp(inputs: int, parameters: ModelParameters, classes: int) -> nn.Sequential:
    """``layers`` hidden layers, each with ReLU and dropout, and a linear output: inputs -> C."""
    sizes = [inputs] + [parameters.hidden] * parameters.layers
    hidden = [
        layer
        for size in sizes[:-1]
        for layer in (nn.Linear(size, parameters.hidden), nn.ReLU(), nn.Dropout(parameters.dropout))
    ]
    return nn.Sequential(*hidden, nn.Linear(parameters.hidden, classes))


class ConcatMlp(Network):
    """Early fusion: an MLP over the concatenated projections of one utterance's modalities."""

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__(parameters, dimensions, classes)
        dimensions = used(self.used, dimensions)
        self.inputs = Projection(dimensions, parameters.hidden, parameters.dropout)
        self.mlp = mlp(len(dimensions) * parameters.hidden, parameters, classes)

    def forward(self, batch: Batch) -> Output:
        return Output(self.mlp(self.inputs(used(self.used, self.features(batch))))[None])


class LateFusion(Network):
    """Decision fusion: one MLP per modality, and the mean of the probabilities of those present.

    Each MLP learns from its own head and, through the mean, from tav; classical late fusion trains them
    apart. The head of a modality that is not used is constant.
    """

    heads = ("t", "a", "v", "tav")

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__(parameters, dimensions, classes)
        self.classes = classes
        self.experts = nn.ModuleDict(
            {
                name: mlp(size, parameters, classes)
                for name, size in zip(MODALITIES, dimensions, strict=True)
                if name in self.used
            }
        )

    def forward(self, batch: Batch) -> Output:
        singles = torch.stack(
            [
                self.experts[name](x) if name in self.used else x.new_zeros(*x.shape[:2], self.classes)
                for name, x in zip(MODALITIES, self.features(batch), strict=True)
            ]
        )
        return Output(torch.cat([singles, self._mean(singles, batch)[None]]))

    def _mean(self, singles: Tensor, batch: Batch) -> Tensor:
        """Logits [3, B, L, C] -> log of the mean probability [B, L, C]."""
        votes = batch.seen(self.used).permute(2, 0, 1)[..., None]
        # Of nothing there is no mean: then all vote, on what they learnt to say to an absent modality.
        votes = votes | ~votes.any(0)
        # In logarithms, so that a probability that underflows has one still.
        log = singles.log_softmax(-1).masked_fill(~votes, -torch.inf)
        return log.logsumexp(0) - votes.sum(0).log()
