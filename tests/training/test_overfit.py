"""What is nothing but noise can be learned by heart, and says nothing about dialogues never trained on."""

import numpy as np
import pandas as pd
import pytest

from erc_kedro.corpora import UTTERANCE_COLUMNS
from erc_kedro.schemas import MODALITIES
from erc_kedro.training.batches import assemble
from erc_kedro.training.loop import train_model
from tests.defaults import TrainParameters

CLASSES = ("calm", "glad", "cross")
LEARNED, NEW = 10, 80


def noise(seed):
    """Dialogues whose labels have nothing to do with their features.

    The validation split repeats the training split, so that the epoch kept is one that knows it.
    """
    draw = np.random.default_rng(seed)
    dialogues = [("train", d) for d in range(LEARNED)] + [("test", d) for d in range(NEW)]
    rows = [
        (f"{split}{d}", i, f"s{draw.integers(2)}", draw.choice(CLASSES), split)
        for split, d in dialogues
        for i in range(draw.integers(1, 7))
    ]
    utterances = pd.DataFrame(rows, columns=["dialogue_id", "position", "speaker", "label", "split"])
    x = {name: list(draw.normal(size=(len(rows), 5)).astype(np.float32)) for name in MODALITIES}
    known = utterances["split"] == "train"
    again = utterances[known].assign(split="val", dialogue_id="again " + utterances["dialogue_id"][known])
    table = pd.concat([utterances, again], ignore_index=True)
    table["utterance_id"] = table["dialogue_id"] + " " + table["position"].astype("str")
    table["text"] = "words"
    features = {
        name: pd.DataFrame(
            {"utterance_id": table["utterance_id"], "vector": v + v[: len(again)], "present": True}
        )
        for name, v in x.items()
    }
    return table.reindex(columns=UTTERANCE_COLUMNS), features


def accuracy(predictions, split):
    rows = predictions[(predictions["split"] == split) & (predictions["head"] == "tav")]
    guess = np.array(CLASSES)[rows[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)]
    return float((guess == rows["label"]).mean())


@pytest.mark.parametrize("encoder", ["transformer", "gru"])
def test_noise_is_learned_by_heart_and_nothing_else(tmp_path, encoder):
    parameters = TrainParameters(
        epochs=40,
        patience=8,
        learning_rate=0.01,
        batch_utterances=32,
        averaging=0.9,
        modality_dropout=0.0,
        model={
            "hidden": 16,
            "attention_heads": 2,
            "dropout": 0.0,
            "guide_dropout": 0.0,
            "context_encoder": encoder,
        },
    )
    predictions = train_model(assemble(*noise(0), CLASSES), parameters, 0, tmp_path).predictions
    assert accuracy(predictions, "train") == 1.0
    assert abs(accuracy(predictions, "test") - 1 / 3) < 0.1
