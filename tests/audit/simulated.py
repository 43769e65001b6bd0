"""Corpora with features that were measured, and what a network that was fitted on labels makes of them."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from erc_kedro.corpora.tables import utterance_table
from tests.audit.tables import features

# shared: everybody speaks in all splits. sessions: two speakers each, the last session is test. speakers: one
# a dialogue. single: every utterance is a dialogue, of one of 40 speakers.
Layout = Literal["shared", "sessions", "speakers", "single"]


@dataclass(frozen=True)
class Simulated:
    """Utterances, and what was measured of them.

    Attributes:
        text: vectors [N, 30] from which a linear model reads about two labels in three.
        visual: vectors [N, 60] that say little of the label, much of who speaks.
    """

    utterances: pd.DataFrame
    text: np.ndarray
    visual: np.ndarray

    def tables(self, **made: np.ndarray) -> dict[str, pd.DataFrame]:
        """Tables of features; ``made``: by modality, others than were measured."""
        measured = {"text": self.text, "visual": self.visual, **made}
        return {modality: features(self.utterances, x) for modality, x in measured.items()}

    @property
    def test(self) -> np.ndarray:
        return (self.utterances["split"] == "test").to_numpy()

    def another_gain(self, seed: int = 0) -> np.ndarray:
        """The visual vectors, those of test with another level and range of each feature."""
        draw = np.random.default_rng(seed)
        size = self.visual.shape[1]
        changed = self.visual * draw.uniform(0.5, 2, size) + 2 * draw.normal(size=size)
        return np.where(self.test[:, None], changed, self.visual)

    def noisy(self, seed: int = 0) -> np.ndarray:
        """The visual vectors, those of test with as much noise as they vary."""
        noise = np.random.default_rng(seed).normal(size=self.visual.shape) * self.visual.std(0)
        return np.where(self.test[:, None], self.visual + noise, self.visual)

    def fitted(self, epochs: int, *seen: str, seed: int = 0, hidden: int = 64) -> np.ndarray:
        """What the last hidden layer makes of the visual vectors, fitted on the labels of these splits."""
        torch.manual_seed(seed)
        rows = (self.utterances["split"].isin(seen) & self.utterances["label"].notna()).to_numpy()
        x = torch.tensor((self.visual - self.visual[rows].mean(0)) / self.visual[rows].std(0)).float()
        y = torch.tensor(pd.factorize(self.utterances["label"])[0])
        layers = [nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Linear(hidden, int(y.max()) + 1))
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        for _ in range(epochs):
            for batch in torch.tensor(np.random.default_rng(seed).permutation(np.flatnonzero(rows))).split(
                64
            ):
                optimiser.zero_grad()
                F.cross_entropy(network(x[batch]), y[batch]).backward()
                optimiser.step()
        with torch.no_grad():
            return network[:4](x).numpy()


def simulated(
    layout: Layout, seed: int, dialogues: int = 100, turns: int = 12, classes: int = 4
) -> Simulated:
    """A corpus of ``dialogues`` times ``turns`` utterances; of ten dialogues seven are training, one val."""
    draw = np.random.default_rng(seed)
    count = dialogues * turns
    dialogue = np.repeat(np.arange(dialogues), turns)
    if layout == "shared":
        cast = draw.integers(0, 12, (dialogues, 2))
        speaker = cast[dialogue, np.arange(count) % 2]
        split = np.array(
            ["train", "train", "train", "val", "train", "train", "train", "test", "train", "test"]
        )
        split = split[dialogue % 10]
    elif layout == "sessions":
        session = dialogue * 5 // dialogues
        speaker = 2 * session + np.arange(count) % 2
        split = np.where(session == 4, "test", np.where(dialogue % 8 == 3, "val", "train"))
    else:
        speaker = dialogue if layout == "speakers" else dialogue * 40 // dialogues
        share = speaker / (speaker.max() + 1)
        split = np.where(share < 0.7, "train", np.where(share < 0.8, "val", "test"))
    # Each dialogue has a mood, so that its labels repeat; so has each split, a little.
    common = draw.dirichlet(np.full(classes, 4.0))
    moods = np.stack([draw.dirichlet(common * 8 + 0.1) for _ in range(dialogues)])
    labels = np.array([draw.choice(classes, p=moods[at]) for at in dialogue])

    def measured(size: int, signal: float, of_speaker: float) -> np.ndarray:
        means = draw.normal(size=(classes, size)) * signal
        voices = draw.normal(size=(speaker.max() + 1, size)) * of_speaker
        rooms = draw.normal(size=(dialogues, size)) * 0.2
        return means[labels] + voices[speaker] + rooms[dialogue] + draw.normal(size=(count, size))

    text, visual = measured(30, 0.35, 0.0), measured(60, 0.08, 0.4)
    if layout == "single":
        dialogue = np.arange(count)
    rows = [
        {
            "utterance_id": f"u{number}",
            "dialogue_id": f"d{dialogue[number]}",
            "position": 0 if layout == "single" else number % turns,
            "speaker": f"s{speaker[number]}",
            "text": f"Sentence {number}.",
            "label": f"class {labels[number]}",
            "split": str(split[number]),
        }
        for number in range(count)
    ]
    return Simulated(utterance_table(rows), text, visual)


def of_two_classes(made: Simulated) -> Simulated:
    """The same with the first two classes' labels alone, the others' utterances being context."""
    known = made.utterances["label"].isin(("class 0", "class 1"))
    return replace(made, utterances=made.utterances.assign(label=made.utterances["label"].where(known)))
