"""Nodes of the contributions pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc_kedro.parameters import TrainParameters

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any


def read_contributions(
    utterances: DataFrame,
    text: DataFrame,
    audio: DataFrame,
    visual: DataFrame,
    card: dict[str, Any],
    trained: dict[str, Any],
    models: Path,
    parameters: TrainParameters,
) -> DataFrame:
    """Gates and fusion weights of every seed (``schemas.contributions``)."""
    import pandas as pd

    from erc_kedro.config import ConfigError
    from erc_kedro.models.network import GatedFusionNetwork
    from erc_kedro.training.batches import assemble
    from erc_kedro.training.checkpoint import key, load_result
    from erc_kedro.training.contributions import contributions
    from erc_kedro.training.loop import load_network

    tables = {"text": text, "audio": audio, "visual": visual}
    data = assemble(utterances, tables, card["labels"], parameters.scaling)
    found = []
    for seed in range(parameters.seeds):
        folder = models / f"seed{seed}"
        if load_result(folder, key(data, parameters, seed)) is None:
            raise ConfigError(
                f"{folder}: no model trained on this data with these parameters; "
                f"`kedro run --pipeline=train --params=experiment={models.name}` trains it "
                "(add --env=demo for the embedded corpora)"
            )
        network = load_network(folder)
        if not isinstance(network, GatedFusionNetwork):
            raise ConfigError(
                f"experiment: {models.name} is a {parameters.model.architecture}, which has neither gates "
                "nor fusion weights; choose one whose model.architecture is gated_fusion"
            )
        table = contributions(network, data.only(parameters.shown))
        table.insert(0, "seed", seed)
        found.append(table)
    return pd.concat(found, ignore_index=True)
