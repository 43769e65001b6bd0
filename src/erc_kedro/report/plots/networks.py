"""Figures of what the networks do inside: weights by emotion, lost modalities, maps."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from erc_kedro.report.labels import HEAD_NAMES
from erc_kedro.report.plots.style import (
    DASHES,
    PALETTE,
    SEQUENTIAL,
    SYMBOLS,
    TEMPLATE,
    figure,
    plain,
    sentence,
)

# Panels of the map, in this order.
MAPPED = ("tav", "t", "a", "v")


def weights_figure(table: pd.DataFrame) -> go.Figure:
    """Mean weights as a heat map with their numbers.

    Args:
        table: columns part, one an emotion, all; weights in 0 to 1, as ``weights_by_emotion`` of
            ``evaluation.results`` has them.
    """
    if not len(table):
        return sentence("These networks have no such weights.")
    values = table.iloc[:, 1:].to_numpy(float)
    chart = figure(height=110 + 34 * len(table))
    chart.add_heatmap(
        z=values,
        x=[plain(name) for name in table.columns[1:]],
        y=[plain(part).replace("&gt;", " to ") for part in table.iloc[:, 0]],
        text=[["" if np.isnan(v) else f"{v:.2f}" for v in row] for row in values],
        texttemplate="%{text}",
        colorscale=SEQUENTIAL,
        # Weights lie close together: the colours span what there is, the numbers say how little that is.
        zmin=float(np.nanmin(values)),
        zmax=max(float(np.nanmax(values)), float(np.nanmin(values)) + 0.01),
        xgap=1,
        ygap=1,
        showscale=False,
        hovertemplate="%{y}, %{x}: %{text}<extra></extra>",
    )
    chart.update_xaxes(title_text="true emotion", showgrid=False, type="category")
    chart.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return chart


def degraded_figure(scores: pd.DataFrame) -> go.Figure:
    """Weighted F1 (× 100) on test as one modality is lost or drowned in noise.

    Args:
        scores: ``evaluation.slices.degradation_scores``.
    """
    if scores.empty:
        return sentence("No labelled test utterance, so no score.")
    chart = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    chart.update_layout(template=TEMPLATE, height=360)
    for column, kind in enumerate(("missing", "noise"), 1):
        for number, (name, rows) in enumerate(scores[scores["kind"] == kind].groupby("modality", sort=False)):
            chart.add_scatter(
                x=rows["amount"] * (100 if kind == "missing" else 1),
                y=100 * rows["weighted_f1"],
                error_y={
                    "type": "data",
                    "array": (100 * rows["weighted_f1_std"]).fillna(0),
                    "thickness": 1.2,
                },
                mode="lines+markers",
                name=plain(name),
                legendgroup=str(name),
                showlegend=column == 1,
                line={"color": PALETTE[number], "dash": DASHES[number], "width": 2},
                marker={"symbol": SYMBOLS[number], "size": 8},
                row=1,
                col=column,
            )
    chart.update_xaxes(title_text="% of utterances without it", row=1, col=1)
    chart.update_xaxes(title_text="noise, in deviations", row=1, col=2)
    chart.update_yaxes(title_text="weighted F1 on test", row=1, col=1)
    return chart


def layout_figure(layout: pd.DataFrame, classes: list[str]) -> go.Figure:
    """The t-SNE maps of the representations, coloured and marked by true emotion.

    Args:
        layout: ``schemas.layout``.
        classes: the emotions, in order.
    """
    heads = [head for head in MAPPED if head in set(layout["head"])]
    if not heads:
        return sentence("Too few labelled test utterances for a map.")
    rows = (len(heads) + 1) // 2
    names = [HEAD_NAMES[head] for head in heads]
    chart = make_subplots(
        rows=rows, cols=2 if len(heads) > 1 else 1, subplot_titles=names, vertical_spacing=0.08
    )
    chart.update_layout(template=TEMPLATE, height=80 + 320 * rows, legend={"y": 1.06})
    for number, head in enumerate(heads):
        here = layout[layout["head"] == head]
        for index, name in enumerate(classes):
            points = here[here["label"] == name]
            chart.add_scatter(
                x=points["x"],
                y=points["y"],
                mode="markers",
                name=plain(name),
                legendgroup=plain(name),
                showlegend=number == 0,
                marker={
                    "color": PALETTE[index % len(PALETTE)],
                    # Colours come round sooner than the pairs of colour and symbol.
                    "symbol": SYMBOLS[(index + index // len(PALETTE)) % len(SYMBOLS)],
                    "size": 6,
                    "opacity": 0.75,
                },
                hoverinfo="name",
                row=number // 2 + 1,
                col=number % 2 + 1,
            )
    chart.update_xaxes(showticklabels=False, showgrid=False, zeroline=False, ticks="")
    chart.update_yaxes(showticklabels=False, showgrid=False, zeroline=False, ticks="")
    return chart
