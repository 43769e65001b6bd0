"""Long turns in parts: nothing is lost, no part is too long, and times go on from one to the next."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erc_kedro.recordings.base import Turn, Word
from erc_kedro.recordings.splitting import count_words, split
from tests.recordings.made import recording

WORDS = st.sampled_from(
    [
        "no",
        "well,",
        "so.",
        "What?",
        "Mr.",
        "3.5",
        "one;",
        '"Oh!"',
        "incomprehensibilities",
        "你好。",
        "再见",
        "–",
        "1.",
        "yes…",
    ]
)


@given(
    words=st.lists(WORDS, min_size=1, max_size=120),
    lasts=st.floats(0.1, 300),
    longest_s=st.floats(1, 30),
    longest_words=st.integers(1, 40),
)
def test_parts_are_the_turn(words, lasts, longest_s, longest_words):
    turn = Turn(" ".join(words), "Anna", 10.0, 10.0 + lasts, "joy")
    parts = split(turn, longest_s, longest_words)
    assert "".join("".join(part.text.split()) for part in parts) == "".join(words)
    assert {(part.speaker, part.label) for part in parts} == {("Anna", "joy")}
    assert (parts[0].start_s, parts[-1].end_s) == (turn.start_s, turn.end_s)
    for part, after in itertools.pairwise(parts):
        assert part.end_s == pytest.approx(after.start_s)
        assert part.start_s < part.end_s
    for part in parts:
        assert count_words(part.text) <= longest_words
        # Of slow speech, few words may take longer.
        assert part.end_s - part.start_s <= longest_s + 1e-3 or count_words(part.text) < 15


def test_sentences_stay_whole_where_they_can():
    text = "Mr. Smith came at 3.5 past two. He said: “No!” Then he left, e.g. by the door. 我不知道。你呢？"
    parts = split(Turn(text, "", 0.0, 10.0), 100, 9)
    assert [part.text for part in parts] == [
        "Mr. Smith came at 3.5 past two.",
        "He said: “No!”",
        "Then he left, e.g. by the door.",
        "我不知道。你呢？",
    ]


def test_a_sentence_too_long_is_cut_at_its_clauses():
    text = "I came in the morning, when nobody was there, and left again."
    assert [part.text for part in split(Turn(text), 100, 9)] == [
        "I came in the morning, when nobody was there,",
        "and left again.",
    ]


def test_slow_speech_is_not_cut_into_words():
    assert len(split(Turn("I do not know.", "", 0.0, 60.0), 15, 40)) == 1


def test_words_of_another_text_do_not_say_where_to_cut():
    words = (Word("Completely", 0.0, 1.0), Word("different", 1.0, 19.0))
    parts = split(Turn("One two. Three four.", "", 0.0, 20.0, words=words), 100, 2)
    assert parts[0].end_s == pytest.approx(20 * 7 / 17)


def test_parts_share_their_turn_and_come_in_order_of_time(tmp_path):
    (tmp_path / "a.csv").write_text(
        "start,end,speaker,text\n"
        "0,20,Anna,The first one is this. And the second one is that.\n"
        "4,5,Ben,Yes.\n"
        "21,22,Ben,I see.\n",
        "utf-8",
    )
    table = recording(tmp_path, longest_turn_s=12).utterances
    assert table["speaker"].tolist() == ["Anna", "Ben", "Anna", "Ben"]
    assert table["turn"].tolist() == [0, 1, 0, 2]
    assert table["position"].tolist() == [0, 1, 2, 3]
    assert table["utterance_id"].tolist() == ["a_0", "a_1", "a_2", "a_3"]
