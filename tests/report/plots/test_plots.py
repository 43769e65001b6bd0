"""Figures hold the numbers of their tables."""

import numpy as np
import pandas as pd
import pytest

from erc_kedro.evaluation.metrics import summary
from erc_kedro.report.plots import curves, scores
from erc_kedro.report.plots.style import sentence

CLASSES = ["joy", "<b>anger</b>", "fear"]


def metrics(seeds=(0, 1, 2)):
    rng = np.random.default_rng(2)
    names = ["weighted_f1", *(f"f1_{name}" for name in CLASSES)]
    return pd.DataFrame(
        [
            (seed, split, head, name, rng.random())
            for seed in seeds
            for split in ("val", "test")
            for head in ("t", "tav")
            for name in names
        ],
        columns=["seed", "split", "head", "metric", "value"],
    )


def history(seeds=2, epochs=4):
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        [(seed, epoch, rng.random(), rng.random()) for seed in range(seeds) for epoch in range(epochs)],
        columns=["seed", "epoch", "train_loss", "val_weighted_f1"],
    )
    best = table.groupby("seed")["val_weighted_f1"].transform("max")
    return table.assign(selected=table["val_weighted_f1"] == best)


def test_learning_curves_star_the_chosen_epoch():
    table = history()
    stars = [trace for trace in curves.learning_curves(table).data if trace.mode == "markers"]
    assert len(stars) == 2
    for star, (_, run) in zip(stars, table.groupby("seed"), strict=True):
        best = run.loc[run["val_weighted_f1"].idxmax()]
        assert list(star.x) == [best["epoch"]]
        assert list(star.y) == pytest.approx([100 * best["val_weighted_f1"]])


def test_learning_curves_draw_the_validation_loss_where_there_is_one():
    table = history(seeds=1)
    with_loss = curves.learning_curves(table.assign(val_loss=1.0))
    assert len(with_loss.data) == len(curves.learning_curves(table).data) + 1


def test_more_seeds_than_colours_stay_apart():
    drawn = curves.learning_curves(history(seeds=20)).data
    styles = {(t.line.color, t.line.dash) for t in drawn if t.mode == "lines" and t.yaxis == "y"}
    assert len(styles) == 20


def test_confusion_is_normalised_by_row_and_an_absent_class_stays_blank():
    counts = pd.DataFrame([[6, 2, 0], [1, 3, 0], [0, 0, 0]], index=CLASSES, columns=CLASSES)
    heat = scores.confusion_figure(counts).data[0]
    shares = np.array(heat.z, dtype=float)
    assert shares[:2] == pytest.approx(np.array([[75, 25, 0], [25, 75, 0]]))
    assert np.isnan(shares[2]).all()
    assert heat.text[0][0] == "75%<br>6"
    assert set(heat.text[2]) == {""}
    assert heat.x[1] == "&lt;b&gt;anger&lt;/b&gt;"


def test_per_class_figure_shows_test_of_the_trimodal_head():
    table = metrics()
    bar = scores.per_class_figure(summary(table)).data[0]
    rows = table.query("split == 'test' and head == 'tav'")
    for name, mean, std in zip(CLASSES, bar.x, bar.error_x.array, strict=True):
        values = 100 * rows.loc[rows["metric"] == f"f1_{name}", "value"]
        assert mean == pytest.approx(values.mean())
        assert std == pytest.approx(values.std())


def test_a_class_without_a_score_has_no_bar():
    table = metrics()
    table.loc[table["metric"] == "f1_fear", "value"] = np.nan
    assert len(scores.per_class_figure(summary(table)).data[0].x) == 2


def test_heads_figure_orders_heads_and_bears_one_seed():
    chart = scores.heads_figure(summary(metrics(seeds=(4,)).sample(frac=1, random_state=0)))
    assert list(chart.data[0].y) == ["text (t)", "all three (tav)"]
    assert list(chart.data[0].error_x.array) == [0, 0]
    assert "±" not in "".join(chart.layout.yaxis.ticktext)


def test_comparison_shows_intervals_and_bears_their_absence():
    table = pd.DataFrame(
        {"corpus": ["A", "B"], "mean": [0.6, 0.5], "low": [0.55, np.nan], "high": [0.7, np.nan]}
    )
    points = scores.comparison_figure(table).data[0]
    assert list(points.error_x.array) == pytest.approx([10, 0])
    assert list(points.error_x.arrayminus) == pytest.approx([5, 0])


def test_a_sentence_stands_without_axes():
    chart = sentence("Not trained <yet>")
    assert chart.layout.annotations[0].text == "Not trained &lt;yet&gt;"
    assert not chart.layout.xaxis.visible


def test_empty_tables_leave_a_sentence_and_no_axes():
    counts = pd.DataFrame(0, index=CLASSES, columns=CLASSES)
    validation = metrics().query("split == 'val'")
    for chart in (
        scores.confusion_figure(counts),
        scores.per_class_figure(summary(validation)),
        scores.heads_figure(summary(validation.head(0))),
        curves.learning_curves(history().head(0)),
    ):
        assert chart.layout.annotations[0].text.startswith("No ")
        assert not chart.data
