"""A question with known answers, so that a bundle is not used by code that would answer otherwise."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from erc_kedro.models.base import Network
from erc_kedro.models.batch import Batch

# A dialogue of so many utterances of two speakers.
_UTTERANCES = 6
# Probabilities that differ by less are rounded otherwise, no more.
_TOLERANCE = 1e-4


def made(networks: Sequence[Network], dimensions: Sequence[int]) -> dict[str, np.ndarray]:
    """Features of a random dialogue, and each network's probabilities [S, 6, C]."""
    draw = np.random.default_rng(0)
    names = ("text", "audio", "visual")
    asked: dict[str, np.ndarray] = {
        name: draw.standard_normal((_UTTERANCES, size), np.float32)
        for name, size in zip(names, dimensions, strict=True)
    }
    return {**asked, "probabilities": _answers(networks, asked)}


def same(networks: Sequence[Network], arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether the networks answer as they did when the bundle was written."""
    answers = _answers(networks, arrays)
    expected = arrays["probabilities"]
    return answers.shape == expected.shape and bool(np.abs(answers - expected).max() < _TOLERANCE)


def _answers(networks: Sequence[Network], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    features = [torch.from_numpy(arrays[name])[None] for name in ("text", "audio", "visual")]
    there = torch.ones(1, _UTTERANCES, 3, dtype=torch.bool)
    place = torch.arange(_UTTERANCES)[None]
    none = torch.full_like(place, -1)
    batch = Batch(features, there, there[..., 0], place % 2, none, none)
    with torch.inference_mode():
        return torch.stack([network(batch).logits[-1].softmax(-1)[0] for network in networks]).numpy()
