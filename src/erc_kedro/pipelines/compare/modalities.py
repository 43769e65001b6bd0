"""The node that asks of each modality what it adds."""

import logging
from typing import Any

import pandas as pd

from erc_kedro.parameters import CompareParameters

logger = logging.getLogger(__name__)


def compare_modalities(
    predictions: pd.DataFrame,
    summary: dict[str, Any],
    utterances: pd.DataFrame,
    parameters: CompareParameters,
) -> pd.DataFrame:
    """The reference against those of its subsets of modalities that were compared with it."""
    from erc_kedro.evaluation.modalities import modality_table
    from erc_kedro.evaluation.units import units_of

    table = modality_table(
        predictions,
        units_of(utterances),
        summary["experiments"],
        parameters.reference,
        parameters.draws,
    )
    for note in table.loc[table["note"] != "", "note"]:
        logger.warning("%s: %s", summary["title"], note)
    return table
