"""Nodes of the reporting pipeline."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from erc_kedro import processes
from erc_kedro.evaluation.comparison import digest
from erc_kedro.pipelines import corpora
from erc_kedro.pipelines.reporting.checks import how_searched, why_not_shown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from erc_kedro.report.section import CorpusSection
else:
    Figure = CorpusSection = Any

logger = logging.getLogger(__name__)

# In the order of the node's outputs; `report.plots.drawn` draws them.
FIGURES = (
    "confusion",
    "confusion_one_seed",
    "per_class",
    "experiments",
    "heads",
    "gates",
    "fusion",
    "degraded",
    "slices",
    "reliability",
    "selective",
    "layout",
    "learning_curves",
)
PACKAGES = ("erc-kedro", "kedro", "torch", "transformers", "mlflow", "pandas", "scikit-learn")


def inspect_networks(
    utterances: pd.DataFrame | None,
    text: pd.DataFrame | None,
    audio: pd.DataFrame | None,
    visual: pd.DataFrame | None,
    description: dict[str, Any] | None,
    predictions: pd.DataFrame | None,
    training_summary: dict[str, Any] | None,
    models: Path,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What the trained networks do inside, and without a modality; nothing is trained.

    Returns:
        Contributions, degraded predictions and the layout (by their schemas); without rows where the
        networks of the predictions on disk are not there, or have no such thing.
    """
    import torch

    from erc_kedro import schemas
    from erc_kedro.config import ConfigError
    from erc_kedro.inspection.networks import inspected
    from erc_kedro.parameters import TrainParameters
    from erc_kedro.pipelines.train.nodes import assembled

    tables = {"text": text, "audio": audio, "visual": visual}
    there = {name: table for name, table in tables.items() if table is not None}
    nothing = tuple(map(schemas.empty, (schemas.contributions, schemas.degraded, schemas.layout)))
    if utterances is None or description is None or len(there) < len(tables):
        return nothing  # type: ignore[return-value]
    if predictions is None or training_summary is None:
        return nothing  # type: ignore[return-value]
    try:
        parameters = TrainParameters(**training_summary["parameters"])
        # More threads than free cores wait for each other for minutes.
        torch.set_num_threads(parameters.threads)
        folds = assembled(utterances, there, description["labels"], parameters)
        shown = {name: data.only(own.shown) for name, (data, own) in folds.items()}
        return inspected(models, shown, predictions)
    except (ConfigError, ValueError) as error:
        # Features or a description of another version than the predictions; or the networks of some seeds,
        # whose means would pass for those of all.
        logger.warning("%s %s is not inspected: %s", models.parent.name, models.name, error)
        return nothing  # type: ignore[return-value]


def gather_results(
    utterances: pd.DataFrame | None,
    description: dict[str, Any] | None,
    audit: dict[str, Any] | None,
    features_audit: dict[str, Any] | None,
    predictions: pd.DataFrame | None,
    metrics: pd.DataFrame | None,
    history: pd.DataFrame | None,
    training_summary: dict[str, Any] | None,
    tuning: dict[str, Any] | None,
    comparison: pd.DataFrame | None,
    compared_summary: dict[str, Any] | None,
    contributions: pd.DataFrame,
    degraded: pd.DataFrame,
    layout: pd.DataFrame,
    models: Path,
) -> CorpusSection:
    """What the page shows of one corpus."""
    from erc_kedro.config import chosen_env
    from erc_kedro.folds import pooled
    from erc_kedro.report.section import CorpusSection

    training = training_summary or {}
    description = {**(description or {})}
    now = None if utterances is None else digest(utterances)
    if now is not None and (compared_summary or {}).get("labels") != now:
        comparison = None
    sentence = why_not_shown(training, now, predictions, metrics, history)
    if sentence is not None:
        logger.warning("%s: %s", description.get("name"), sentence)
        description["notes"] = [*description.get("notes", []), sentence]
        predictions = metrics = history = None
        training = {}
    description["fingerprint"] = training.get("data_fingerprint")
    if (found := how_searched(training, tuning, metrics)) is not None:
        description["notes"] = [*description.get("notes", []), found]
    inspected = len(degraded) + len(contributions) > 0
    return CorpusSection(
        models.parent.name,
        description,
        predictions,
        metrics,
        history,
        audit,
        features_audit,
        None if utterances is None else pooled(utterances),
        contributions if inspected else None,
        degraded if inspected else None,
        layout if inspected else None,
        comparison,
        training,
        (f" --env={chosen_env()}" if chosen_env() != "local" else "")
        + (f" --params=experiment={models.name}" if models.name != "full" else ""),
    )


