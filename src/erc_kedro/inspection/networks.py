"""All that the report shows of an experiment's networks: one pass over the seeds."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from erc_kedro import schemas
from erc_kedro.inspection import trained
from erc_kedro.inspection.contributions import contributions
from erc_kedro.inspection.degradation import degraded_predictions
from erc_kedro.inspection.layout import layout
from erc_kedro.models.network import GatedFusionNetwork
from erc_kedro.progress import bar
from erc_kedro.training.batches import Dialogues


def inspected(
    models: Path, folds: Mapping[str, Dialogues], predictions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Contributions, degraded predictions and the layout, by their schemas.

    Contributions and degraded predictions are of every seed and fold, the layout of the first. A table has
    no rows where the architecture has no such thing.

    Args:
        models, folds, predictions: as :func:`inspection.trained` has them.

    Raises:
        ConfigError: a seed's network is not there, or makes other predictions.
    """
    weights: list[pd.DataFrame] = []
    lost: list[pd.DataFrame] = []
    places: list[pd.DataFrame] = []
    count = predictions["seed"].nunique() * len(folds)
    everywhere = set.intersection(*({*data.modalities} for data in folds.values()))
    with bar(count, f"Inspecting {models.parent.name} {models.name}", "network") as step:
        for seed, data, network in trained(models, folds, predictions):
            if isinstance(network, GatedFusionNetwork):
                weights.append(contributions(network, data, "test" if len(folds) > 1 else None))
                weights[-1].insert(0, "seed", seed)
                if not places:
                    places.append(layout(network, data))
            # What some folds' models cannot lose has no score of all utterances.
            lost.append(degraded_predictions(network, data, seed))
            lost[-1] = lost[-1][lost[-1]["modality"].isin(everywhere)].reset_index(drop=True)
            lost[-1].insert(0, "seed", seed)
            step.update()
    return (
        _joined(weights, schemas.contributions),
        _joined(lost, schemas.degraded),
        _joined(places, schemas.layout),
    )


def _joined(tables: list[pd.DataFrame], schema: pa.DataFrameSchema) -> pd.DataFrame:
    # A table without rows has lost the types of its columns.
    some = [table for table in tables if len(table)]
    return pd.concat(some, ignore_index=True) if some else schemas.empty(schema)
