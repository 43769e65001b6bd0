"""Tables to tensors, and tensors to batches of whole dialogues."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from erc_kedro.models.batch import Batch
from erc_kedro.schemas import MODALITIES
from erc_kedro.training.scaling import Statistics, scaled


@dataclass
class Dialogues:
    """A corpus as flat tensors; row i is an utterance, and dialogues are runs of rows.

    Attributes:
        features: three float32 tensors [N + 1, D_m]; the last row is padding (zeros).
        present: bool [N + 1, 3]; speaker, label: int64 [N + 1] (label -1 where there is none).
        start, length: int64 arrays [number of dialogues], each dialogue's run of rows.
        split: array [number of dialogues] of "train", "val" or "test".
        classes: the labels, in the order of the classes.
        utterance_id: array [N].
    """

    features: list[Tensor]
    present: Tensor
    speaker: Tensor
    label: Tensor
    start: np.ndarray
    length: np.ndarray
    split: np.ndarray
    classes: tuple[str, ...]
    utterance_id: np.ndarray

    @property
    def dimensions(self) -> list[int]:
        """D_m of text, audio and visual."""
        return [x.shape[1] for x in self.features]

    def rows(self, split: str) -> np.ndarray:
        """Rows of a split's utterances, in order."""
        runs = [
            np.arange(s, s + n)
            for s, n, where in zip(self.start, self.length, self.split, strict=True)
            if where == split
        ]
        return np.concatenate(runs) if runs else np.empty(0, dtype=np.int64)

    def only(self, modalities: Collection[str]) -> "Dialogues":
        """The same dialogues in which the other modalities are absent."""
        kept = [name in modalities for name in MODALITIES]
        if not (self.present & ~torch.tensor(kept)).any():
            return self
        features = [x if keep else torch.zeros_like(x) for x, keep in zip(self.features, kept, strict=True)]
        return replace(self, features=features, present=self.present & torch.tensor(kept))

    @property
    def modalities(self) -> list[str]:
        """Those that any training utterance has: nothing is learned of what validation or test alone have."""
        known = self.present[self.rows("train")].any(0).tolist()
        return [name for name, any_ in zip(MODALITIES, known, strict=True) if any_]

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 over everything that training reads; made once, since hundreds of keys hold it."""
        digest = hashlib.sha256(repr((self.classes, self.dimensions)).encode())
        for tensor in (*self.features, self.present, self.speaker, self.label):
            digest.update(tensor.numpy().data)
        for array in (self.start, self.length):
            digest.update(array.data)
        for names in (self.split, self.utterance_id):
            digest.update("\n".join(map(str, names)).encode())
        return digest.hexdigest()


def assemble(
    utterances: pd.DataFrame,
    features: Mapping[str, pd.DataFrame],
    classes: Sequence[str],
    scaling: Mapping[Any, str] | None = None,
    known: Mapping[str, Statistics | None] | None = None,
) -> Dialogues:
    """Joins the tables of a corpus and scales its features.

    Args:
        utterances: ``schemas.utterances``.
        features: by modality, ``schemas.features``.
        classes: the closed set of labels.
        scaling: by modality: ``train`` (default) standardises by training utterances, ``speaker`` by all
            utterances of the same speaker in the same split (no labels are read, but later utterances and
            those of test are), ``speaker_past`` by the same speaker's utterances of the dialogue up to and
            with this one, shrunk to training's statistics while they are few, ``none`` leaves the features as
            they are. ``TrainParameters.scaling`` is what its model may have.
        known: what training's features were like, by modality; without it, that of these tables' own.
    Raises:
        ValueError: a feature table lacks utterances, or a label is not among the classes.
    """
    table = utterances.sort_values(["dialogue_id", "position"], kind="stable").reset_index(drop=True)
    unknown = set(table["label"].dropna()) - set(classes)
    if unknown:
        raise ValueError(f"labels {sorted(unknown)} are not among the classes {list(classes)}")
    train = (table["split"] == "train").to_numpy()
    # A speaker of one split is scaled apart from the same name in another: nothing crosses splits.
    groups = {
        "speaker": table.groupby(["split", "speaker"], sort=False).ngroup().to_numpy(),
        "speaker_past": table.groupby(["dialogue_id", "speaker"], sort=False).ngroup().to_numpy(),
    }
    tensors, here = [], []
    for modality in MODALITIES:
        x, present = _aligned(features[modality], table["utterance_id"], modality)
        of_training = _statistics(x[present & train]) if known is None else known[modality]
        x = scaled(x, present, of_training, groups, (scaling or {}).get(modality, "train"))
        tensors.append(torch.from_numpy(np.vstack([x, np.zeros((1, x.shape[1]), np.float32)])))
        here.append(np.append(present, False))
    dialogue = table["dialogue_id"].factorize()[0]
    start = np.flatnonzero(np.diff(dialogue, prepend=-1))
    speaker = table.groupby(dialogue)["speaker"].transform(lambda names: names.factorize()[0])
    label = pd.Categorical(table["label"], categories=list(classes)).codes
    return Dialogues(
        features=tensors,
        present=torch.from_numpy(np.stack(here, 1)),
        speaker=torch.from_numpy(np.append(speaker.to_numpy(np.int64), 0)),
        label=torch.from_numpy(np.append(label.astype(np.int64), -1)),
        start=start,
        length=np.diff(np.append(start, len(table))),
        split=table["split"].to_numpy(object)[start],
        classes=tuple(classes),
        utterance_id=table["utterance_id"].to_numpy(object),
    )


def training_statistics(
    utterances: pd.DataFrame, features: Mapping[str, pd.DataFrame]
) -> dict[str, Statistics | None]:
    """What ``assemble`` scales by: of each modality's training features, None where there are none."""
    train = utterances.loc[utterances["split"] == "train", "utterance_id"]
    found = {}
    for modality in MODALITIES:
        x, present = _aligned(features[modality], train, modality)
        found[modality] = _statistics(x[present])
    return found


