"""One look for every figure: readable in print, on a phone and by colour-blind people."""

import hashlib
from html import escape

import plotly.graph_objects as go

from erc_kedro.escaping import line

# Okabe and Ito's palette (jfly.uni-koeln.de/color), without its yellow, which is lost on white paper.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
INK, RULE = "#1f2933", "#d9dee4"
# White to the palette's blue: lightness alone carries the order, so it survives greyscale printing.
SEQUENTIAL = ((0.0, "#ffffff"), (0.5, "#7fb3d5"), (1.0, "#00446b"))
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")

# Characters of a label.
_LONGEST = 40

_AXIS = {
    "gridcolor": RULE,
    "linecolor": INK,
    "zerolinecolor": RULE,
    "automargin": True,
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": RULE,
    "title": {"standoff": 8},
}
TEMPLATE = go.layout.Template(
    layout={
        "font": {
            "family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif",
            "size": 13,
            "color": INK,
        },
        "colorway": PALETTE,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 24, "t": 16, "b": 8},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0},
        "hoverlabel": {"font": {"family": "system-ui, sans-serif"}},
        "height": 340,
    }
)


def figure(**layout: object) -> go.Figure:
    """An empty figure in the house template."""
    return go.Figure(layout={"template": TEMPLATE, **layout})


def plain(text: object) -> str:
    """Text that Plotly shows as it stands: its labels otherwise take ``<b>`` or ``<a>`` as markup.

    What is too long for a label is cut, and ends with a hash: no two names become one.
    """
    shown = line(text, longest=_LONGEST)
    if len(str(text)) > _LONGEST:
        shown += hashlib.sha256(str(text).encode("utf-8", "replace")).hexdigest()[:6]
    return escape(shown, quote=False)


def sentence(text: str) -> go.Figure:
    """A figure that holds a sentence instead of empty axes."""
    chart = figure(height=120, xaxis={"visible": False}, yaxis={"visible": False})
    chart.add_annotation(
        text=escape(line(text), quote=False), showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5
    )
    return chart
