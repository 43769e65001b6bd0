"""An emotion is shown with its doubt, a gap and an empty utterance have none."""

import json
from itertools import pairwise

import pytest

from erc_kedro import timelines
from tests.timelines.formats.made import by_ffmpeg, by_praat, by_pympi, by_webvtt, facts, timeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ann is sure, Bob is not, Ann says nothing; then she talks twice at once."""
    folder = tmp_path_factory.mktemp("scored")
    rows = (
        {"start_s": 0.5, "end_s": 2.0, "emotion": "joy", "confidence": 0.824},
        {
            "start_s": 1.5,
            "end_s": 3.0,
            "speaker": "Bob",
            "status": "unsure",
            "emotion": "anger",
            "text": "I <b>",
        },
        {"start_s": 4.0, "end_s": 5.0, "status": "empty", "text": ""},
        {"start_s": 6.0, "end_s": 8.0, "text": "first", "emotion": "anger", "label": "joy"},
        {"start_s": 7.0, "end_s": 9.0, "text": "second", "emotion": "neutral"},
    )
    notes = ["Trained on acted speech --> not yours."]
    timelines.write(timeline(*rows), facts(seconds=10.0, notes=notes), folder)
    return folder


def test_vtt_has_voices_and_emotions_behind_the_words(folder):
    shown = [(cue.speaker, cue.said) for cue in by_webvtt(folder)]
    assert shown == [
        ("Ann", "What a day! [joy 82 %]"),
        ("Bob", "I <b> [anger? 82 %]"),
        ("Ann", ""),
        ("Ann", "first [anger 82 %]"),
        ("Ann", "second [neutral 82 %]"),
    ]
    assert "NOTE Trained on acted speech --&gt; not yours.\n" in (folder / "timeline.vtt").read_text("utf-8")


@pytest.mark.parametrize(
    ("suffix", "second"),
    [("vtt", "<v Bob>I &lt;b&gt; [anger? 82 %]</v>"), ("srt", "Bob: I <\u2060b> [anger? 82 %]")],
)
def test_players_read_subtitles_as_they_were_meant(folder, suffix, second):
    cues = by_ffmpeg(folder, suffix)
    assert [cue[:2] for cue in cues] == [(500, 2000), (1500, 3000), (4000, 5000), (6000, 8000), (7000, 9000)]
    assert cues[1][2] == second


def test_a_textgrid_has_a_tier_a_speaker_that_fills_the_recording(folder):
    tiers = by_praat(folder)
    for intervals in tiers.values():
        assert (intervals[0][0], intervals[-1][1]) == (0, 10_000)
        assert all(before[1] == after[0] for before, after in pairwise(intervals))
    assert tiers["Ann"] == [
        (0, 500, ""),
        (500, 2000, "What a day!"),
        (2000, 4000, ""),
        (4000, 5000, ""),
        (5000, 6000, ""),
        (6000, 8000, "first"),
        (8000, 10_000, ""),
    ]
    said = {name: [text for *_, text in intervals if text] for name, intervals in tiers.items()}
    assert said == {
        "Ann": ["What a day!", "first"],
        "emotion@Ann": ["joy", "anger"],
        "confidence@Ann": ["0.82", "0.82"],
        "label@Ann": ["joy"],
        "Ann 2": ["second"],
        "emotion@Ann 2": ["neutral"],
        "confidence@Ann 2": ["0.82"],
        "Bob": ["I <b>"],
        "emotion@Bob": ["anger?"],
        "confidence@Bob": ["0.82"],
    }


def test_elan_has_emotions_below_what_was_said(folder):
    read = by_pympi(folder)
    parents = {name: tier[2].get("PARENT_REF") for name, tier in read.tiers.items()}
    assert parents["Ann"] is parents["Ann 2"] is None
    assert parents["emotion@Ann"] == parents["confidence@Ann"] == parents["label@Ann"] == "Ann"
    assert "label@Bob" not in parents
    assert read.get_ref_annotation_data_for_tier("emotion@Ann") == [
        (500, 2000, "joy", "What a day!"),
        (6000, 8000, "anger", "first"),
    ]
    assert read.get_ref_annotation_data_for_tier("emotion@Bob") == [(1500, 3000, "anger?", "I <b>")]
    [values] = [entries for _, entries, _ in read.controlled_vocabularies.values()]
    offered = [value for [(value, _, _)], _ in values.values()]
    assert offered == ["joy", "anger", "neutral", "joy?", "anger?", "neutral?"]
    assert ("note", "Trained on acted speech --> not yours.") in read.properties


def test_json_is_whisperx_with_more(folder):
    read = json.loads((folder / "timeline.json").read_text("utf-8"))
    assert (read["language"], read["model"]["name"]) == ("en", "meld/full")
    first, _, empty, *_ = read["segments"]
    assert {name: first[name] for name in ("start", "end", "text", "speaker")} == {
        "start": 0.5,
        "end": 2.0,
        "text": "What a day!",
        "speaker": "Ann",
    }
    assert (first["emotion"], first["status"], first["confidence"]) == ("joy", "decided", 0.824)
    assert first["probabilities"].keys() == {"joy", "anger", "neutral"}
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert (empty["emotion"], empty["confidence"]) == (None, None)
    assert set(empty["probabilities"].values()) == {None}
    assert empty["reasons"] == {"text": "no_text", "audio": "silent", "visual": "not_used"}
