"""A threshold keeps what it promises on validation, and distances tell strange from usual."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erc_kedro.scoring.confidence import ACCURACY, threshold
from erc_kedro.scoring.distance import Distance, share_nearer
from erc_kedro.training.scaling import Statistics
from tests.conftest import examples
from tests.defaults import ScoreParameters


@settings(max_examples=examples(60))
@given(
    st.lists(st.tuples(st.sampled_from([0.3, 0.5, 0.6, 0.9, 0.95]), st.booleans()), min_size=1, max_size=60),
    st.floats(0.1, 1.0),
)
def test_those_which_are_decided_are_as_often_right_as_asked(rows, accuracy):
    confidence = np.array([sure for sure, _ in rows])
    correct = np.array([right for _, right in rows])
    made = threshold(confidence, correct, accuracy)
    if made.value is None:
        assert made.answered == 0
        return
    decided = confidence >= made.value
    assert correct[decided].mean() >= accuracy
    assert decided.mean() == pytest.approx(made.answered)
    # No lower one keeps it.
    for lower in set(confidence[confidence < made.value]):
        assert correct[confidence >= lower].mean() < accuracy


def test_a_bundle_without_a_project_asks_for_what_configuration_asks_for():
    assert ScoreParameters().accuracy == ACCURACY


def test_an_accuracy_that_validation_never_had_decides_nothing():
    assert threshold(np.linspace(0, 1, 50), np.zeros(50, bool), 0.5).value is None


def test_training_is_near_and_what_differs_from_it_is_far():
    draw = np.random.default_rng(0)
    mixing = draw.normal(size=(5, 40))
    # Training has five directions, a little noise, and one feature that never moves.
    made = [draw.normal(size=(n, 5)) @ mixing + 0.1 * draw.normal(size=(n, 40)) for n in (300, 200, 200)]
    train, validation, test = (np.c_[x, np.ones(len(x))].astype(np.float32) for x in made)
    statistics = Statistics.of(train)
    distance = Distance.fitted(train, statistics)
    known = np.sort(distance.of(validation))
    assert np.median(share_nearer(distance.of(test), known)) == pytest.approx(0.5, abs=0.15)
    # As large as training, but in none of its directions.
    other = draw.normal(size=(50, 41)).astype(np.float32) * train.std(0)
    assert share_nearer(distance.of(other), known).min() > 0.99
    again = Distance(statistics, distance.arrays)
    assert again.of(test) == pytest.approx(distance.of(test))


def test_a_few_utterances_of_validation_call_nothing_far():
    assert share_nearer(np.array([1e9]), np.array([1.0, 2.0, 3.0])).tolist() == [0.75]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_few_utterances_of_training_have_distances_all_the_same(rows):
    draw = np.random.default_rng(0)
    train = draw.normal(size=(rows, 20)).astype(np.float32)
    distance = Distance.fitted(train, Statistics.of(train))
    made = distance.of(np.r_[train, draw.normal(size=(5, 20)).astype(np.float32) * 3])
    assert np.isfinite(made).all()
    assert (made[:rows].max() <= made[rows:]).all()
