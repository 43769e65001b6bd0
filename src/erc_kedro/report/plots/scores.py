"""Figures of scores: per class, head, part, corpus and experiment, confusion and calibration."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from erc_kedro.evaluation.metrics import ECE_BINS, PREDICTION
from erc_kedro.evaluation.units import FEWEST
from erc_kedro.report.labels import head_label
from erc_kedro.report.plots.style import (
    DASHES,
    INK,
    PALETTE,
    SEQUENTIAL,
    SYMBOLS,
    TEMPLATE,
    figure,
    plain,
    sentence,
)
from erc_kedro.schemas import HEADS

NO_SCORE = "No labelled test utterance, so no score."


def confusion_figure(counts: pd.DataFrame) -> go.Figure:
    """Confusion matrix coloured by share of each true class, with percent and counts in the cells.

    Args:
        counts: [C, C], rows the truth, columns the prediction (``evaluation.metrics.confusion``).
    """
    values = counts.to_numpy()
    if not values.any():
        return sentence("No labelled utterance was predicted.")
    totals = values.sum(axis=1, keepdims=True)
    shares = 100 * values / np.maximum(totals, 1)
    text = [
        [f"{share:.0f}%<br>{count}" if total else "" for share, count in zip(*row, strict=True)]
        for row, total in zip(zip(shares, values, strict=True), totals[:, 0], strict=True)
    ]
    chart = figure(height=140 + 48 * len(counts))
    chart.add_heatmap(
        # A class without utterances has no shares; an empty row says so where zeros would not.
        z=np.where(totals > 0, shares, np.nan),
        x=[plain(name) for name in counts.columns],
        y=[plain(name) for name in counts.index],
        text=text,
        texttemplate="%{text}",
        textfont={"size": 11},
        colorscale=SEQUENTIAL,
        zmin=0,
        zmax=100,
        xgap=1,
        ygap=1,
        showscale=False,
        hovertemplate="truth %{y}<br>predicted %{x}<br>%{text}<extra></extra>",
    )
    chart.update_xaxes(title_text="predicted", side="bottom", showgrid=False, type="category")
    chart.update_yaxes(title_text="truth", autorange="reversed", showgrid=False, type="category")
    return chart


def per_class_figure(spread: pd.DataFrame) -> go.Figure:
    """F1 (× 100) of each class on test, mean and standard deviation over seeds, trimodal head.

    Args:
        spread: ``evaluation.metrics.summary``.
    """
    rows = spread.query("split == 'test' and head == @PREDICTION")
    rows = rows[rows["metric"].str.startswith("f1_") & rows["mean"].notna()]
    if rows.empty:
        return sentence(NO_SCORE)
    chart = figure(height=70 + 42 * max(len(rows), 2))
    _bars(chart, [plain(name.removeprefix("f1_")) for name in rows["metric"]], rows, PALETTE[0])
    chart.update_xaxes(title_text="F1 on test", range=[0, 100])
    return chart


def heads_figure(spread: pd.DataFrame) -> go.Figure:
    """Weighted F1 (× 100) on test of each head, mean and standard deviation over seeds.

    Args:
        spread: ``evaluation.metrics.summary``.
    """
    rows = spread.query("split == 'test' and metric == 'weighted_f1'").set_index("head")
    heads = [head for head in HEADS if head in rows.index]
    if not heads:
        return sentence(NO_SCORE)
    rows = rows.loc[heads]
    chart = figure(height=70 + 42 * max(len(rows), 2))
    colours = [PALETTE[1] if head == PREDICTION else PALETTE[0] for head in heads]
    _bars(chart, [head_label(head) for head in heads], rows, colours)
    chart.update_xaxes(title_text="weighted F1 on test", range=[0, 100])
    return chart


def comparison_figure(headline: pd.DataFrame) -> go.Figure:
    """Test weighted F1 (× 100) of each corpus with its interval.

    Args:
        headline: one row a corpus with columns corpus, mean, low, high in 0 to 1; low and high may be
            NaN, which leaves the bar out.
    """
    chart = figure(height=90 + 44 * max(len(headline), 2))
    mean, low, high = (100 * headline[column] for column in ("mean", "low", "high"))
    chart.add_scatter(
        x=mean,
        y=[plain(name) for name in headline["corpus"]],
        mode="markers",
        marker={"size": 11, "color": PALETTE[0]},
        error_x={
            "type": "data",
            "array": (high - mean).fillna(0),
            "arrayminus": (mean - low).fillna(0),
            "thickness": 1.6,
            "width": 6,
        },
        customdata=np.column_stack([low, high]),
        hovertemplate="%{y}: %{x:.1f} [%{customdata[0]:.1f}, %{customdata[1]:.1f}]<extra></extra>",
    )
    chart.update_xaxes(title_text="weighted F1 on test", range=[0, 100])
    chart.update_yaxes(autorange="reversed", type="category")
    return chart


def _bars(chart: go.Figure, names: list[str], rows: pd.DataFrame, colour: str | list[str]) -> None:
    mean, std = 100 * rows["mean"], 100 * rows["std"]
    printed = [f"{m:.1f}" if np.isnan(s) else f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, std, strict=True)]
    chart.add_bar(
        x=mean,
        y=names,
        orientation="h",
        marker_color=colour,
        error_x={"type": "data", "array": std.fillna(0), "thickness": 1.4, "width": 4},
        customdata=printed,
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )
    # The numbers stand under the names, where no bar or error bar can cross them.
    labels = [f"{name}<br><b>{value}</b>" for name, value in zip(names, printed, strict=True)]
    chart.update_yaxes(autorange="reversed", type="category", tickvals=names, ticktext=labels)


def slices_figure(parts: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Weighted F1 (× 100) on test of each part, one panel for each way to part it.

    Args:
        parts: by title, tables of ``evaluation.slices.slice_scores``.
    """
    parts = {title: table for title, table in parts.items() if len(table)}
    if not parts:
        return sentence(NO_SCORE)
    heights = [len(table) + 1 for table in parts.values()]
    chart = make_subplots(
        rows=len(parts),
        cols=1,
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=min(0.06, 1 / (2 * len(parts))),
        subplot_titles=[plain(title) for title in parts],
    )
    chart.update_layout(template=TEMPLATE, height=110 + 30 * sum(heights), showlegend=False, margin={"t": 36})
    for row, scores in enumerate(parts.values(), 1):
        chart.add_scatter(
            x=100 * scores["weighted_f1"],
            y=[
                f"{plain(part)} ({count:,})"
                for part, count in zip(scores["part"], scores["utterances"], strict=True)
            ],
            error_x={"type": "data", "array": (100 * scores["weighted_f1_std"]).fillna(0), "thickness": 1.4},
            mode="markers",
            marker={"size": 10, "color": PALETTE[0]},
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1f}<extra></extra>",
            row=row,
            col=1,
        )
    chart.update_xaxes(range=[0, 102])
    chart.update_xaxes(title_text="weighted F1 on test", row=len(parts), col=1)
    chart.update_yaxes(autorange="reversed", type="category")
    return chart


