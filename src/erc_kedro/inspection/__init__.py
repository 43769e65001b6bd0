"""What trained networks do inside, and when a modality goes: forward passes alone, nothing is trained."""

from collections.abc import Iterator
from pathlib import Path

from erc_kedro.config import ConfigError
from erc_kedro.models.batch import Network
from erc_kedro.parameters import TrainParameters
from erc_kedro.training.batches import Dialogues
from erc_kedro.training.checkpoint import key, load_result
from erc_kedro.training.loop import load_network


def trained(models: Path, data: Dialogues, parameters: TrainParameters) -> Iterator[tuple[int, Network]]:
    """Each seed's network, if it was trained on this data with these parameters.

    Args:
        models: an experiment's folder, with one of each seed.

    Raises:
        ConfigError: naming the folder that has no such network, and the command that trains it.
    """
    for seed in range(parameters.seeds):
        folder = models / f"seed{seed}"
        if load_result(folder, key(data, parameters, seed)) is None:
            raise ConfigError(
                f"{folder}: no model trained on this data with these parameters; "
                f"`kedro run --pipeline=train --params=experiment={models.name}` trains it "
                "(add --env=demo for the embedded corpora)"
            )
        yield seed, load_network(folder)