def evaluate_results(gathered: CorpusSection) -> CorpusSection:
    """The same with all that is computed of its tables, intervals included, once for every page."""
    from erc_kedro.evaluation.results import corpus_results

    results = corpus_results(
        predictions=gathered.predictions,
        metrics=gathered.metrics,
        utterances=gathered.utterances,
        contributions=gathered.contributions,
        degraded=gathered.degraded,
        labels=gathered.description.get("labels") or (),
        groups=(gathered.description.get("groups") or {}).get("of"),
    )
    return replace(gathered, results=results)


def draw_figures(section: CorpusSection) -> tuple[dict[str, Figure] | Figure, ...]:
    """Every figure of a corpus by name, and then each in the order of ``FIGURES``."""
    from erc_kedro.report.plots.drawn import figures_of

    figures = figures_of(section)
    return figures, *(figures[name] for name in FIGURES)


def write_report(
    experiment: str, *sections_and_figures: Any
) -> tuple[str, str, dict[str, str], dict[str, str]]:
    """The HTML page, the headline in Markdown, every table as CSV, Markdown and LaTeX, and model cards.

    Args:
        sections_and_figures: the section of each corpus, and then the figures of each.
    """
    from erc_kedro import tracking
    from erc_kedro.report.pages.model_card import model_card
    from erc_kedro.report.pages.report import headline_markdown, render_report
    from erc_kedro.report.tables.files import files, files_of
    from erc_kedro.report.tables.scores import published, side_by_side

    half = len(sections_and_figures) // 2
    sections, figures = sections_and_figures[:half], sections_and_figures[half:]
    parameters = {section.name: section.training.get("parameters") for section in sections}
    facts = _facts(experiment, parameters)
    page, headline = render_report(sections, figures, facts), headline_markdown(sections)
    tables = {**files("headline", side_by_side(sections)), **files("published", published())}
    for section in sections:
        tables |= files_of(section)
    cards = {section.name: model_card(section, facts) for section in sections if section.metrics is not None}
    run = tracking.current()
    run.text(page, "report.html")
    run.text(headline, "report.md")
    for name, text in tables.items():
        run.text(text, f"tables/{name}")
    for section, drawn in zip(sections, figures, strict=True):
        for name, figure in drawn.items():
            run.text(figure.to_json(), f"figures/{section.name}_{name}.json")
    for section in sections:
        if section.name in cards:
            for key in section.training.get("keys") or []:
                tracking.attach(cards[section.name], "model/model_card.md", {"training_key": key})
    return page, headline, tables, cards


def compare_runs(
    chosen: list[str], experiment: str, report: str, *utterances: pd.DataFrame | None
) -> tuple[str, dict[str, str]]:
    """A page over MLflow runs and its tables: the chosen ones, or the latest where none are named."""
    from erc_kedro import tracking
    from erc_kedro.evaluation.runs import runs_comparison
    from erc_kedro.evaluation.units import units_of
    from erc_kedro.report.pages.runs import render_runs
    from erc_kedro.report.tables.files import files
    from erc_kedro.report.tables.runs import runs_table, tables_of_runs

    runs = tracking.runs([str(name) for name in chosen])
    if not chosen:
        # The first of a corpus is what the others are tested against.
        runs.sort(key=lambda run: run.tags.get("experiment") != experiment)
    units = {
        corpus: units_of(table)
        for corpus, table in zip(corpora(), utterances, strict=True)
        if table is not None
    }
    table = runs_table(runs, runs_comparison(runs, units))
    page = render_runs(runs, table, named=bool(chosen))
    tracking.current().text(page, "runs.html")
    tables: dict[str, str] = {}
    for name, made in tables_of_runs(runs, table).items():
        tables |= files(name, made)
    return page, tables


def _facts(experiment: str, parameters: dict[str, Any]) -> dict[str, Any]:
    from datetime import UTC, datetime
    from importlib.metadata import version

    from erc_kedro import tracking

    return {
        "command": processes.command(),
        "experiment": experiment,
        "revision": tracking.git_revision(Path.cwd()),
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in PACKAGES},
        "parameters": parameters,
    }
