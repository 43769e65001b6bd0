"""Intervals over units: point values against scikit-learn, the jackknife against a plain loop, sane ends."""

import time
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from erc_kedro.evaluation.intervals import (
    difference_interval,
    interval_of_counts,
    metric_from_counts,
    score_interval,
    unit_counts,
)
from tests.conftest import examples

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
    names = dialogue_of[predictions.loc[predictions["label"].notna(), "utterance_id"]].unique()

    def logit_of_mean(left_out=None):
        scores = []
        for truth, predicted, ids in by_seed(predictions):
            kept = np.array([dialogue_of[name] != left_out for name in ids])
            scores.append(SCORES[metric](truth[kept], predicted[kept]))
        return np.mean(scores)

    score, without = logit_of_mean(), np.array([logit_of_mean(name) for name in names])
    error = np.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    half = stats.t.ppf(0.9, 5) * error / (score * (1 - score))
    middle = np.log(score / (1 - score))
    expected = [1 / (1 + np.exp(-(middle + sign * half))) for sign in (-1, 1)]
    assert score_interval(predictions, dialogue_of, metric, level=0.8) == pytest.approx(expected)


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
    with pytest.raises(ValueError, match="in no unit, the first 'u"):
        score_interval(predictions, dialogue_of.iloc[3:])
    with pytest.raises(ValueError, match="one head at a time"):
        score_interval(pd.concat([predictions, predictions.assign(head="t")]), dialogue_of)
    with pytest.raises(ValueError, match="different utterances"):
        score_interval(predictions.iloc[:-5], dialogue_of)
    with pytest.raises(ValueError, match="unknown metric"):
        score_interval(predictions, dialogue_of, "mood")
    with pytest.raises(ValueError, match="level"):
        score_interval(predictions, dialogue_of, level=95)


@st.composite
def counted(draw, models=1, perfect=False):
    """Confusion counts [S, U, C, C] of each model, on the same labels; at least one utterance a unit."""
    seeds, units, size = draw(st.integers(1, 3)), draw(st.integers(2, 6)), draw(st.integers(1, 3))
    labels = draw(
        st.lists(st.lists(st.integers(0, size - 1), min_size=1, max_size=4), min_size=units, max_size=units)
    )
    made = np.zeros((models, seeds, units, size, size), int)
    for model in range(models):
        for seed in range(seeds):
            for unit, own in enumerate(labels):
                for label in own:
                    guess = label if perfect else draw(st.integers(0, size - 1))
                    made[model, seed, unit, label, guess] += 1
    return made


@given(counted(2), st.sampled_from(sorted(SCORES)))
@settings(deadline=None, max_examples=examples(100))
def test_ends_are_sane_whatever_was_counted(counts, metric):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = interval_of_counts(counts[0], metric)
        score = metric_from_counts(counts[0].sum(axis=1), metric).mean()
        assert 0 <= low <= score + 1e-9
        assert score - 1e-9 <= high <= 1
        assert low < high
        below, above = difference_interval(counts[0], counts[1], metric)
        difference = score - metric_from_counts(counts[1].sum(axis=1), metric).mean()
        assert -1 <= below <= difference + 1e-9
        assert difference - 1e-9 <= above <= 1
        assert (below == above) == np.array_equal(counts[0], counts[1])
        assert difference_interval(counts[1], counts[0], metric) == pytest.approx((-above, -below))


def test_a_perfect_score_of_few_dialogues_is_no_certainty():
    perfect = np.eye(3, dtype=int)[None, None].repeat(5, axis=1)
    low, high = interval_of_counts(perfect)
    # Five of five would come of a share of .478 once in forty times (Clopper and Pearson 1934).
    assert (low, high) == (pytest.approx(stats.beta.ppf(0.025, 5, 1)), 1)
    wrong = np.roll(perfect, 1, axis=-1)
    assert interval_of_counts(wrong) == (0, pytest.approx(1 - low))
    assert difference_interval(perfect, wrong) == (pytest.approx(low), 1)


def test_two_dialogues_have_an_interval_of_nearly_everything():
    counts = np.array([[[[9, 1], [2, 8]], [[5, 5], [4, 6]]]])
    low, high = interval_of_counts(counts)
    assert low < 0.05
    assert high > 0.95


def test_the_official_meld_test_takes_less_than_a_second_of_cpu():
    predictions, dialogue_of = case(seeds=5, dialogues=280, size=10, classes=7, true_classes=7)
    started = time.process_time()
    score_interval(predictions, dialogue_of)
    assert time.process_time() - started < 1
