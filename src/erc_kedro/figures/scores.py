"""Figures of scores: per class, per head, per corpus, and the confusion matrix."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from erc_kedro.evaluation.metrics import summary
from erc_kedro.figures.style import PALETTE, SEQUENTIAL, figure, plain, sentence
from erc_kedro.schemas import HEADS

HEAD_NAMES = {
    "t": "text",
    "a": "audio",
    "v": "visual",
    "ta": "text + audio",
    "tv": "text + visual",
    "av": "audio + visual",
    "tav": "all three",
}

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
    chart.update_xaxes(title_text="predicted", side="bottom", showgrid=False)
    chart.update_yaxes(title_text="truth", autorange="reversed", showgrid=False)
    return chart


def per_class_figure(metrics: pd.DataFrame) -> go.Figure:
    """F1 (× 100) of each class on test, mean and standard deviation over seeds, trimodal head.

    Args:
        metrics: the long metrics table (seed, split, head, metric, value).
    """
    rows = _test(metrics).query("head == 'tav'")
    rows = rows[rows["metric"].str.startswith("f1_") & rows["mean"].notna()]
    if rows.empty:
        return sentence(NO_SCORE)
    chart = figure(height=70 + 42 * max(len(rows), 2))
    _bars(chart, [plain(name.removeprefix("f1_")) for name in rows["metric"]], rows, PALETTE[0])
    chart.update_xaxes(title_text="F1 on test", range=[0, 100])
    return chart


def heads_figure(metrics: pd.DataFrame) -> go.Figure:
    """Weighted F1 (× 100) on test of each head, mean and standard deviation over seeds.

    Args:
        metrics: the long metrics table (seed, split, head, metric, value).
    """
    rows = _test(metrics).query("metric == 'weighted_f1'").set_index("head")
    heads = [head for head in HEADS if head in rows.index]
    if not heads:
        return sentence(NO_SCORE)
    rows = rows.loc[heads]
    chart = figure(height=70 + 42 * max(len(rows), 2))
    colours = [PALETTE[1] if head == "tav" else PALETTE[0] for head in heads]
    _bars(chart, [f"{HEAD_NAMES[head]} ({head})" for head in heads], rows, colours)
    chart.update_xaxes(title_text="weighted F1 on test", range=[0, 100])
    return chart


def comparison_figure(headline: pd.DataFrame) -> go.Figure:
    """Test weighted F1 (× 100) of each corpus with its interval over dialogues.

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


def _test(metrics: pd.DataFrame) -> pd.DataFrame:
    return summary(metrics[metrics["split"] == "test"])


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
