"""Whatever order or names a corpus's tables come with, its predictions are the same."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from erc_kedro.schemas import MODALITIES
from erc_kedro.training.batches import assemble
from erc_kedro.training.loop import predict
from tests.conftest import CLASSES, examples, make_corpus
from tests.models.test_properties import shapes, trained

repeatable = settings(max_examples=examples(20), deadline=None, derandomize=True)
NAMED = ["utterance_id", "head"]

scalings = st.dictionaries(st.sampled_from(MODALITIES), st.sampled_from(["train", "speaker", "none"]))
networks = st.builds(trained, shapes(), st.integers(0, 99))


@st.composite
def corpora(draw):
    """Tables in which modalities are missing here and there."""
    seed = draw(st.integers(0, 99))
    utterances, features = make_corpus(draw(st.integers(3, 12)), seed)
    noise = np.random.default_rng(seed)
    rate = draw(st.sampled_from([1.0, 0.5]))
    for table in features.values():
        table["present"] = noise.random(len(table)) < rate
    return utterances, features


def shuffled(table, seed):
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


@repeatable
@given(networks, corpora(), scalings, st.lists(st.text(min_size=1), min_size=3, max_size=3, unique=True))
def test_renaming_speakers_changes_no_prediction(net, corpus, scaling, names):
    utterances, features = corpus
    renamed = utterances.assign(
        speaker=utterances["speaker"].map(dict(zip(("s0", "s1", "s2"), names, strict=True)))
    )
    pd.testing.assert_frame_equal(
        predict(net, assemble(renamed, features, CLASSES, scaling)),
        predict(net, assemble(utterances, features, CLASSES, scaling)),
    )


@repeatable
@given(networks, corpora(), scalings, st.lists(st.integers(0, 99), min_size=4, max_size=4))
def test_the_order_of_rows_in_the_tables_changes_no_prediction(net, corpus, scaling, seeds):
    utterances, features = corpus
    mixed = {m: shuffled(table, seed) for (m, table), seed in zip(features.items(), seeds[1:], strict=True)}
    pd.testing.assert_frame_equal(
        predict(net, assemble(shuffled(utterances, seeds[0]), mixed, CLASSES, scaling)),
        predict(net, assemble(utterances, features, CLASSES, scaling)),
    )


@repeatable
@given(networks, corpora(), scalings, st.randoms(use_true_random=False))
def test_the_order_of_dialogues_changes_no_prediction(net, corpus, scaling, chance):
    utterances, features = corpus
    old = utterances["dialogue_id"].unique()
    new = [f"d{i:02}" for i in range(len(old))]
    chance.shuffle(new)
    moved = utterances.assign(dialogue_id=utterances["dialogue_id"].map(dict(zip(old, new, strict=True))))
    pd.testing.assert_frame_equal(
        by_name(predict(net, assemble(moved, features, CLASSES, scaling))),
        by_name(predict(net, assemble(utterances, features, CLASSES, scaling))),
        atol=1e-5,
        rtol=0,
    )


@repeatable
@given(networks, corpora(), st.integers(1, 60))
def test_the_size_of_predict_s_batches_changes_no_prediction(net, corpus, size):
    data = assemble(*corpus, CLASSES)
    pd.testing.assert_frame_equal(predict(net, data, size), predict(net, data), atol=1e-5, rtol=0)


def by_name(predictions):
    return predictions.set_index(NAMED).sort_index()
