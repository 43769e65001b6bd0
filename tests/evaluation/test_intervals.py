"""Intervals over dialogues: point values against scikit-learn, the bootstrap against a plain loop."""

import time

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from erc_kedro.evaluation.intervals import metric_from_counts, score_interval, unit_counts

SCORES = {
    "accuracy": accuracy_score,
    "weighted_f1": lambda truth, predicted: f1_score(truth, predicted, average="weighted", zero_division=0),
    "macro_f1": lambda truth, predicted: f1_score(truth, predicted, average="macro", zero_division=0),
}


def case(seeds=2, dialogues=12, size=5, classes=4, true_classes=3, unlabelled=0.1):
    """Predictions of one split and head, and the dialogue of each utterance."""
    rng = np.random.default_rng(11)
    names = [f"c{k}" for k in range(classes)]
    count = dialogues * size
    ids = [f"u{n}" for n in range(count)]
    labels = rng.choice(names[:true_classes], count).astype(object)
    labels[rng.random(count) < unlabelled] = None
    tables = []
    for seed in range(seeds):
        table = pd.DataFrame(rng.dirichlet([1] * classes, count), columns=[f"p_{name}" for name in names])
        tables.append(table.assign(seed=seed, utterance_id=ids, split="test", head="tav", label=labels))
    return pd.concat(tables, ignore_index=True), pd.Series([f"d{n // size}" for n in range(count)], index=ids)


def by_seed(predictions):
    columns = [column for column in predictions if column.startswith("p_")]
    for _, rows in predictions[predictions["label"].notna()].groupby("seed"):
        predicted = np.array([column[2:] for column in columns])[rows[columns].to_numpy().argmax(axis=1)]
        yield rows["label"].to_numpy(object).astype(str), predicted, rows["utterance_id"].to_numpy()


@pytest.mark.parametrize("metric", SCORES)
def test_point_value_is_scikit_learns(metric):
    predictions, dialogue_of = case()
    counts = unit_counts(predictions, dialogue_of).sum(axis=1)
    expected = [SCORES[metric](truth, predicted) for truth, predicted, _ in by_seed(predictions)]
    assert metric_from_counts(counts, metric) == pytest.approx(expected)


@pytest.mark.parametrize("metric", SCORES)
def test_interval_is_that_of_a_plain_loop(metric):
    predictions, dialogue_of = case(dialogues=6)
    low, high = score_interval(predictions, dialogue_of, metric, level=0.8, draws=60, seed=3)
    drawn = np.random.default_rng(3).multinomial(6, [1 / 6] * 6, size=60)
    names = dialogue_of[predictions.loc[predictions["label"].notna(), "utterance_id"]].unique()
    means = []
    for times in drawn:
        weight = dict(zip(names, times, strict=True))
        scores = []
        for truth, predicted, ids in by_seed(predictions):
            repeat = [weight[dialogue_of[name]] for name in ids]
            scores.append(SCORES[metric](np.repeat(truth, repeat), np.repeat(predicted, repeat)))
        means.append(np.mean(scores))
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.1, 0.9])))


def test_interval_holds_the_point_and_narrows_with_its_level():
    predictions, dialogue_of = case(dialogues=40)
    wide = score_interval(predictions, dialogue_of)
    narrow = score_interval(predictions, dialogue_of.to_dict(), level=0.5)
    point = metric_from_counts(unit_counts(predictions, dialogue_of).sum(axis=1), "weighted_f1").mean()
    assert wide[0] < narrow[0] < point < narrow[1] < wide[1]
    assert wide == score_interval(predictions, dialogue_of)


def test_one_dialogue_has_no_interval():
    predictions, dialogue_of = case(dialogues=1, size=30)
    assert np.isnan(score_interval(predictions, dialogue_of)).all()
    assert np.isnan(score_interval(predictions.assign(label=None), dialogue_of)).all()


def test_what_would_mislead_is_refused():
    predictions, dialogue_of = case()
    with pytest.raises(ValueError, match="without a dialogue, the first 'u"):
        score_interval(predictions, dialogue_of.iloc[3:])
    with pytest.raises(ValueError, match="one head at a time"):
        score_interval(pd.concat([predictions, predictions.assign(head="t")]), dialogue_of)
    with pytest.raises(ValueError, match="different utterances"):
        score_interval(predictions.iloc[:-5], dialogue_of)
    with pytest.raises(ValueError, match="unknown metric"):
        score_interval(predictions, dialogue_of, "mood")
    with pytest.raises(ValueError, match="level"):
        score_interval(predictions, dialogue_of, level=95)


def test_the_official_meld_test_takes_less_than_a_second_of_cpu():
    predictions, dialogue_of = case(seeds=5, dialogues=280, size=10, classes=7, true_classes=7)
    started = time.process_time()
    score_interval(predictions, dialogue_of, draws=1000)
    assert time.process_time() - started < 1
