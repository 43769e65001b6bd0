"""Calibration and selective prediction, against scikit-learn, SciPy's softmax and plain loops."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score, log_loss

from erc_kedro.evaluation.calibration import (
    calibration_table,
    reliability,
    selective_table,
    temperature,
    temperature_scaled,
)
from erc_kedro.evaluation.metrics import calibration_error, class_columns
from tests.evaluation.test_metrics import CLASSES, random_predictions


def split_of(table, seed, split="test", head="tav"):
    rows = table.query("seed == @seed and split == @split and head == @head and label.notna()")
    p = rows[class_columns(rows)].to_numpy(float)
    return p, np.array([CLASSES.index(name) for name in rows["label"]])


def test_the_temperature_that_was_put_in_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 4))
    truth = np.array([rng.choice(4, p=row) for row in softmax(logits, axis=1)])
    assert temperature(softmax(2.5 * logits, axis=1), truth) == pytest.approx(2.5, rel=0.05)
    assert temperature(softmax(logits / 3, axis=1), truth) == pytest.approx(1 / 3, rel=0.05)


def test_no_other_temperature_is_likelier():
    p, truth = split_of(random_predictions(), 0)
    best = temperature(p, truth)
    loss = log_loss(truth, temperature_scaled(p, best), labels=range(4))
    for factor in (0.9, 1.1):
        assert log_loss(truth, temperature_scaled(p, best * factor), labels=range(4)) > loss


def test_temperature_scaling_is_a_softmax_of_logits_and_changes_no_prediction():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (50, 4))
    p = softmax(logits, axis=1)
    assert temperature_scaled(p, 1.7) == pytest.approx(softmax(logits / 1.7, axis=1))
    assert (temperature_scaled(p, 1.7).argmax(1) == p.argmax(1)).all()
    # A probability that float32 rounded to nothing stays a number.
    assert np.isfinite(temperature_scaled(np.array([[1.0, 0.0]]), 5)).all()


def test_only_validation_decides_the_temperature():
    table = random_predictions()
    other = table.copy()
    elsewhere = other["split"] != "val"
    columns = class_columns(other)
    other.loc[elsewhere, columns] = other.loc[elsewhere, columns].to_numpy()[:, ::-1]
    expected = [temperature(*split_of(table, seed, "val")) for seed in (0, 1, 2)]
    assert calibration_table(other)["temperature"].tolist() == expected
    assert calibration_table(table)["temperature"].tolist() == expected


def test_the_calibration_table_is_recomputed():
    table = random_predictions()
    for row in calibration_table(table).to_dict("records"):
        p, truth = split_of(table, row["seed"])
        after = softmax(np.log(p) / row["temperature"], axis=1)
        p = p / p.sum(axis=1, keepdims=True)
        assert row["nll"] == pytest.approx(log_loss(truth, p, labels=range(4)), rel=1e-4)
        assert row["nll_scaled"] == pytest.approx(log_loss(truth, after, labels=range(4)), rel=1e-4)
        for name, q in (("ece", p), ("ece_scaled", after)):
            expected = calibration_error(q.argmax(1) == truth, q.max(1))
            assert row[name] == pytest.approx(expected, abs=1e-6)


def test_without_validation_labels_there_is_no_temperature():
    table = random_predictions()
    table.loc[table["split"] == "val", "label"] = None
    rows = calibration_table(table)
    assert rows[["temperature", "ece_scaled", "nll_scaled"]].isna().all(axis=None)
    assert rows[["ece", "nll"]].notna().all(axis=None)
    assert not reliability(table)["scaled"].any()


def test_reliability_bins_hold_every_prediction_once():
    table = random_predictions()
    bins = reliability(table)
    plain = bins[~bins["scaled"].astype(bool)]
    p, truth = (np.concatenate(x) for x in zip(*(split_of(table, s) for s in (0, 1, 2)), strict=True))
    assert plain["count"].sum() == len(truth)
    assert np.average(plain["accuracy"], weights=plain["count"]) == pytest.approx(
        (p.argmax(1) == truth).mean()
    )
    row = plain.iloc[len(plain) // 2]
    inside = (p.max(1) > row["bin"] / 15) & (p.max(1) <= (row["bin"] + 1) / 15)
    assert row["count"] == inside.sum()
    assert row["accuracy"] == pytest.approx((p.argmax(1) == truth)[inside].mean())
    assert row["confidence"] == pytest.approx(p.max(1)[inside].mean())
    gap = (plain["confidence"] - plain["accuracy"]).abs()
    expected = calibration_error(p.argmax(1) == truth, p.max(1))
    assert np.average(gap, weights=plain["count"]) == pytest.approx(expected, abs=1e-6)


def test_selective_prediction_answers_the_most_confident():
    table = random_predictions()
    found = selective_table(table).set_index("coverage")
    for coverage in (0.25, 0.5, 1.0):
        accuracies, f1s = [], []
        for seed in (0, 1, 2):
            p, truth = split_of(table, seed)
            kept = np.argsort(-p.max(1), kind="stable")[: int(np.ceil(coverage * len(truth)))]
            accuracies.append(accuracy_score(truth[kept], p[kept].argmax(1)))
            f1s.append(f1_score(truth[kept], p[kept].argmax(1), average="weighted", zero_division=0))
            assert found.loc[coverage, "utterances"] == len(kept)
        assert found.loc[coverage, "accuracy"] == pytest.approx(np.mean(accuracies))
        assert found.loc[coverage, "weighted_f1"] == pytest.approx(np.mean(f1s))
        assert found.loc[coverage, "weighted_f1_std"] == pytest.approx(np.std(f1s, ddof=1))


def test_a_split_without_labels_has_no_rows():
    table = random_predictions()
    table.loc[table["split"] == "test", "label"] = None
    for made in (calibration_table(table), reliability(table), selective_table(table)):
        assert made.empty
    with pytest.raises(ValueError, match="at least one"):
        temperature(np.empty((0, 4)), np.empty(0, int))
    assert "ece_scaled" in calibration_table(table)
