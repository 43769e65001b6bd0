"""Context encoders, one per modality (model.md, forward 1)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from erc_kedro.models.layers import GroupedLayerNorm, GroupedLinear, attend
from erc_kedro.parameters import ModelParameters

# Speakers are numbered by first appearance; a dialogue with more shares the last row.
MAX_SPEAKERS = 16


def sinusoids(length: int, size: int, device: torch.device) -> Tensor:
    """Position codes [length, size] of Vaswani et al. (2017), so that no length is too long."""
    rates = torch.exp(torch.arange(0, size, 2, device=device) * (-math.log(10000.0) / size))
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)


class Inputs(nn.Module):
    """Projects each modality to d: Dropout(LN(W_m X_m)); an absent one becomes a learned null vector."""

    def __init__(self, dimensions: list[int], hidden: int, dropout: float) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(size, hidden) for size in dimensions)
        self.norm = GroupedLayerNorm(len(dimensions), hidden)
        self.null = nn.Parameter(torch.randn(len(dimensions), 1, hidden) * 0.02)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: list[Tensor], present: Tensor) -> Tensor:
        """features: M tensors [B, L, D_m]; present [B, L, M] -> [M, B, L, d]."""
        batch, length, _ = present.shape
        # where() rather than a product: 0 * NaN is NaN.
        maps = [
            project(torch.where(present[..., m : m + 1], x, 0.0))
            for m, (project, x) in enumerate(zip(self.maps, features, strict=True))
        ]
        z = self.norm(torch.stack(maps).flatten(1, 2))
        here = present.permute(2, 0, 1).reshape(len(maps), -1, 1)
        z = torch.where(here, self.dropout(z), self.null)
        return z.view(len(maps), batch, length, -1)


class TransformerContext(nn.Module):
    """Pre-norm transformer layers with one set of weights per modality.

    Speakers enter as embeddings by first appearance, so that a renaming changes nothing.
    """

    def __init__(self, parameters: ModelParameters, groups: int) -> None:
        super().__init__()
        size = parameters.hidden
        self.heads = parameters.heads
        self.speaker = nn.Parameter(torch.randn(MAX_SPEAKERS, size) * 0.02)
        self.dropout = nn.Dropout(parameters.dropout)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": GroupedLayerNorm(groups, size),
                    "qkv": GroupedLinear(groups, size, 3 * size),
                    "out": GroupedLinear(groups, size, size),
                    "norm2": GroupedLayerNorm(groups, size),
                    "up": GroupedLinear(groups, size, 2 * size),
                    "down": GroupedLinear(groups, 2 * size, size),
                }
            )
            for _ in range(parameters.layers)
        )
        self.norm = GroupedLayerNorm(groups, size)

    def forward(self, z: Tensor, speaker: Tensor, lengths: Tensor, allowed: Tensor) -> Tensor:
        """z [M, B, L, d], speaker [B, L], allowed [M, B, L, L] -> [M, B, L, d]."""
        shape = z.shape
        codes = sinusoids(shape[2], shape[3], z.device) + self.speaker[speaker.clamp(0, MAX_SPEAKERS - 1)]
        h = (z + codes).flatten(1, 2)
        rate = self.dropout.p if self.training else 0.0
        for layer in self.layers:
            q, k, v = layer["qkv"](layer["norm1"](h)).view(*shape[:3], -1).chunk(3, -1)
            mixed = attend(q, k, v, allowed, self.heads, rate).flatten(1, 2)
            h = h + self.dropout(layer["out"](mixed))
            up = nn.functional.gelu(layer["up"](layer["norm2"](h)))
            h = h + self.dropout(layer["down"](self.dropout(up)))
        return self.norm(h).view(shape)


class GruContext(nn.Module):
    """A GRU per modality, in both directions unless causal, added to its input."""

    def __init__(self, parameters: ModelParameters, groups: int) -> None:
        super().__init__()
        size, both = parameters.hidden, not parameters.causal
        self.speaker = nn.Parameter(torch.randn(MAX_SPEAKERS, size) * 0.02)
        self.grus = nn.ModuleList(
            nn.GRU(
                size,
                size // 2 if both else size,
                parameters.layers,
                batch_first=True,
                bidirectional=both,
                dropout=parameters.dropout if parameters.layers > 1 else 0.0,
            )
            for _ in range(groups)
        )
        self.dropout = nn.Dropout(parameters.dropout)
        self.norm = GroupedLayerNorm(groups, size)

    def forward(self, z: Tensor, speaker: Tensor, lengths: Tensor, allowed: Tensor) -> Tensor:
        """z [M, B, L, d], speaker [B, L], lengths [B] -> [M, B, L, d]."""
        shape = z.shape
        z = z + self.speaker[speaker.clamp(0, MAX_SPEAKERS - 1)]
        # A packed sequence may not be empty; an empty dialogue reads one padding step that nobody looks at.
        lengths = lengths.clamp(min=1).cpu()
        outputs = []
        for gru, x in zip(self.grus, z, strict=True):
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            out, _ = pad_packed_sequence(gru(packed)[0], batch_first=True, total_length=shape[2])
            outputs.append(out)
        h = z + self.dropout(torch.stack(outputs))
        return self.norm(h.flatten(1, 2)).view(shape)
