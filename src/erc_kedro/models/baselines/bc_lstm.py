"""bc-LSTM (Poria et al., ACL 2017): bidirectional LSTMs over the dialogue, per modality and then over all."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from erc_kedro.models.base import Network
from erc_kedro.models.baselines.base import used
from erc_kedro.models.batch import Batch, Output
from erc_kedro.parameters import ModelParameters


class BcLstm(Network):
    """The hierarchical variant: contextual features of each modality are concatenated and contextualised.

    Unlike in the paper, both levels are trained together; there, the LSTM of each modality is trained first
    and the second level is given its fixed features. Nothing knows the speaker. An absent modality is a
    zero vector in its sequence.
    """

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__(parameters, dimensions, classes)
        dimensions = used(self.used, dimensions)
        self.singles = nn.ModuleList(ContextualLstm(size, parameters) for size in dimensions)
        self.fused = ContextualLstm(len(dimensions) * parameters.hidden, parameters)
        self.out = nn.Linear(parameters.hidden, classes)

    def forward(self, batch: Batch) -> Output:
        # A sequence of no steps cannot be packed; an empty dialogue runs over one of its padding.
        lengths = batch.valid.sum(1).clamp(min=1).cpu()
        features = used(self.used, self.features(batch))
        singles = [lstm(x, lengths) for lstm, x in zip(self.singles, features, strict=True)]
        return Output(self.out(self.fused(torch.cat(singles, -1), lengths))[None])


class ContextualLstm(nn.Module):
    """The paper's contextual LSTM: d units in each direction, and a dense layer of d with ReLU."""

    def __init__(self, inputs: int, parameters: ModelParameters) -> None:
        super().__init__()
        size, layers = parameters.hidden, parameters.layers
        between = parameters.dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(inputs, size, layers, batch_first=True, bidirectional=True, dropout=between)
        self.dense = nn.Linear(2 * size, size)
        self.dropout = nn.Dropout(parameters.dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x [B, L, D], lengths [B] -> [B, L, d]."""
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        h, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])
        return self.dropout(self.dense(self.dropout(h)).relu())
