"""MMGCN: one deep graph over all utterances and modalities of a dialogue (Hu et al., ACL 2021)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from erc_kedro.models.base import Network
from erc_kedro.models.batch import Batch, Output
from erc_kedro.models.encoders import MAX_SPEAKERS
from erc_kedro.models.layers import Dropout
from erc_kedro.parameters import ModelParameters

# Of the released code: the share of H(0) in each layer, and how fast the layers' weights fade with depth.
ALPHA, LAMBDA = 0.1, 0.5


class Mmgcn(Network):
    """Nodes are (utterance, modality); they exchange features over ``layers`` graph convolutions.

    Hu et al., "MMGCN: Multimodal Fusion via Deep Graph Convolution Network for Emotion Recognition in
    Conversation", ACL 2021:

    - encoders: x_t = BiLSTM(W_t u_t), x_a = W_a u_a, x_v = W_v u_v, and to each the speaker's embedding;
    - graph: :func:`connect`; learning: :class:`GraphConvolution`;
    - classifier: softmax(W ReLU([x_t, x_a, x_v, g_t, g_a, g_v])), x being a node's first features and g its
      last.

    Different here: speakers are numbered within the dialogue instead of known by name, and added to all
    three modalities (the released code adds them to text alone); one size, ``hidden``, throughout; an absent
    modality has no node, and zeros in the classifier's input. The released command asks for 4 layers and
    dropout .4; its code builds 64 layers whatever it is asked, of sizes 200 and 100.
    """

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__(parameters, dimensions, classes)
        size = parameters.hidden
        self.inputs = nn.ModuleList(nn.Linear(dimension, size) for dimension in dimensions)
        self.lstm = nn.LSTM(
            size, size // 2, 2, batch_first=True, bidirectional=True, dropout=parameters.dropout
        )
        self.speaker = nn.Parameter(torch.randn(MAX_SPEAKERS, size) * 0.02)
        self.initial = nn.Linear(size, size)
        self.layers = nn.ModuleList(GraphConvolution(size, depth + 1) for depth in range(parameters.layers))
        self.dropout = Dropout(parameters.dropout)
        self.classifier = nn.Linear(6 * size, classes)

    def forward(self, batch: Batch) -> Output:
        here = batch.seen(self.used).permute(2, 0, 1)
        text, audio, visual = (m(x) for m, x in zip(self.inputs, self.features(batch), strict=True))
        x = torch.stack([self._run(text, batch.valid), audio, visual])
        x = x + self.speaker[batch.speaker.clamp(0, MAX_SPEAKERS - 1)]
        within, across = connect(x, here)
        h = initial = F.relu(self.initial(self.dropout(x)))
        for layer in self.layers:
            h = F.relu(layer(self.dropout(h), initial, within, across))
        nodes = torch.cat([x, h]) * here.repeat(2, 1, 1)[..., None]
        joined = nodes.permute(1, 2, 0, 3).flatten(2)
        return Output(self.classifier(F.relu(self.dropout(joined)))[None])

    def _run(self, text: Tensor, valid: Tensor) -> Tensor:
        """[B, L, d] -> [B, L, d]; a dialogue without utterances runs over one step of its padding."""
        lengths = valid.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(text, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=text.shape[1])[0]


def connect(x: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
    """The adjacency D^-1/2 A D^-1/2 in its two kinds of blocks.

    A_ij = 1 - arccos(cos(x_i, x_j)) / pi joins all utterances of a dialogue in one modality, each with
    itself included, and all modalities of one utterance. As in the released code, the latter have no further
    weight.

    Args:
        x: [M, B, L, d]; here: bool [M, B, L], which nodes there are.
    Returns:
        Within modalities [M, B, L, L] and across them [B, L, M, M]; 0 where there is no edge.
    """
    unit = F.normalize(x, dim=-1)
    within = _similarity(unit) * (here[..., :, None] & here[..., None, :])
    both = here.permute(1, 2, 0)
    others = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    across = _similarity(unit.permute(1, 2, 0, 3)) * (both[..., :, None] & both[..., None, :] & others)
    degree = within.sum(-1) + across.sum(-1).permute(2, 0, 1)
    scale = torch.where(here, degree, 1.0).rsqrt()
    within = within * scale[..., :, None] * scale[..., None, :]
    scale = scale.permute(1, 2, 0)
    return within, across * scale[..., :, None] * scale[..., None, :]


def _similarity(unit: Tensor) -> Tensor:
    """Angular similarity [..., N, N] of unit vectors [..., N, d]."""
    # The gradient of arccos is infinite at 1, where each vector meets itself; the factor is the authors'.
    return 1 - torch.acos(unit @ unit.transpose(-1, -2) * 0.99999) / math.pi


class GraphConvolution(nn.Module):
    """H(l) = ((1 - alpha) P H(l-1) + alpha H(0)) ((1 - beta) I + beta W), beta = log(lambda / l + 1).

    That is GCNII (Chen et al., ICML 2020), as in the paper; the released code gives P H and H(0) a W each.
    """

    def __init__(self, size: int, depth: int) -> None:
        super().__init__()
        self.beta = math.log(LAMBDA / depth + 1)
        self.weight = nn.Linear(size, size, bias=False)

    def forward(self, h: Tensor, initial: Tensor, within: Tensor, across: Tensor) -> Tensor:
        """h, initial [M, B, L, d] and P of :func:`connect` -> [M, B, L, d], before its ReLU."""
        passed = within @ h + torch.einsum("blmn,nbld->mbld", across, h)
        mixed = (1 - ALPHA) * passed + ALPHA * initial
        return (1 - self.beta) * mixed + self.beta * self.weight(mixed)
