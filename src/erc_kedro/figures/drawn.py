"""Every figure of a corpus, by name."""

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go

from erc_kedro.evaluation.calibration import reliability
from erc_kedro.evaluation.metrics import class_names, confusion
from erc_kedro.figures import networks, scores
from erc_kedro.figures.curves import learning_curves
from erc_kedro.figures.section import CorpusSection
from erc_kedro.figures.style import sentence
from erc_kedro.figures.tables import SLICES

NOT_TRAINED = "Not trained yet: kedro run --pipeline=train"
NOT_LABELLED = "No labelled test utterance was predicted."
NOT_COMPARED = "Not compared yet: kedro run --pipeline=compare"
NO_NETWORKS = "The trained networks are not there: kedro run --pipeline=train"


def figures_of(section: CorpusSection) -> dict[str, go.Figure]:
    """Each figure by name, in the order of the report; what cannot be drawn is a sentence that says why."""
    tables, predictions = section.tables, section.predictions

    def counted(seed: int | None = None) -> go.Figure:
        assert predictions is not None
        rows = predictions if seed is None else predictions[predictions["seed"] == seed]
        return scores.confusion_figure(confusion(rows, "test"))

    def weights(name: str) -> go.Figure:
        frame = tables[name].frame
        return networks.weights_figure(frame, "true emotion")

    options = f" --namespaces={section.name}{section.options}"
    without_test = NOT_TRAINED + options if predictions is None else NOT_LABELLED
    untold = (
        NO_NETWORKS + options if section.contributions is None else "These networks have no such weights."
    )
    unmapped = (
        NO_NETWORKS + options
        if section.layout is None
        else "Too few labelled test utterances for a map, or an architecture without heads."
    )
    # What each rests on, how it is drawn, and what is said without it.
    plans: dict[str, tuple[bool, Callable[[], go.Figure], str]] = {
        "confusion": (section.scored, counted, without_test),
        "confusion_one_seed": (
            section.scored,
            lambda: counted(predictions["seed"].min() if predictions is not None else None),
            without_test,
        ),
        "per_class": (
            section.metrics is not None,
            lambda: scores.per_class_figure(_given(section.metrics)),
            NOT_TRAINED + options,
        ),
        "experiments": (
            section.comparison is not None,
            lambda: scores.experiments_figure(_given(section.comparison)),
            NOT_COMPARED + options,
        ),
        "heads": (
            section.metrics is not None,
            lambda: scores.heads_figure(_given(section.metrics)),
            NOT_TRAINED + options,
        ),
        "gates": ("gates" in tables, lambda: weights("gates"), untold),
        "fusion": ("fusion" in tables, lambda: weights("fusion"), untold),
        "degraded": (
            "degraded" in tables,
            lambda: networks.degraded_figure(tables["degraded"].frame),
            NO_NETWORKS + options if section.degraded is None else NOT_LABELLED,
        ),
        "slices": (
            any(name in tables for name in SLICES),
            lambda: scores.slices_figure({name: tables[name] for name in SLICES if name in tables}),
            without_test,
        ),
        "reliability": (
            section.scored,
            lambda: scores.reliability_figure(reliability(_given(predictions))),
            without_test,
        ),
        "selective": (
            section.scored,
            lambda: scores.selective_figure(tables["selective"].frame),
            without_test,
        ),
        "layout": (
            section.layout is not None and len(section.layout) > 0,
            lambda: networks.layout_figure(_given(section.layout), _classes(section)),
            unmapped,
        ),
        "learning_curves": (
            section.history is not None,
            lambda: learning_curves(_given(section.history)),
            NOT_TRAINED + options,
        ),
    }
    return {name: draw() if there else sentence(why) for name, (there, draw, why) in plans.items()}


def _classes(section: CorpusSection) -> list[str]:
    if section.predictions is not None:
        return class_names(section.predictions)
    return sorted(_given(section.layout)["label"].unique())


def _given(table: pd.DataFrame | None) -> pd.DataFrame:
    assert table is not None
    return table
