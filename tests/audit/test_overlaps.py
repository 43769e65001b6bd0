import numpy as np
import pandas as pd
import pytest

from erc_kedro.audit.overlaps import find, together
from erc_kedro.corpora.tables import utterance_table

STORY = [
    "The ferry leaves at nine tomorrow morning.",
    "Did you buy tickets for all of us?",
    "No!",
    "Then we shall swim, I suppose.",
    "Your grandmother cannot swim a single stroke.",
]
VOCABULARY = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("al", "en", "irt", "om", "us", "ap", "ek")]


def dialogue(
    name: str,
    split: str,
    texts: list[str],
    start: float | None = None,
    speakers: tuple[str, ...] = ("Ada", "Ben"),
    seconds: float = 2.0,
    **cells: object,
) -> list[dict[str, object]]:
    """Rows of a dialogue; with a start, utterances of so many seconds with half a second between them."""
    rows: list[dict[str, object]] = []
    for turn, text in enumerate(texts):
        row = {"utterance_id": f"{name}_{turn}", "dialogue_id": name, "position": turn, "split": split}
        row |= {"speaker": speakers[turn % len(speakers)], "text": text, **cells}
        if start is not None:
            begin = start + turn * (seconds + 0.5)
            row |= {"start_s": begin, "end_s": begin + seconds}
        rows.append(row)
    return rows


