"""Context encoders, one per modality (docs/model.md#encoders)."""

import math

import torch
from torch import Tensor, nn

from erc_kedro.models.layers import Dropout, GroupedLayerNorm, GroupedLinear, attend
from erc_kedro.models.recurrence import GroupedGru, Packing
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
        self.dropout = Dropout(dropout)

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
        self.speaker = nn.Parameter(torch.randn(MAX_SPEAKERS, parameters.hidden) * 0.02)
        self.layers = nn.ModuleList(TransformerLayer(parameters, groups) for _ in range(parameters.layers))
        self.norm = GroupedLayerNorm(groups, parameters.hidden)

    def forward(self, z: Tensor, speaker: Tensor, present: Tensor, valid: Tensor, allowed: Tensor) -> Tensor:
        """z [M, B, L, d], speaker [B, L], allowed [M, B, L or 1, L] -> [M, B, L, d]."""
        shape = z.shape
        codes = sinusoids(shape[2], shape[3], z.device) + self.speaker[speaker.clamp(0, MAX_SPEAKERS - 1)]
        h = z + codes
        for layer in self.layers:
            h = layer(h, allowed)
        return self.norm(h.flatten(1, 2)).view(shape)


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward part, each normalised before and added after."""

    def __init__(self, parameters: ModelParameters, groups: int) -> None:
        super().__init__()
        size = parameters.hidden
        self.attention_heads = parameters.attention_heads
        self.dropout = Dropout(parameters.dropout)
        self.norm1 = GroupedLayerNorm(groups, size)
        self.qkv = GroupedLinear(groups, size, 3 * size)
        self.out = GroupedLinear(groups, size, size)
        self.norm2 = GroupedLayerNorm(groups, size)
        self.up = GroupedLinear(groups, size, 2 * size)
        self.down = GroupedLinear(groups, 2 * size, size)

    def forward(self, h: Tensor, allowed: Tensor) -> Tensor:
        """h [M, B, L, d], allowed [M, B, L or 1, L] -> [M, B, L, d]."""
        shape = h.shape
        h = h.flatten(1, 2)
        q, k, v = self.qkv(self.norm1(h)).view(*shape[:3], -1).chunk(3, -1)
        h = h + self.dropout(self.out(attend(q, k, v, allowed, self.attention_heads).flatten(1, 2)))
        up = nn.functional.gelu(self.up(self.norm2(h)))
        return (h + self.dropout(self.down(self.dropout(up)))).view(shape)


class GruContext(nn.Module):
    """Two GRUs per modality, over the dialogue and over each speaker's own turns, added to their input.

    Both run in both directions unless causal. The speaker's own track is our choice, after the party
    states of DialogueRNN (Majumder et al., 2019).
    """

    def __init__(self, parameters: ModelParameters, groups: int) -> None:
        super().__init__()
        self.speaker = nn.Parameter(torch.randn(MAX_SPEAKERS, parameters.hidden) * 0.02)
        self.causal = parameters.causal
        self.dialogue = _gru(parameters, groups)
        self.own = _gru(parameters, groups) if parameters.speaker_track else None
        self.dropout = Dropout(parameters.dropout)
        self.norm = GroupedLayerNorm(groups, parameters.hidden)

    def forward(self, z: Tensor, speaker: Tensor, present: Tensor, valid: Tensor, allowed: Tensor) -> Tensor:
        """z [M, B, L, d], speaker and valid [B, L], present [B, L, M] -> [M, B, L, d]."""
        shape = z.shape
        z = z + self.speaker[speaker.clamp(0, MAX_SPEAKERS - 1)]
        # A dialogue without a modality has nothing to run over, whatever its neighbours have; a causal
        # network may not even know that the modality will come.
        has = present.cummax(1).values if self.causal else present.any(1, keepdim=True).expand_as(present)
        groups = present.flatten(0, 1).any(0).nonzero()[:, 0]
        h = torch.zeros_like(z)
        if len(groups):
            dialogue, position = valid.nonzero(as_tuple=True)
            x = z[groups[:, None], dialogue, position]
            run = self.dialogue(x, Packing(dialogue, position), groups)
            if self.own is not None:
                whose = dialogue * (int(speaker.max()) + 1) + speaker[dialogue, position]
                run = run + self.own(x, Packing(*_tracks(whose)), groups)
            run = run * has[dialogue, position].T[groups, :, None]
            h[groups[:, None], dialogue, position] = run
        return self.norm((z + self.dropout(h)).flatten(1, 2)).view(shape)


def _tracks(owner: Tensor) -> tuple[Tensor, Tensor]:
    """For utterances in order, by whom they are said [N]: each one's track and its place on it."""
    track = owner.unique(return_inverse=True)[1]
    lengths = track.bincount()
    order = track.argsort(stable=True)
    turn = torch.empty_like(track)
    turn[order] = torch.arange(len(track), device=track.device) - (lengths.cumsum(0) - lengths)[track[order]]
    return track, turn


def _gru(parameters: ModelParameters, groups: int) -> GroupedGru:
    both = not parameters.causal
    size = parameters.hidden // 2 if both else parameters.hidden
    return GroupedGru(groups, parameters.hidden, size, both, parameters.layers, parameters.dropout)