def _statistics(x: np.ndarray) -> Statistics | None:
    return Statistics.of(x) if len(x) else None


def _aligned(table: pd.DataFrame, ids: pd.Series, modality: str) -> tuple[np.ndarray, np.ndarray]:
    table = table.set_index("utterance_id")
    missing = ids[~ids.isin(table.index)]
    if len(missing):
        raise ValueError(
            f"the {modality} features lack {len(missing)} utterances, {missing.iloc[0]} first; "
            "run `kedro run --pipeline=features` again"
        )
    table = table.loc[ids]
    x = np.stack(table["vector"].to_list()).astype(np.float32)
    present = table["present"].to_numpy(bool)
    x[~present] = 0
    return x, present


def batch_of(data: Dialogues, which: Sequence[int] | np.ndarray) -> Batch:
    """The chosen dialogues side by side, padded to the longest."""
    start, length = data.start[which], data.length[which]
    steps = np.arange(max(int(length.max()), 1) if len(length) else 1)
    valid = steps[None, :] < length[:, None]
    row = torch.from_numpy(np.where(valid, start[:, None] + steps[None, :], len(data.utterance_id)))
    real = torch.from_numpy(valid)
    return Batch(
        features=[x[row] for x in data.features],
        present=data.present[row],
        valid=real,
        speaker=data.speaker[row],
        label=data.label[row],
        row=torch.where(real, row, -1),
    )


def dialogue_batches(
    data: Dialogues, split: str | None, size: int, shuffle: np.random.Generator | None = None
) -> Iterator[np.ndarray]:
    """Groups of dialogues of similar length.

    Args:
        split: which dialogues; None for all.
        size: utterances in a batch, padding included; a longer dialogue is a batch of its own.
        shuffle: without it, dialogues come in order of length.
    Yields:
        Indices of the dialogues of one batch.
    """
    chosen = np.arange(len(data.start)) if split is None else np.flatnonzero(data.split == split)
    # A little noise in the sorting key mixes neighbours between epochs and keeps padding small.
    key = data.length[chosen] * (1 + 0.1 * shuffle.random(len(chosen)) if shuffle is not None else 1.0)
    chosen = chosen[np.argsort(key, kind="stable")]
    groups: list[list[int]] = []
    longest = 0
    for index in chosen:
        longest = max(longest, int(data.length[index]))
        if groups and longest * (len(groups[-1]) + 1) <= size:
            groups[-1].append(int(index))
        else:
            groups.append([int(index)])
            longest = int(data.length[index])
    order = shuffle.permutation(len(groups)) if shuffle is not None else range(len(groups))
    for position in order:
        yield np.array(groups[position])
