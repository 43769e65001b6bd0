"""Every figure of a corpus, by name."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from erc_kedro.evaluation.metrics import class_names
from erc_kedro.report.labels import SLICES, slice_title
from erc_kedro.report.plots import networks, scores
from erc_kedro.report.plots.curves import learning_curves
from erc_kedro.report.plots.style import sentence
from erc_kedro.report.section import CorpusSection

NOT_TRAINED = "Not trained yet: kedro run --pipeline=train"
NOT_LABELLED = "No labelled test utterance was predicted."
NOT_COMPARED = "Not compared yet: kedro run --pipeline=compare"
NO_NETWORKS = "The trained networks are not there: kedro run --pipeline=train"
NO_WEIGHTS = "These networks have no such weights."
NO_MAP = "Too few labelled test utterances for a map, or an architecture without heads."


def figures_of(section: CorpusSection) -> dict[str, go.Figure]:
    """Each figure by name, in the order of the report; what cannot be drawn is a sentence that says why."""
    results, predictions, layout = section.results, section.predictions, section.layout
    options = f" --namespaces={section.name}{section.options}"
    not_trained, no_networks = NOT_TRAINED + options, NO_NETWORKS + options
    no_test = not_trained if predictions is None else NOT_LABELLED
    no_weights = no_networks if section.contributions is None else NO_WEIGHTS
    groups = section.description.get("groups") or {}
    slices = {slice_title(name, groups): results[name] for name in SLICES if name in results}

    def map_of(table: pd.DataFrame) -> go.Figure:
        known = sorted(table["label"].unique()) if predictions is None else class_names(predictions)
        return networks.layout_figure(table, known)

    # What each is drawn of, how, and what is said where that is not there.
    plans: dict[str, tuple[Any, Callable[[Any], go.Figure], str]] = {
        "confusion": (results.get("confusion"), scores.confusion_figure, no_test),
        "confusion_one_seed": (results.get("confusion_one_seed"), scores.confusion_figure, no_test),
        "per_class": (results.get("summary"), scores.per_class_figure, not_trained),
        "experiments": (section.comparison, scores.experiments_figure, NOT_COMPARED + options),
        "heads": (results.get("summary"), scores.heads_figure, not_trained),
        "gates": (results.get("gates"), networks.weights_figure, no_weights),
        "fusion": (results.get("fusion"), networks.weights_figure, no_weights),
        "degraded": (
            results.get("degraded"),
            networks.degraded_figure,
            no_networks if section.degraded is None else NOT_LABELLED,
        ),
        "slices": (slices or None, scores.slices_figure, no_test),
        "reliability": (results.get("reliability"), scores.reliability_figure, no_test),
        "selective": (results.get("selective"), scores.selective_figure, no_test),
        "layout": (
            layout if layout is not None and len(layout) else None,
            map_of,
            no_networks if layout is None else NO_MAP,
        ),
        "learning_curves": (section.history, learning_curves, not_trained),
    }
    return {name: sentence(why) if of is None else draw(of) for name, (of, draw, why) in plans.items()}
