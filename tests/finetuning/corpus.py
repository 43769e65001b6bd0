"""A toy corpus whose labels are plain in its words, or only in the utterance before."""

import numpy as np
import pandas as pd

from erc_kedro.parameters import FinetuneParameters
from tests import defaults

CLASSES = ["glad", "cross", "calm"]
TELLING = {"glad": "love", "cross": "hate", "calm": "is"}
DESCRIPTION = {"labels": CLASSES, "protocol": "toy", "synthetic": True}


def toy(dialogues: int = 30, seed: int = 0, from_before: bool = False) -> pd.DataFrame:
    """Utterances of ``dialogues`` conversations; of each five, three are trained on."""
    draw = np.random.default_rng(seed)
    filler = ["oh", "no", "yes", "this", "it", "you"]
    rows = []
    for d in range(dialogues):
        split = ("train", "train", "train", "val", "test")[d % 5]
        label = CLASSES[draw.integers(3)]
        for i in range(int(draw.integers(2, 7))):
            said, label = (label, CLASSES[draw.integers(3)]) if from_before else (None, label)
            words = list(draw.choice(filler, 3))
            told = label
            if from_before:
                # Each utterance says the label of the next one.
                words.append(TELLING[label])
                told = said if i else None
            else:
                words.append(TELLING[label])
            rows.append((f"d{d}_u{i}", f"d{d}", i, ("ada", "ben")[i % 2], " ".join(words), told, split))
            if not from_before:
                label = CLASSES[draw.integers(3)]
    columns = ["utterance_id", "dialogue_id", "position", "speaker", "text", "label", "split"]
    return pd.DataFrame(rows, columns=columns)


def parameters(encoder, **options) -> FinetuneParameters:
    quick = {
        "encoder": str(encoder),
        "epochs": 3,
        "learning_rate": 5e-3,
        "batch_utterances": 8,
        "max_tokens": 64,
        "jobs": 1,
        "precision": "no",
        "folds": 0,
    }
    return defaults.FinetuneParameters(**(quick | options))
