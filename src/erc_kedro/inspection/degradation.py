"""What a network predicts when a modality goes missing or noisy at test time."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from erc_kedro.models.base import Network
from erc_kedro.models.batch import Batch
from erc_kedro.schemas import MODALITIES
from erc_kedro.training.batches import Dialogues, batch_of, dialogue_batches

# Shares of the test utterances that lose the modality.
MISSING = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# Deviations of the noise that is added, in those of the modality's training features.
NOISE = (0.0, 0.5, 1.0, 2.0, 4.0)


def degraded_predictions(network: Network, data: Dialogues, seed: int, size: int = 512) -> pd.DataFrame:
    """Predicted classes of the test split with one modality degraded at a time.

    Which utterances lose the modality, and the noise, are drawn once: what is lost at one amount is lost
    at every larger one, and noise only grows.

    Args:
        data: the modalities that the network may see.
        seed: of the draws.
        size: utterances in a batch, padding included.

    Returns:
        Columns kind ("missing", "noise"), modality, amount, utterance_id, label, predicted
        (``schemas.degraded`` without its seed).
    """
    amounts = [("missing", amount) for amount in MISSING] + [("noise", amount) for amount in NOISE]
    found = []
    classes = np.array([*data.classes, None], object)
    rows = data.rows("test")
    network.eval()
    with torch.inference_mode():
        for name in data.modalities:
            modality = MODALITIES.index(name)
            generator = np.random.default_rng([seed, modality])
            count = len(data.utterance_id) + 1
            loses = torch.from_numpy(generator.random(count, np.float32))
            drawn = generator.standard_normal((count, data.dimensions[modality]), np.float32)
            noise = torch.from_numpy(drawn) * _deviation(data, modality)
            guess = np.full((len(amounts), count), -1)
            for which in dialogue_batches(data, "test", size):
                batch = batch_of(data, which)
                row = batch.row[batch.valid].numpy()
                for index, (kind, amount) in enumerate(amounts):
                    changed = (
                        _without(batch, modality, loses[batch.row] < amount)
                        if kind == "missing"
                        else _noisy(batch, modality, amount * noise[batch.row])
                    )
                    best = network(changed).logits[-1].argmax(-1)
                    guess[index, row] = best[batch.valid].numpy()
            found += [
                pd.DataFrame(
                    {
                        "kind": kind,
                        "modality": name,
                        "amount": amount,
                        "utterance_id": data.utterance_id[rows],
                        "label": classes[data.label[rows].numpy()],
                        "predicted": classes[guess[index, rows]],
                    }
                )
                for index, (kind, amount) in enumerate(amounts)
            ]
    columns = ["kind", "modality", "amount", "utterance_id", "label", "predicted"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def _deviation(data: Dialogues, modality: int) -> torch.Tensor:
    """Standard deviations [D] of a modality's training features; of all, if training has none."""
    rows = torch.from_numpy(data.rows("train"))
    present = data.present[rows, modality]
    x = data.features[modality][rows[present]] if present.any() else data.features[modality][:-1]
    return x.std(0, correction=0)


def _without(batch: Batch, modality: int, lost: torch.Tensor) -> Batch:
    present = batch.present.clone()
    present[..., modality] &= ~lost
    features = list(batch.features)
    features[modality] = torch.where(lost[..., None], 0.0, features[modality])
    return replace(batch, features=features, present=present)


def _noisy(batch: Batch, modality: int, noise: torch.Tensor) -> Batch:
    features = list(batch.features)
    features[modality] = features[modality] + noise * batch.present[..., modality, None]
    return replace(batch, features=features)
