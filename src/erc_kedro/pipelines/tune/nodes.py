"""Nodes of the tune pipeline."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from erc_kedro.parameters import TrainParameters, TuneParameters

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
else:
    Figure = Any

logger = logging.getLogger(__name__)

# In the order of the node's outputs.
FIGURES = ("history", "importances", "parallel", "slices", "front")


def tune_corpus(
    utterances: pd.DataFrame,
    text: pd.DataFrame,
    audio: pd.DataFrame,
    visual: pd.DataFrame,
    description: dict[str, Any],
    audit: dict[str, Any],
    features_audit: dict[str, Any],
    folder: Path,
    train: TrainParameters,
    parameters: TuneParameters,
) -> tuple[pd.DataFrame, dict[str, Any], str, Figure, Figure, Figure, Figure, Figure]:
    """Runs the trials that the corpus's study still wants; the test split has no part in it.

    Returns:
        A row a trial; what the search found; the best trial as an experiment's file; and figures.
    """
    from erc_kedro import tracking
    from erc_kedro.audit.checks import check_before_training
    from erc_kedro.escaping import csv_text
    from erc_kedro.report.plots import tuning as figures
    from erc_kedro.report.scaling import scaled_briefly
    from erc_kedro.tuning.results import best_experiment, outcome, trials_table
    from erc_kedro.tuning.search import search
    from erc_kedro.tuning.trial import prepare

    corpus = folder.name
    searched = parameters.space.get("model.causal")
    causal = train.model.causal or (searched is not None and searched.holds(True))
    tables = {"text": text, "audio": audio, "visual": visual}
    for caution in check_before_training("tune", audit, features_audit, tables, utterances, corpus, causal):
        logger.warning("%s tune: %s", corpus, caution)
    given = prepare(corpus, utterances, tables, description["labels"], train, parameters, folder)
    tags = {"corpus": corpus, "experiment": parameters.experiment, "study": given.name}
    with tracking.child(f"{corpus} tune", {**tags, "level": "tune"}) as run:
        run.parameters({"tune": parameters, "train": train})
        found = search(given, lambda trial: _log_trial(trial, given.name, tags), corpus=corpus)
        table, result = trials_table(found), outcome(found, given)
        drawn = figures.of_study(found)
        run.metrics(
            {"best.val_weighted_f1": result["search"], "default.val_weighted_f1": result["default"]}
            | {f"importance.{name}": value for name, value in result["importances"].items()}
        )
        run.parameters({"best": result["values"]})
        run.text(csv_text(table.drop(columns="history")), "trials.csv")
        for name, figure in drawn.items():
            run.text(figure.to_html(include_plotlyjs=True), f"{name}.html")
    scaled = scaled_briefly(result["train"])
    logger.info(
        "%s: best of %d trials %.4f, default %.4f on validation (optimistic; train it afresh with "
        "`kedro run --pipeline=train --namespaces=%s --params=experiment=%s`%s)",
        corpus,
        result["trials"],
        result["search"],
        result["default"],
        corpus,
        result["experiment"],
        f"; {scaled}" if scaled else "",
    )
    figures_in_order = (drawn[name] for name in FIGURES)
    return table, result, best_experiment(result, parameters), *figures_in_order  # type: ignore[return-value]


def _log_trial(trial: Any, study: str, tags: dict[str, Any]) -> None:
    from erc_kedro import tracking
    from erc_kedro.tuning.results import trial_row
    from erc_kedro.tuning.space import of_trial

    row = trial_row(trial)
    own = {"level": "trial", "state": row["state"], "reason": row["reason"]}
    with tracking.child(f"{study} trial {trial.number}", {**tags, **own}) as run:
        run.parameters({"trial": trial.number, **of_trial(trial)})
        history = pd.DataFrame(trial.user_attrs.get("history", []))
        for seed, rows in history.groupby("seed") if len(history) else ():
            curves = rows.set_index("epoch").drop(columns="seed").add_suffix(f".seed{seed:g}")
            run.curves(curves.reset_index())
        scores = {f"score.seed{at}": score for at, score in enumerate(trial.user_attrs.get("scores", []))}
        run.metrics(scores | ({"val.weighted_f1": trial.values[0]} if trial.values else {}))
