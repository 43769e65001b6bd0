"""Nodes of the contributions pipeline."""

from pathlib import Path
from typing import Any

import pandas as pd

from erc_kedro.parameters import NOT_LEARNED, TrainParameters


def read_contributions(
    utterances: pd.DataFrame,
    text: pd.DataFrame,
    audio: pd.DataFrame,
    visual: pd.DataFrame,
    description: dict[str, Any],
    predictions: pd.DataFrame,
    training_summary: dict[str, Any],
    models: Path,
    parameters: TrainParameters,
) -> pd.DataFrame:
    """Gates and fusion weights of every seed (``schemas.contributions``)."""
    from erc_kedro.config import ConfigError
    from erc_kedro.inspection import trained
    from erc_kedro.inspection.contributions import contributions
    from erc_kedro.models.network import GatedFusionNetwork
    from erc_kedro.pipelines.train.nodes import assembled

    trained_with = TrainParameters(**training_summary["parameters"])
    if trained_with.model_dump(exclude=NOT_LEARNED) != parameters.model_dump(exclude=NOT_LEARNED):
        raise ConfigError(
            f"{models}: no model trained on this data with these parameters; "
            f"`kedro run --pipeline=train --params=experiment={models.name}` trains it, with the same "
            "further --params (add --env=demo for the embedded corpora)"
        )
    tables = {"text": text, "audio": audio, "visual": visual}
    folds = assembled(utterances, tables, description["labels"], parameters)
    found = []
    shown = {name: data.only(own.shown) for name, (data, own) in folds.items()}
    for seed, data, network in trained(models, shown, predictions):
        if not isinstance(network, GatedFusionNetwork):
            raise ConfigError(
                f"experiment: {models.name} is a {parameters.model.architecture}, which has neither gates "
                "nor fusion weights; choose one whose model.architecture is gated_fusion"
            )
        table = contributions(network, data, "test" if len(folds) > 1 else None)
        table.insert(0, "seed", seed)
        found.append(table)
    return pd.concat(found, ignore_index=True)
