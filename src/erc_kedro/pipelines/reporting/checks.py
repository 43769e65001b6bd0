"""Which of the results on disk belong together, and which were searched for: in sentences for the report."""

from typing import Any

import pandas as pd

from erc_kedro.evaluation.comparison import digest, digest_of_cells
from erc_kedro.evaluation.metrics import PREDICTION, summary

OTHER_DATA = (
    "The predictions on disk are of another version of this corpus and are not shown; "
    "`kedro run --pipeline=train` makes new ones."
)
TWO_TRAININGS = (
    "The predictions and metrics on disk are of two trainings, one of which was stopped while it "
    "saved them, and are not shown; `kedro run --pipeline=train` saves them again."
)
SEARCHED = (
    "These settings are trial {trial} of a search of {trials} trials, picked by validation. Its score there, "
    "{search:.4f} weighted F1 (seeds {first} to {last}; the configuration before it had {default:.4f}), is "
    "optimistic, since it is the best of many. Trained afresh on {fresh} other seeds, validation is "
    "{retrained:.4f}. Only the retrained models have seen the test split."
)


def why_not_shown(
    training: dict[str, Any],
    data: str | None,
    predictions: pd.DataFrame | None,
    metrics: pd.DataFrame | None,
    history: pd.DataFrame | None,
) -> str | None:
    """Why a training's tables cannot be shown; None where they can be, or were never made.

    Args:
        training: what was saved beside the tables; older trainings do not say which tables, and of which
            utterances, are theirs.
        data: the ``digest`` of the corpus as it is now, if it is known.
    """
    if predictions is None:
        return None
    labels = predictions.drop_duplicates(["utterance_id", "label", "split"])
    if data is not None and (training.get("labels") or digest(labels)) != data:
        return OTHER_DATA
    known = training.get("tables")
    tables = {"predictions": predictions, "metrics": metrics, "history": history}
    of_one_training = known is None or all(
        table is not None and digest_of_cells(table) == known[name] for name, table in tables.items()
    )
    return None if of_one_training else TWO_TRAININGS


def how_searched(
    training: dict[str, Any], tuning: dict[str, Any] | None, metrics: pd.DataFrame | None
) -> str | None:
    """What belongs beside the scores of an experiment that a search found; None where none did."""
    if tuning is None or metrics is None:
        return None
    used = training.get("parameters") or {}
    if training.get("experiment") != tuning["experiment"] or not tuning["train"].items() <= used.items():
        return None
    rows = summary(metrics).query("split == 'val' and metric == 'weighted_f1'")
    return SEARCHED.format(
        **tuning,
        first=min(tuning["seeds"]),
        last=max(tuning["seeds"]),
        fresh=metrics["seed"].nunique(),
        retrained=float(rows.loc[rows["head"] == PREDICTION, "mean"].iloc[0]),
    )
