"""SDT: intra- and inter-modal transformers with self-distillation (Ma et al., IEEE TMM 2023)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from erc_kedro.models.base import Network
from erc_kedro.models.batch import Batch, Output
from erc_kedro.models.encoders import MAX_SPEAKERS, sinusoids
from erc_kedro.models.layers import Dropout, GroupedLayerNorm, GroupedLinear, attend, select
from erc_kedro.models.losses import distilled
from erc_kedro.parameters import LossParameters, ModelParameters

# The nine transformers: each modality (target) attends to each (source), itself included.
TARGET = (0, 0, 0, 1, 1, 1, 2, 2, 2)
SOURCE = (0, 1, 2, 0, 1, 2, 0, 1, 2)


class Sdt(Network):
    """Ma et al., "A Transformer-based Model with Self-distillation for Multimodal ERC", IEEE TMM 2023.

    - z_m = W_m u_m + position + speaker (the paper's convolution of kernel 1 is this linear map);
    - H_{n>m} = transformer with queries of z_m and keys of z_n: intra-modal where n = m, else inter-modal;
    - unimodal gates: H'_m = W [g(H_{t>m}), g(H_{a>m}), g(H_{v>m})], g(H) = sigmoid(W H) * H;
    - multimodal gates: H' = sum over m of softmax_m(W H'_m) * H'_m, per channel;
    - heads of H'_t, H'_a, H'_v, the students, and of H', their teacher and the prediction.

    Different here: speakers are numbered within the dialogue; absent modalities are masked as keys, left out
    of the multimodal gates and their students untrained; gates have an offset (and are learned on MELD too,
    where the released code fixes their W to I). That code has one layer of size 1024 with 8 heads and
    dropout .5. With more ``layers`` than one, keys stay those of z_n.
    """

    heads = ("t", "a", "v", "tav")

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__(parameters, dimensions, classes)
        size = parameters.hidden
        self.inputs = nn.ModuleList(nn.Linear(dimension, size, bias=False) for dimension in dimensions)
        self.speaker = nn.Parameter(torch.randn(MAX_SPEAKERS, size) * 0.02)
        self.layers = nn.ModuleList(Layer(parameters) for _ in range(parameters.layers))
        self.gate = GroupedLinear(9, size, size)
        self.reduce = GroupedLinear(3, 3 * size, size)
        self.weigh = nn.Linear(size, size, bias=False)
        self.dropout = Dropout(parameters.dropout)
        self.students = GroupedLinear(3, size, classes)
        self.teacher = nn.Linear(size, classes)

    def forward(self, batch: Batch) -> Output:
        seen = batch.seen(self.used).permute(2, 0, 1)
        z = torch.stack([m(x) for m, x in zip(self.inputs, self.features(batch), strict=True)])
        _, count, length, size = z.shape
        codes = sinusoids(length, size, z.device) + self.speaker[batch.speaker.clamp(0, MAX_SPEAKERS - 1)]
        z = self.dropout(z + codes)
        h, source = select(z, TARGET), select(z, SOURCE)
        allowed = select(seen, SOURCE)[:, :, None, :]
        for layer in self.layers:
            h = layer(h, source, allowed)
        h = h.flatten(1, 2)
        h = torch.sigmoid(self.gate(h)) * h
        singles = self.reduce(h.view(3, 3, -1, size).transpose(1, 2).flatten(2))
        here = seen.reshape(3, -1, 1)
        # An utterance without any modality still has its context; it keeps all three.
        here = here | ~here.any(0)
        fused = (self.weigh(singles).masked_fill(~here, float("-inf")).softmax(0) * singles).sum(0)
        students = self.students(self.dropout(F.relu(singles)))
        return Output(torch.cat([students, self.teacher(fused)[None]]).view(4, count, length, -1))

    def loss(
        self, output: Output, batch: Batch, parameters: LossParameters, class_weight: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of teacher and students, and KL(teacher || student) of each student, all weighted 1.

        The authors' code weights the three gammas 1 and has no factor T^2; its T is 1 on IEMOCAP and 8 on
        MELD. It lets the KL's gradient into the teacher too; here, as in :func:`distilled`, it is stopped.
        """
        loss, terms = super().loss(output, batch, parameters, class_weight)
        logits = output.logits.flatten(1, 2)
        mask = batch.seen(self.used).permute(2, 0, 1).flatten(1)
        kl = distilled(logits[3:].expand(3, -1, -1), logits[:3], mask, parameters.temperature).sum()
        kl = kl / parameters.temperature**2
        return loss + kl, {**terms, "teacher_to_single": kl.detach()}


class Layer(nn.Module):
    """Nine transformer layers side by side; as in the authors' code only the feed-forward part normalises."""

    def __init__(self, parameters: ModelParameters) -> None:
        super().__init__()
        size = parameters.hidden
        self.attention_heads = parameters.attention_heads
        self.q = GroupedLinear(9, size, size)
        self.kv = GroupedLinear(9, size, 2 * size)
        self.out = GroupedLinear(9, size, size)
        self.norm = GroupedLayerNorm(9, size)
        self.up = GroupedLinear(9, size, size)
        self.down = GroupedLinear(9, size, size)
        self.dropout = Dropout(parameters.dropout)

    def forward(self, h: Tensor, source: Tensor, allowed: Tensor) -> Tensor:
        """h (queries), source (keys) [9, B, L, d]; allowed [9, B, 1, L] -> [9, B, L, d]."""
        shape = h.shape
        h = h.flatten(1, 2)
        q = self.q(h).view(shape)
        k, v = self.kv(source.flatten(1, 2)).view(*shape[:3], -1).chunk(2, -1)
        h = h + self.dropout(self.out(attend(q, k, v, allowed, self.attention_heads).flatten(1, 2)))
        up = self.dropout(F.gelu(self.up(self.norm(h))))
        return (h + self.dropout(self.down(up))).view(shape)
