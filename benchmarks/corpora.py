"""Random corpora of given shapes, as tensors."""

import numpy as np
import torch

from benchmarks.shapes import Shape
from erc_kedro.training.batches import Dialogues


def make(shape: Shape, seed: int = 0) -> Dialogues:
    """Random features, speakers and labels; every modality is present everywhere.

    One more dialogue, of two utterances, is the validation split without which ``fit`` does not train.
    """
    draw = np.random.default_rng(seed)
    length = np.append(_lengths(shape, draw), 2)
    count = int(length.sum())
    start = np.cumsum(length) - length
    noise = torch.Generator().manual_seed(seed)
    features = []
    for size in shape.dimensions:
        # Drawn in place: a copy would be a peak of memory that is not the project's.
        x = torch.empty(count + 1, size).normal_(generator=noise)
        x[-1] = 0
        features.append(x)
    present = torch.ones(count + 1, 3, dtype=torch.bool)
    present[-1] = False
    speaker = np.zeros(count + 1, np.int64)
    for first, n in zip(start, length, strict=True):
        speaker[first : first + n] = _speakers(int(n), shape.speakers, draw)
    label = np.append(draw.integers(shape.classes, size=count), -1)
    split = np.full(len(length), "train", object)
    split[-1] = "val"
    return Dialogues(
        features=features,
        present=present,
        speaker=torch.from_numpy(speaker),
        label=torch.from_numpy(label),
        start=start,
        length=length,
        split=split,
        classes=tuple(f"class{c}" for c in range(shape.classes)),
        utterance_id=np.array([f"utterance{i:07d}" for i in range(count)], object),
    )


def feature_bytes(data: Dialogues) -> int:
    """What the feature tensors themselves take in memory."""
    return sum(x.numel() * x.element_size() for x in data.features)


def _lengths(shape: Shape, draw: np.random.Generator) -> np.ndarray:
    mean = shape.utterances / shape.dialogues
    if not shape.spread:
        return np.full(shape.dialogues, shape.longest)
    drawn = draw.gamma(shape.spread, mean / shape.spread, shape.dialogues).round()
    length = drawn.clip(1, shape.longest).astype(np.int64)
    length[0] = shape.longest
    # Rounding and clipping moved the sum; random dialogues give or take one until it is exact.
    while missing := shape.utterances - int(length.sum()):
        step = 1 if missing > 0 else -1
        room = 1 + np.flatnonzero(length[1:] < shape.longest if step > 0 else length[1:] > 1)
        length[draw.choice(room, min(abs(missing), len(room)), replace=False)] += step
    return draw.permutation(length)


def _speakers(length: int, most: int, draw: np.random.Generator) -> np.ndarray:
    """Numbers by first appearance; mostly two or three speakers, as in the releases."""
    names = draw.integers(2 + draw.binomial(most - 2, 0.1), size=length)
    _, first, name = np.unique(names, return_index=True, return_inverse=True)
    return first.argsort().argsort()[name]
