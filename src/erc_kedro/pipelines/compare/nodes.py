"""Nodes of the compare pipeline."""

import logging
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from erc_kedro.parameters import CompareParameters
from erc_kedro.pipelines import corpora
from erc_kedro.pipelines.compare.features import ExperimentTables
from erc_kedro.report.labels import settings_chosen

logger = logging.getLogger(__name__)


def train_experiments(
    utterances: pd.DataFrame,
    description: dict[str, Any],
    audit: dict[str, Any],
    made: dict[str, ExperimentTables],
    models: Path,
    parameters: CompareParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Fits every seed of every experiment, unless one of the same content is there.

    Args:
        made: by experiment, what it is trained on.
    Returns:
        The trimodal head's predictions of validation and test utterances, by experiment; and a summary of
        what each experiment trained on, or why it could not.
    """
    from erc_kedro import files
    from erc_kedro.audit.checks import check_before_training
    from erc_kedro.audit.provenance import facts
    from erc_kedro.evaluation.comparison import digest
    from erc_kedro.pipelines.train.nodes import assembled, facts_of, tracked
    from erc_kedro.training import candidates
    from erc_kedro.training.checkpoint import training_key
    from erc_kedro.training.seeds import Folds, by_seed, tasks_of, train_all

    corpus = models.name
    assembled_of: dict[int, dict[tuple[str, str], Any]] = {}
    checked: dict[tuple[int, bool], list[str]] = {}
    possible: dict[str, Folds] = {}
    experiments: dict[str, dict[str, Any]] = {}
    for name, train in parameters.experiments.items():
        tables, features_audit = made[name]
        causal = train.model.causal
        # Experiments of equal features have one and the same tables.
        if (id(tables), causal) not in checked:
            checked[id(tables), causal] = check_before_training(
                name, audit, features_audit, tables, utterances, corpus, causal
            )
        of_tables = assembled_of.setdefault(id(tables), {})
        folds = assembled(utterances, tables, description["labels"], train, of_tables)
        everywhere = set.intersection(*({*data.modalities} for data, _ in folds.values()))
        shown = [modality for modality in train.shown if modality in everywhere]
        experiments[name] = {
            "shown": shown,
            "key": None,
            "parameters": train.model_dump(mode="json"),
            "features": {modality: facts(features_audit["provenance"][modality]) for modality in shown},
        }
        if shown:
            possible[name] = folds
        else:
            logger.warning("%s %s: no %s features, not trained", corpus, name, " or ".join(train.shown))
    if not possible:
        raise ValueError(f"{corpus}: none of {list(parameters.experiments)} has features to train on")
    cautions = [*dict.fromkeys(caution for found in checked.values() for caution in found)]
    for caution in cautions:
        logger.warning("%s: %s", corpus, caution)
    predictions = []
    # The train pipeline trains there, too.
    with files.held([models / name for name in possible]):
        title = f"{corpus}, {len(possible)} experiments"
        if parameters.search:
            possible, searched = candidates.searched(possible, parameters.search, models, title)
            for name, choices in searched.items():
                experiments[name]["searched"] = choices
        tasks = []
        for name, folds in possible.items():
            seeds = parameters.experiments[name].seeds
            tasks += tasks_of(folds, seeds, models / name)
            experiments[name]["key"] = " ".join(training_key(data, own, 0) for data, own in folds.values())
        trained = train_all(tasks, models, title)
        for name, folds in possible.items():
            train = parameters.experiments[name]
            of_run = facts_of(folds, train, made[name].audit)
            own = by_seed(islice(trained, train.seeds * len(folds)), list(folds))
            every, _, _ = tracked(corpus, name, description, folds, train, of_run, own)
            rows = every[(every["head"] == "tav") & every["split"].isin(("val", "test"))]
            predictions.append(rows.assign(experiment=name))
    return pd.concat(predictions, ignore_index=True), {
        "title": description["name"],
        "synthetic": description["synthetic"],
        "protocol": description["protocol"],
        "labels": digest(utterances),
        "majority_label": description.get("majority_label"),
        "cautions": cautions,
        "search": list(parameters.search),
        "experiments": experiments,
    }


def compare_experiments(
    predictions: pd.DataFrame,
    summary: dict[str, Any],
    utterances: pd.DataFrame,
    parameters: CompareParameters,
) -> pd.DataFrame:
    """The corpus's table: scores of each experiment, and its test against the reference."""
    from erc_kedro.audit.provenance import briefly
    from erc_kedro.evaluation.comparison import comparison_table
    from erc_kedro.evaluation.units import few_units, units_of
    from erc_kedro.report.scaling import scaled_by

    first: dict[str, str] = {}
    same_as = {}
    # The reference first: others are the same as it, not it as them.
    for name, facts in sorted(
        summary["experiments"].items(), key=lambda item: item[0] != parameters.reference
    ):
        if facts["key"] is not None and first.setdefault(facts["key"], name) != name:
            same_as[name] = first[facts["key"]]
    table = comparison_table(
        predictions,
        units_of(utterances),
        list(summary["experiments"]),
        parameters.reference,
        parameters.draws,
        same_as,
        summary["majority_label"],
    )
    if caution := few_units(int(table["units"].max()), table["unit"].iloc[0]):
        logger.warning("%s: %s", summary["title"], caution)
    for name, facts in summary["experiments"].items():
        row = table["experiment"] == name
        table.loc[row, "modalities"] = ", ".join(facts["shown"])
        scaled = scaled_by(facts["parameters"])
        table.loc[row, "made_of"] = "; ".join(
            f"{modality}: {briefly(made, scaled.get(modality, ''))}"
            for modality, made in facts["features"].items()
        )
        table.loc[row, "settings"] = settings_chosen(facts.get("searched"), summary.get("search") or [])
        if facts["key"] is None:
            table.loc[row, "note"] = "not trained: no training utterance has one of its modalities"
        elif name in same_as:
            table.loc[row, "note"] = f"the same as {same_as[name]} on this corpus"
    return table


def write_comparison(parameters: dict[str, Any], *compared: Any) -> tuple[pd.DataFrame, str]:
    """One table over all corpora, and the same as a page."""
    from erc_kedro import tracking
    from erc_kedro.escaping import csv_text
    from erc_kedro.report.pages.comparison import comparison_markdown

    named = {
        corpus: found
        for corpus, *found in zip(corpora(), compared[0::3], compared[1::3], compared[2::3], strict=True)
        if found[0] is not None
    }
    every = pd.concat([table.assign(corpus=corpus) for corpus, (table, *_) in named.items()])
    every = every[["corpus", *(column for column in every if column != "corpus")]].reset_index(drop=True)
    page = comparison_markdown(
        every,
        {corpus: summary for corpus, (_, summary, _) in named.items()},
        parameters["reference"],
        {corpus: table for corpus, (*_, table) in named.items() if table is not None},
    )
    tracking.current().text(page, "comparison.md")
    tracking.current().text(csv_text(every), "comparison.csv")
    return every, page