def experiments_figure(comparison: pd.DataFrame) -> go.Figure:
    """Test weighted F1 (× 100) of each experiment with its interval, the best first.

    Args:
        comparison: ``schemas.comparison``. Filled markers differ from the reference at p < .05 after
            correction, over ``FEWEST`` units or more.
    """
    rows = comparison[comparison["weighted_f1"].notna()].sort_values("weighted_f1", ascending=False)
    if rows.empty:
        return sentence("No experiment was scored on test.")
    chart = figure(height=100 + 26 * len(rows))
    mean = 100 * rows["weighted_f1"]
    # As the verdicts have it: of few units nothing is shown.
    enough = rows["units"] >= FEWEST if "units" in rows else True
    differs = (rows["p_corrected"] < 0.05) & enough
    chart.add_scatter(
        x=mean,
        y=[plain(name) for name in rows["experiment"]],
        mode="markers",
        marker={
            "size": 10,
            "color": PALETTE[0],
            "symbol": np.where(differs, "circle", "circle-open"),
            "line": {"width": 2},
        },
        error_x={
            "type": "data",
            "array": (100 * rows["high"] - mean).fillna(0),
            "arrayminus": (mean - 100 * rows["low"]).fillna(0),
            "thickness": 1.4,
            "width": 4,
        },
        hovertemplate="%{y}: %{x:.1f}<extra></extra>",
    )
    chart.update_xaxes(title_text="weighted F1 on test")
    chart.update_yaxes(autorange="reversed", type="category")
    return chart


