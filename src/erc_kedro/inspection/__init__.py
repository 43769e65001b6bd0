"""What trained networks do inside, and when a modality goes: forward passes alone, nothing is trained."""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError

from erc_kedro.config import ConfigError
from erc_kedro.evaluation.metrics import class_columns
from erc_kedro.models.base import Network
from erc_kedro.schemas import heads_of
from erc_kedro.training.batches import Dialogues
from erc_kedro.training.loop import load_network, predict


def trained(
    models: Path, folds: Mapping[str, Dialogues], predictions: pd.DataFrame
) -> Iterator[tuple[int, Dialogues, Network]]:
    """Each seed's and fold's network with its data, if it makes the predictions that are known of it.

    Args:
        models: an experiment's folder, with one of each seed and fold.
        folds: by their folder in it, with the modalities that the networks may see.
        predictions: ``schemas.predictions`` of all seeds, pooled over folds.

    Raises:
        ConfigError: naming the folder that has no such network, and the command that trains it.
    """
    for seed, (part, data) in product(sorted(predictions["seed"].unique()), folds.items()):
        folder = models / part / f"seed{seed}"
        fix = (
            f"`kedro run --pipeline=train --params=experiment={models.name}` trains it (add --env=demo for "
            "the embedded corpora)"
        )
        try:
            network = load_network(folder)
            own = predict(network, data, heads=heads_of(data.modalities))
        except (OSError, KeyError, RuntimeError, ValueError, SafetensorError) as error:
            raise ConfigError(f"{folder}: no network that can be read ({error}); {fix}") from error
        known = predictions[predictions["seed"] == seed]
        if len(folds) > 1:
            own = own[own["split"] == "test"]
            known = known[(known["split"] == "test") & known["utterance_id"].isin(own["utterance_id"])]
        if not _same(own, known):
            raise ConfigError(
                f"{folder}: this network does not make the predictions that lie on disk from these "
                f"features; {fix}"
            )
        yield int(seed), data, network


def _same(own: pd.DataFrame, known: pd.DataFrame) -> bool:
    """Whether two tables hold the same but for rounding."""
    names = ["utterance_id", "head"]
    if list(class_columns(own)) != list(class_columns(known)) or len(own) != len(known):
        return False
    own, known = own.sort_values(names), known.sort_values(names)
    if (own[names].to_numpy() != known[names].to_numpy()).any():
        return False
    columns = class_columns(own)
    return bool(np.allclose(own[columns].to_numpy(), known[columns].to_numpy(), atol=1e-3))
