"""Tables in, Plotly figures and pages out; nothing here reads or writes a file of results."""

from erc_kedro.figures.curves import learning_curves
from erc_kedro.figures.scores import comparison_figure, confusion_figure, heads_figure, per_class_figure
from erc_kedro.figures.style import sentence

__all__ = [
    "comparison_figure",
    "confusion_figure",
    "heads_figure",
    "learning_curves",
    "per_class_figure",
    "sentence",
]