def reliability_figure(bins: pd.DataFrame) -> go.Figure:
    """Accuracy against confidence on test, before and after the temperature, with the share of answers below.

    Args:
        bins: ``evaluation.calibration.reliability``.
    """
    if bins.empty:
        return sentence(NO_SCORE)
    chart = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.75, 0.25], vertical_spacing=0.06)
    chart.update_layout(template=TEMPLATE, height=460, barmode="group")
    chart.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line={"color": INK, "dash": "dot", "width": 1},
        name="perfect",
        hoverinfo="skip",
        row=1,
        col=1,
    )
    for number, (after, rows) in enumerate(bins.groupby("scaled")):
        name = "with temperature" if after else "as trained"
        colour = PALETTE[number]
        chart.add_scatter(
            x=100 * rows["confidence"],
            y=100 * rows["accuracy"],
            mode="lines+markers",
            name=name,
            legendgroup=name,
            line={"color": colour, "dash": DASHES[number]},
            marker={"symbol": SYMBOLS[number], "size": 8},
            customdata=rows["count"],
            cliponaxis=False,
            hovertemplate="confidence %{x:.0f}, accuracy %{y:.0f} (%{customdata:,} predictions)",
            row=1,
            col=1,
        )
        chart.add_bar(
            x=100 * (rows["bin"] + 0.5) / ECE_BINS,
            y=100 * rows["count"] / rows["count"].sum(),
            marker_color=colour,
            name=name,
            legendgroup=name,
            showlegend=False,
            row=2,
            col=1,
        )
    chart.update_yaxes(title_text="accuracy", range=[0, 100], row=1, col=1)
    chart.update_yaxes(title_text="% of all", row=2, col=1)
    chart.update_xaxes(range=[0, 100])
    chart.update_xaxes(title_text="confidence (highest probability × 100)", row=2, col=1)
    return chart


def selective_figure(table: pd.DataFrame) -> go.Figure:
    """Scores (× 100) on test of the most confident utterances alone, by the share that is answered.

    Args:
        table: ``evaluation.calibration.selective_table``.
    """
    if table.empty:
        return sentence(NO_SCORE)
    chart = figure(height=340)
    for number, (column, name) in enumerate({"accuracy": "accuracy", "weighted_f1": "weighted F1"}.items()):
        chart.add_scatter(
            x=100 * table["coverage"],
            y=100 * table[column],
            error_y={"type": "data", "array": (100 * table[f"{column}_std"]).fillna(0), "thickness": 1},
            mode="lines+markers",
            name=name,
            line={"color": PALETTE[number], "dash": DASHES[number]},
            marker={"symbol": SYMBOLS[number], "size": 7},
        )
    chart.update_xaxes(title_text="% of test utterances answered, the most confident first", range=[0, 102])
    low = 100 * float(table[["accuracy", "weighted_f1"]].to_numpy().min())
    chart.update_yaxes(title_text="score on what is answered", range=[max(low - 8, 0), 101])
    return chart