def others(count: int = 20, seed: int = 0) -> list[dict[str, object]]:
    """Dialogues that have nothing to do with each other, but all open alike."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        said = [" ".join(draw.choice(VOCABULARY, 7)) for _ in range(4)]
        rows += dialogue(f"o{number}", ("train", "val", "test")[number % 3], ["Hello, how are you?", *said])
    return rows


def pairs(
    *dialogues: list[dict[str, object]], kind: str = "repeated", recordings: dict[str, str] | None = None
) -> list[tuple[str, str]]:
    table = utterance_table([row for rows in (others(), *dialogues) for row in rows])
    found = find(table, recordings)
    return list(found.loc[found["kind"] == kind, ["first", "second"]].itertuples(index=False, name=None))


def test_a_dialogue_inside_another_is_found() -> None:
    around = dialogue("long", "train", ["Nobody knows this one.", *STORY, "Nor this."])
    inside = dialogue("short", "test", STORY)
    expected = [(f"long_{turn + 1}", f"short_{turn}") for turn in range(5)]
    assert pairs(around, inside) == expected
    # Whichever split comes later is the second.
    assert pairs(dialogue("long", "val", ["Nobody knows this one.", *STORY]), inside) == expected
    swapped = pairs(dialogue("long", "test", STORY), dialogue("short", "train", STORY[1:]))
    assert swapped == [(f"short_{turn}", f"long_{turn + 1}") for turn in range(4)]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([text.upper().replace("?", "?!").replace(",", "  ,") for text in STORY], "00 11 22 33 44"),
        (
            [*STORY[:3], "Then we're going to swim, I suppose.", STORY[4].replace("cannot", "can't")],
            "00 11 22 33 44",
        ),
        # One sentence where the other has two, and the reverse.
        ([f"{STORY[0]} {STORY[1]}", "No! Then we shall", "swim, I suppose.", STORY[4]], "00 10 21 31 32 43"),
        ([*STORY[:2], "Something else was said here.", *STORY[3:]], "00 11 33 44"),
    ],
)
def test_case_punctuation_edits_and_other_ends_of_utterances_hide_nothing(
    texts: list[str], expected: str
) -> None:
    found = pairs(dialogue("a", "train", STORY), dialogue("b", "test", texts))
    assert " ".join(first[-1] + second[-1] for first, second in found) == expected


def test_scripts_without_spaces_are_compared_too() -> None:
    said = ["我们明天早上九点坐船去岛上。", "你给大家都买好票了吗?"]
    copy = [text.replace("。", "!") for text in said]
    assert len(pairs(dialogue("a", "train", said), dialogue("b", "test", copy))) == 2
    assert not pairs(dialogue("a", "train", ["你好。", "你好!"]), dialogue("b", "test", ["你好!", "你好。"]))


@pytest.mark.parametrize(
    "texts",
    [
        ["Hey.", "Hey!"],
        ["I'm sorry."],
        ["Good morning!", "Good morning. How are you?"],
        # Eight words, but of one utterance alone.
        ["I really do not know what you mean."],
        # Long, but what every dialogue begins with.
        ["Hello, how are you?", "Hello, how are you?", "Hello, how are you?"],
    ],
)
def test_what_anybody_may_say_is_no_repetition(texts: list[str]) -> None:
    said = ["Hey!" if text == "Hey." else text for text in texts]
    assert not pairs(dialogue("a", "train", [*texts, "Now the one."]), dialogue("b", "test", said))
    alone = utterance_table([*dialogue("a", "train", texts), *dialogue("b", "test", said)])
    assert find(alone).empty or texts[0].startswith("Hello")


@pytest.mark.parametrize("start", [100.0, 431.25])
def test_the_same_spans_shifted_or_not_are_one_recording(start: float) -> None:
    original, copy = dialogue("a", "train", STORY, 100.0), dialogue("b", "test", STORY, start)
    assert len(pairs(original, copy)) == 5
    # Whoever is said to speak.
    assert len(pairs(original, dialogue("b", "test", STORY, start, speakers=("A", "B")))) == 5


def test_a_script_spoken_again_is_not_the_same_recording() -> None:
    original = dialogue("a", "train", STORY, 100.0)
    again = dialogue("b", "test", STORY, 100.0, seconds=2.4, speakers=("Cy", "Di"))
    assert not pairs(original, again)
    assert len(pairs(original, again, kind="same_words")) == 5
    # Of one split, nothing follows from it.
    same_split = [{**row, "split": "train"} for row in again]
    assert not pairs(original, same_split, kind="same_words")
    # Without times, other people are other performers.
    timeless = dialogue("a", "train", STORY), dialogue("b", "test", STORY, speakers=("Cy", "Di"))
    assert not pairs(*timeless)
    assert len(pairs(*timeless, kind="same_words")) == 5


def in_episode(*dialogues: tuple[list[dict[str, object]], str]) -> dict[str, str]:
    return {str(row["utterance_id"]): episode for rows, episode in dialogues for row in rows}


def test_spans_of_one_episode_that_overlap_are_repeated_if_the_words_agree() -> None:
    whole = dialogue("a", "train", ["Wait. I cannot feel my toes, Ben.", "Hey."], 600.0, seconds=4.0)
    part = dialogue("b", "test", ["I cannot feel my toes."], 601.5)
    episodes = in_episode((whole, "1x01"), (part, "1x01"))
    assert pairs(whole, part, recordings=episodes) == [("a_0", "b_0")]
    assert pairs(whole, part, kind="same_span", recordings=episodes) == []
    elsewhere = in_episode((whole, "1x01"), (part, "1x02"))
    assert pairs(whole, part, recordings=elsewhere) == []


@pytest.mark.parametrize(
    ("words", "speaker"), [("Hi!", "Ben"), ("Hey.", "Ben"), ("Come in, it is open.", "Ada")]
)
def test_spans_that_overlap_but_say_something_else_are_no_leak(words: str, speaker: str) -> None:
    one = dialogue("a", "train", ["Hey."], 600.0)
    other = dialogue("b", "test", [words], 600.5, speakers=(speaker,))
    episodes = in_episode((one, "1x01"), (other, "1x01"))
    assert not pairs(one, other, recordings=episodes)
    assert pairs(one, other, kind="same_span", recordings=episodes) == [("a_0", "b_0")]
    barely = dialogue("b", "test", [words], 601.5, speakers=(speaker,))
    assert not pairs(one, barely, kind="same_span", recordings=episodes)


def test_equal_spans_tell_a_wrong_episode_where_the_words_agree() -> None:
    one = dialogue("a", "train", ["Nothing!", "I have got this pain."], 600.0)
    episodes = in_episode((one, "6x04")) | {"b_0": "1x05", "b_1": "1x05"}
    other = dialogue("b", "test", ["Nothing.", "I have got this pain."], 600.0)
    assert pairs(one, other, recordings=episodes) == [("a_0", "b_0"), ("a_1", "b_1")]
    # One short word at the same second of two episodes is a coincidence.
    other = dialogue("b", "test", ["Nothing.", "Are you well?"], 600.0)
    assert not pairs(one, other, recordings=episodes)


def test_spans_of_one_clip_are_on_one_clock() -> None:
    one = dialogue("a", "train", ["I cannot feel my toes."], 600.0, clip="talk.mp4")
    other = dialogue("b", "test", ["I cannot feel my toes."], 600.0, clip="talk.mp4")
    for row in one + other:
        row |= {"clip_start_s": row["start_s"], "clip_end_s": row["end_s"]}
    assert pairs(one, other) == [("a_0", "b_0")]
    # Two clips' clocks have nothing to do with each other.
    other[0]["clip"] = "other.mp4"
    assert not pairs(one, other)


def test_many_copies_of_a_dialogue_are_all_named_without_a_row_for_every_two() -> None:
    copies = [dialogue(f"c{number:02}", "train", STORY) for number in range(40)]
    found = pairs(*copies, dialogue("t0", "test", STORY), dialogue("t1", "test", STORY))
    leaks = [(first, second) for first, second in found if second.startswith("t")]
    assert {first.split("_")[0] for first, _ in leaks if first.startswith("c")} == {
        f"c{number:02}" for number in range(40)
    }
    assert {second.split("_")[0] for first, second in leaks if first.startswith("c")} == {"t0", "t1"}
    assert len(found) < 5 * 3 * 42


def test_words_that_four_dialogues_share_are_enough_in_any_order_of_their_phrases() -> None:
    """Eighteen phrases at a third each: added up with rounding, they came to a little less than six."""
    run = [f"{word} {number}" for number, word in enumerate(VOCABULARY[:10])]
    shared = [" ".join(run[:5]), " ".join(run[5:])]
    found = pairs(
        *(dialogue(f"c{at}", "train", [f"{VOCABULARY[20 + at]} alone.", *shared]) for at in range(3)),
        dialogue("t", "test", shared),
    )
    assert {(first, second) for first, second in found if second.startswith("t")} == {
        (f"c{at}_{turn + 1}", f"t_{turn}") for at in range(3) for turn in (0, 1)
    }


def test_dialogues_of_one_recording_are_together_and_others_alone() -> None:
    table = utterance_table(
        [
            *others(3),
            *dialogue("a", "train", STORY[:3]),
            *dialogue("b", "train", STORY),
            *dialogue("c", "train", ["So it is.", *STORY[2:]]),
        ]
    )
    groups = together(table)
    assert groups["a"] == groups["b"] == groups["c"]
    assert len(set(groups.values())) == 4
    # Only what says a corpus's words and order is needed.
    assert together(table[["utterance_id", "dialogue_id", "position", "speaker", "text", "split"]]) == groups


def test_a_corpus_without_words_or_rows_holds_nothing_twice() -> None:
    silent = utterance_table([*dialogue("a", "train", ["", "..."]), *dialogue("b", "test", ["", "..."])])
    assert find(silent).empty
    assert isinstance(find(silent.iloc[:0]), pd.DataFrame)
