"""Windows and batches: every utterance learns once an epoch, and from its own dialogue alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from erc_kedro.extractors.windows import Window
from erc_kedro.finetuning.examples import Example, TokenizedDialogues, window_batches
from tests import tiny
from tests.finetuning.corpus import CLASSES, parameters, toy


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(tiny.bert(tmp_path_factory.mktemp("bert"), layers=1))


def read(tokenizer, window):
    """Each target of a window, as words."""
    return [
        tokenizer.convert_ids_to_tokens(window.ids[start : start + count]) for start, count in window.spans
    ]


@pytest.mark.parametrize(("targets", "following"), [(1, 0), (1, 2), (3, 2)])
def test_every_labelled_utterance_is_a_target_once_with_its_own_label(tokenizer, targets, following):
    table = toy(12)
    table.loc[[3, 4], "label"] = None
    asked = parameters("x", targets=targets, following=following, speaker_names=False)
    data = TokenizedDialogues(table, CLASSES, tokenizer, 64, asked)
    got = [
        (" ".join(words), label)
        for example in data.examples(targets, np.random.default_rng(0))
        for words, label in zip(read(tokenizer, example.window), example.labels, strict=True)
    ]
    code = table["label"].map({name: at for at, name in enumerate(CLASSES)}).fillna(-1)
    expected = list(zip(table["text"], code.astype(int), strict=True))
    assert sorted(one for one in got if one[1] >= 0) == sorted(one for one in expected if one[1] >= 0)


@pytest.mark.parametrize("asked", [{}, {"speaker_names": True}, {"speaker_names": "letters", "read": "mask"}])
def test_of_silence_nothing_is_learned_whoever_is_shown_to_keep_it(tokenizer, asked):
    table = toy(12)
    table.loc[[3, 4], "text"] = ["", " "]
    data = TokenizedDialogues(table, CLASSES, tokenizer, 64, parameters("x", **asked))
    assert len(data.examples()) == len(table) - 2


@pytest.mark.parametrize("following", [0, 1, 2])
def test_a_window_shows_so_many_neighbours_and_no_other_dialogue(tokenizer, following):
    table = toy(12)
    table["text"] = [f"{d} {i}" for d, i in zip(table["dialogue_id"], table["position"], strict=True)]
    tokenizer.add_tokens([*table["dialogue_id"].unique(), *map(str, range(10))])
    asked = parameters("x", targets=1, context=2, following=following, speaker_names=False)
    data = TokenizedDialogues(table, CLASSES, tokenizer, 64, asked)
    examples = data.examples()
    assert len(examples) == len(table)
    for example in examples:
        ((dialogue, at),) = read(tokenizer, example.window)
        said = tokenizer.decode(example.window.ids, skip_special_tokens=True).split()
        seen = list(zip(said[::2], map(int, said[1::2]), strict=True))
        last = table.loc[table["dialogue_id"] == dialogue, "position"].max()
        wanted = range(max(0, int(at) - 2), min(last, int(at) + following) + 1)
        assert seen == [(dialogue, i) for i in wanted]


def test_a_long_utterance_is_cut_and_never_costs_its_neighbours(tokenizer):
    table = toy(5)
    table.loc[1, "text"] = " ".join(["love"] * 500)
    asked = parameters("x", targets=4, following=3, speaker_names=False)
    data = TokenizedDialogues(table, CLASSES, tokenizer, 32, asked)
    examples = data.examples(4)
    assert max(len(example.window.ids) for example in examples) <= 32
    counts = [count for example in examples for _, count in example.window.spans]
    assert len(counts) == len(table)
    assert min(counts) == 4
    assert max(counts) == 30


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 4)), min_size=1, max_size=60),
    utterances=st.integers(1, 16),
    tokens=st.integers(1, 200),
    drawn=st.booleans(),
)
def test_batches_hold_every_example_once_within_both_limits(lengths, utterances, tokens, drawn):
    examples = [
        Example(Window(list(range(length)), [(0, 1)] * targets), (at,) * targets)
        for at, (length, targets) in enumerate(lengths)
    ]
    made = window_batches(examples, utterances, tokens, np.random.default_rng(0) if drawn else None)
    assert sorted(e.labels[0] for batch in made for e in batch) == list(range(len(examples)))
    for batch in made:
        # One that is too large by itself is still learned from.
        assert len(batch) == 1 or sum(len(e.labels) for e in batch) <= utterances
        assert len(batch) == 1 or max(len(e.window.ids) for e in batch) * len(batch) <= tokens


def test_batches_of_similar_length_pad_little():
    draw = np.random.default_rng(0)
    examples = [Example(Window([0] * int(n), [(0, 1)]), (0,)) for n in draw.integers(5, 200, 2000)]
    made = window_batches(examples, 32, 10**6, draw)
    padded = sum(max(len(e.window.ids) for e in batch) * len(batch) for batch in made)
    own = sum(len(e.window.ids) for e in examples)
    assert padded < 1.1 * own
    # An order drawn anew has other batches.
    again = window_batches(examples, 32, 10**6, draw)
    assert [[id(e) for e in batch] for batch in made] != [[id(e) for e in batch] for batch in again]
