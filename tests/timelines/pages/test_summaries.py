"""Sums over a timeline are those that one counts by hand."""

import numpy as np
import pytest

from erc_kedro.timelines.pages import summaries
from erc_kedro.timelines.pages.look import clock, looks
from tests.timelines.pages.timelines import LABELS, timeline


def talk(moods, speakers="AAAAAA", **columns):
    """Utterances of two seconds each; "?" behind an emotion is doubt, None is nothing."""
    table = timeline(len(moods), seed=1)
    table["status"] = ["empty" if m is None else "unsure" if m.endswith("?") else "decided" for m in moods]
    table["emotion"] = [None if m is None else m.rstrip("?") for m in moods]
    table["speaker"] = list(speakers[: len(moods)])
    table["start_s"] = 3.0 * np.arange(len(moods))
    table["end_s"] = table["start_s"] + 2.0
    return table.assign(**columns)


def test_speaking_time_is_by_emotion_and_speaker_with_doubt_apart():
    ann, bob = summaries.speaking(talk(["joy", "joy?", None, "anger", "joy"], "ABABA"))
    assert (ann["speaker"], bob["speaker"]) == ("A", "B")
    assert (ann["total"], ann["decided"]["joy"], ann["unsure"]["joy"], ann["empty"]) == (6.0, 4.0, 0.0, 2.0)
    assert (bob["total"], bob["decided"]["anger"], bob["unsure"]["joy"]) == (4.0, 2.0, 2.0)


def test_utterances_count_where_there_are_no_times():
    [ann] = summaries.speaking(talk(["joy", "joy", "anger?"], start_s=np.nan, end_s=np.nan))
    assert (ann["total"], ann["decided"]["joy"], ann["unsure"]["anger"]) == (3.0, 2.0, 1.0)


def test_shares_sum_to_one():
    made = summaries.shares(talk(["joy", "joy?", None, "anger"]))
    assert made["decided"]["joy"] == made["unsure"]["joy"] == made["empty"] == 0.25
    assert sum(made["decided"].values()) + sum(made["unsure"].values()) + made["empty"] == pytest.approx(1)
    nobody = summaries.shares(talk(["joy"], end_s=0.0))
    assert sum(nobody["decided"].values()) == 0


def test_an_emotion_turns_between_decided_utterances_of_one_speaker():
    made = summaries.changes(talk(["joy", "anger", "joy?", "anger", None, "fear", "fear"], "ABABABA"))
    assert made == [
        {"row": 5, "speaker": "B", "before": "anger", "after": "fear", "between": 0},
        {"row": 6, "speaker": "A", "before": "joy", "after": "fear", "between": 2},
    ]


def test_far_and_missed_point_at_their_utterances():
    table = talk(["joy"] * 4, far_from_training=["", "audio", "audio, visual", ""], visual_reason="ok")
    table["text_reason"] = table["audio_reason"] = "ok"
    table.loc[3, "audio_reason"] = "silent"
    assert summaries.far(table) == [
        {"modality": "audio", "count": 2, "rows": [1, 2]},
        {"modality": "visual", "count": 1, "rows": [2]},
    ]
    assert summaries.missed(table) == [{"modality": "audio", "reason": "silent", "count": 1, "rows": [3]}]


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        ("ang", "exc", "fru", "hap", "neu", "sad"),
        tuple(f"mood {at}" for at in range(12)),
        tuple(f"mood {at}" for at in range(30)),
        ("😀", "😀😀", " ", "="),
    ],
)
def test_no_two_labels_look_alike(labels):
    made = looks(labels)
    codes = [look["code"] for look in made]
    assert len(set(codes)) == len(labels)
    assert all(codes)
    if len(labels) <= 18:
        assert len({(look["colour"], look["texture"]) for look in made}) == len(labels)


def test_codes_are_the_shortest_beginnings():
    assert [look["code"] for look in looks(LABELS)] == ["A", "D", "F", "J", "N", "Sa", "Su"]


def test_neutral_alone_is_grey():
    assert [look["colour"] == 6 for look in looks(LABELS)] == [label == "neutral" for label in LABELS]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (3723.44, "1:02:03.4"), (-1.5, "-0:01.5"), (None, "–")],
)
def test_clock(seconds, said):
    assert clock(seconds) == said
