"""Learning curves from the training history."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from erc_kedro.report.plots.style import DASHES, PALETTE, TEMPLATE, plain, sentence


def learning_curves(history: pd.DataFrame) -> go.Figure:
    """Validation weighted F1 (× 100) above the losses, one line a seed, the chosen epoch starred.

    The validation loss is dotted. Of folds, the first seed's are shown, one line a fold.

    Args:
        history: one row a seed and epoch with columns seed, epoch, train_loss, val_weighted_f1 (0 to
            1), selected (bool) and optionally val_loss and fold.
    """
    if history.empty:
        return sentence("No epoch was trained.")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.55, 0.45])
    figure.update_layout(template=TEMPLATE, height=460, legend={"tracegroupgap": 0})
    by = "fold" if "fold" in history else "seed"
    shown = history[history["seed"] == history["seed"].min()] if by == "fold" else history
    for number, (key, run) in enumerate(shown.sort_values("epoch").groupby(by)):
        name = f"{by} {plain(key)}"
        line = {
            "color": PALETTE[number % len(PALETTE)],
            "dash": DASHES[number // len(PALETTE) % len(DASHES)],
            "width": 1.8,
        }
        group = {"legendgroup": name, "name": name, "mode": "lines", "line": line}
        figure.add_scatter(x=run["epoch"], y=100 * run["val_weighted_f1"], row=1, col=1, **group)
        figure.add_scatter(
            x=run["epoch"],
            y=run["train_loss"],
            row=2,
            col=1,
            showlegend=False,
            **group | {"name": f"{name}, training"},
        )
        if "val_loss" in run and run["val_loss"].notna().any():
            figure.add_scatter(
                x=run["epoch"],
                y=run["val_loss"],
                row=2,
                col=1,
                showlegend=False,
                **group | {"name": f"{name}, validation", "line": {**line, "dash": "dot"}},
            )
        chosen = run[run["selected"].astype(bool)]
        figure.add_scatter(
            x=chosen["epoch"],
            y=100 * chosen["val_weighted_f1"],
            row=1,
            col=1,
            mode="markers",
            marker={
                "symbol": "star",
                "size": 13,
                "color": line["color"],
                "line": {"width": 1, "color": "white"},
            },
            legendgroup=name,
            showlegend=False,
            name=f"{name}, chosen epoch",
        )
    figure.update_yaxes(title_text="validation F1", row=1, col=1)
    figure.update_yaxes(title_text="loss", row=2, col=1)
    figure.update_xaxes(title_text="epoch", row=2, col=1)
    return figure
