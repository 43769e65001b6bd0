"""Nodes of the reporting pipeline."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc_kedro.pipelines import corpora

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure

    from erc_kedro.figures.report import CorpusSection

    Results = tuple[CorpusSection, dict[str, Any] | None]
else:
    DataFrame = Figure = Results = Any

logger = logging.getLogger(__name__)

SCALED_BY_SPEAKER = (
    "Each speaker's {} features are scaled by that speaker's own mean and deviation. No label is read, but "
    "all that the speaker says in the split is, later utterances too."
)
SEARCHED = (
    "These settings are trial {trial} of a search of {trials} trials, picked by validation. Its score there, "
    "{search:.4f} weighted F1 (seeds {first} to {last}; the configuration before it had {default:.4f}), is "
    "optimistic, since it is the best of many. Trained afresh on {fresh} other seeds, validation is "
    "{retrained:.4f}. Only the retrained models have seen the test split."
)
PACKAGES = ("erc-kedro", "kedro", "torch", "transformers", "mlflow", "pandas", "scikit-learn")


def gather_results(
    utterances: DataFrame | None,
    card: dict[str, Any] | None,
    audit: dict[str, Any] | None,
    features_audit: dict[str, Any] | None,
    predictions: DataFrame | None,
    metrics: DataFrame | None,
    history: DataFrame | None,
    training_card: dict[str, Any] | None,
    tuning: dict[str, Any] | None,
) -> Results:
    """What the page shows of one corpus, and the parameters behind it."""
    from erc_kedro.figures.report import CorpusSection

    training = training_card or {}
    card = {**(card or {}), "fingerprint": training.get("data_fingerprint")}
    if predictions is not None and utterances is not None and not _same(predictions, utterances):
        sentence = (
            "The predictions on disk are of another version of this corpus and are not shown; "
            "`kedro run --pipeline=train` makes new ones."
        )
        logger.warning("%s: %s", card.get("name"), sentence)
        card["notes"] = [*card.get("notes", []), sentence]
        predictions = metrics = history = None
    by_speaker = [
        m for m, how in (training.get("parameters") or {}).get("scaling", {}).items() if how == "speaker"
    ]
    if by_speaker and predictions is not None:
        card["notes"] = [*card.get("notes", []), SCALED_BY_SPEAKER.format(" and ".join(by_speaker))]
    if tuning is not None and metrics is not None and _tuned(training, tuning):
        card["notes"] = [*card.get("notes", []), _search_and_retrained(tuning, metrics)]
    section = CorpusSection("", card, predictions, metrics, history, audit, features_audit, utterances)
    return section, training.get("parameters")


def draw_figures(results: Results) -> tuple[Figure, Figure, Figure]:
    """Confusion, per-class and learning-curve figures; a sentence where the corpus is not trained yet."""
    from erc_kedro import figures
    from erc_kedro.evaluation.metrics import confusion

    section, _ = results
    if section.predictions is None or section.metrics is None or section.history is None:
        return (figures.sentence("Not trained yet: kedro run --pipeline=train"),) * 3
    return (
        figures.confusion_figure(confusion(section.predictions, "test")),
        figures.per_class_figure(section.metrics),
        figures.learning_curves(section.history),
    )


def write_report(experiment: str, *results: Results) -> tuple[str, str]:
    """The HTML page and the headline table in Markdown."""
    from dataclasses import replace

    from erc_kedro import tracking
    from erc_kedro.figures.report import headline_markdown, render_report

    named = dict(zip(corpora(), results, strict=True))
    sections = [replace(section, name=corpus) for corpus, (section, _) in named.items()]
    parameters = {corpus: used for corpus, (_, used) in named.items()}
    page = render_report(sections, _facts(experiment, parameters))
    table = headline_markdown(sections)
    run = tracking.current()
    run.text(page, "report.html")
    run.text(table, "report.md")
    return page, table


def _same(predictions: DataFrame, utterances: DataFrame) -> bool:
    """Whether predictions are of exactly these utterances, with these labels and splits."""
    columns = ["utterance_id", "label", "split"]
    then = predictions[columns].drop_duplicates().sort_values("utterance_id").fillna("").astype(str)
    now = utterances[columns].sort_values("utterance_id").fillna("").astype(str)
    return bool((then.to_numpy().tolist()) == now.to_numpy().tolist())


def _tuned(training: dict[str, Any], tuning: dict[str, Any]) -> bool:
    """Whether the experiment was trained with what the search found."""
    used = training.get("parameters") or {}
    return training.get("experiment") == tuning["experiment"] and tuning["train"].items() <= used.items()


def _search_and_retrained(tuning: dict[str, Any], metrics: DataFrame) -> str:
    from erc_kedro.evaluation.metrics import summary

    rows = summary(metrics).query("split == 'val' and head == 'tav' and metric == 'weighted_f1'")
    return SEARCHED.format(
        **tuning,
        first=min(tuning["seeds"]),
        last=max(tuning["seeds"]),
        fresh=metrics["seed"].nunique(),
        retrained=float(rows["mean"].iloc[0]),
    )


def _facts(experiment: str, parameters: dict[str, Any]) -> dict[str, Any]:
    from datetime import UTC, datetime
    from importlib.metadata import version

    from erc_kedro import tracking

    return {
        "command": " ".join(["kedro", *sys.argv[1:]]),
        "experiment": experiment,
        "revision": tracking.git_revision(Path.cwd()),
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in PACKAGES},
        "parameters": parameters,
    }
