"""Who speaks: by the transcript, by an RTTM file, by channels; and on which side each is heard and seen."""

import json

import pytest

from erc_kedro.recordings import RecordingError
from tests.extractors import clips
from tests.recordings.made import RATE, TALK, Said, recording, remarks, sound, vtt

SIDES = {"left": "Anna", "right": "Ben"}


def unnamed(said: list[Said]) -> list[Said]:
    return [("", start, end, text) for _, start, end, text in said]


def segments(path, said):
    found = [{"start": start, "end": end, "text": text} for _, start, end, text in said]
    path.write_text(json.dumps({"segments": found}), "utf-8")


def test_each_speaker_of_two_has_a_channel(tmp_path):
    sound(tmp_path / "a.wav", TALK, 10.0, left="Anna")
    vtt(tmp_path / "a.vtt", [("S0" if who == "Anna" else "S1", *rest) for who, *rest in TALK])
    made = recording(tmp_path, channels=SIDES, speakers={"S0": "Anna", "S1": "Ben"})
    assert made.utterances["speaker"].tolist() == ["Anna", "Ben", "Anna", "Ben"]
    assert made.utterances["channel"].tolist() == ["left", "right", "left", "right"]
    assert not made.facts["remarks"]


def test_channels_tell_who_speaks_where_the_transcript_does_not(tmp_path):
    # Both at once: nobody is louder.
    said = [*TALK, ("Anna", 9.2, 9.8, "Oh"), ("Ben", 9.2, 9.8, "Oh")]
    sound(tmp_path / "a.wav", said, 10.0, left="Anna")
    segments(tmp_path / "a.json", said[:-1])
    made = recording(tmp_path, channels=SIDES)
    assert made.utterances["speaker"].tolist() == ["Anna", "Ben", "Anna", "Ben", "unknown"]
    assert made.utterances["channel"].fillna("").tolist() == ["left", "right", "left", "right", ""]
    assert remarks(made) == {"channel_speaker": 4, "unnamed_speaker": 1}


def test_channels_tell_whom_diarization_means(tmp_path):
    # Who speaks first has the first number, in each recording anew.
    said = [("SPEAKER_00" if who == "Ben" else "SPEAKER_01", *rest) for who, *rest in TALK]
    sound(tmp_path / "a.wav", TALK, 10.0, left="Anna")
    vtt(tmp_path / "a.vtt", said)
    made = recording(tmp_path, channels=SIDES)
    assert made.utterances["speaker"].tolist() == ["Anna", "Ben", "Anna", "Ben"]
    assert made.utterances["channel"].tolist() == ["left", "right", "left", "right"]
    assert remarks(made) == {"channel_speaker": 4}


@pytest.mark.parametrize(
    ("kind", "options"), [("one_channel", {}), ("channels_alike", {}), ("channels_unused", {"left": "Agent"})]
)
def test_channels_that_are_nobody_s_are_said_to_be(tmp_path, kind, options):
    if kind == "channels_alike":
        voice = clips.voice(10.0, RATE)
        clips.wav(tmp_path / "a.wav", voice[:, None].repeat(2, 1), RATE, 2)
    else:
        sound(tmp_path / "a.wav", TALK, 10.0, left=None if kind == "one_channel" else "Anna")
    vtt(tmp_path / "a.vtt", TALK)
    made = recording(tmp_path, channels=options or SIDES)
    assert made.utterances["channel"].isna().all()
    assert remarks(made) == {kind: 1}


def test_a_split_screen_has_its_speakers_on_its_sides(tmp_path):
    frames = [clips.scene((64, 48), None)] * 24
    clips.write(tmp_path / "a.mp4", frames, clips.voice(2.0))
    vtt(tmp_path / "a.vtt", [("Anna", 0.0, 1.0, "Oh"), ("Ben", 1.0, 1.9, "No"), ("Cleo", 1.2, 1.8, "So")])
    made = recording(tmp_path, frame_side={"Anna": "left", "Ben": "right"})
    assert made.utterances["frame_side"].fillna("").tolist() == ["left", "right", ""]
    assert made.facts["video"]
    assert made.facts["sample_rate"] == 16_000
    assert made.facts["seconds"] == pytest.approx(2.0, abs=0.1)
    assert remarks(recording(tmp_path, frame_side={"Dora": "left"}))["frame_side_unused"] == 1


def test_a_video_without_sound_has_its_pictures(tmp_path):
    clips.write(tmp_path / "a.mp4", [clips.scene((64, 48), None)] * 24, None)
    vtt(tmp_path / "a.vtt", [("Anna", 0.0, 1.0, "Oh")])
    made = recording(tmp_path)
    assert (made.facts["sample_rate"], made.facts["seconds"]) == (None, pytest.approx(2.0, abs=0.1))
    assert made.utterances["clip"].notna().all()
    assert remarks(made) == {"no_audio": 1}


def test_an_rttm_file_names_who_speaks_word_by_word(tmp_path):
    words = [{"word": w, "start": s, "end": s + 0.2} for w, s in (("Are", 4.0), ("you?", 4.3), ("Yes.", 5.0))]
    found = [
        {"start": 0.5, "end": 2.0, "text": "Good morning."},
        {"start": 4.0, "end": 5.2, "text": "Are you? Yes.", "words": words},
        {"start": 8.0, "end": 9.0, "text": "Nobody.", "speaker": "Cleo"},
    ]
    (tmp_path / "a.json").write_text(json.dumps({"segments": found}), "utf-8")
    turns = [(0.4, 1.7, "S0"), (1.9, 1.0, "S1"), (4.0, 0.6, "S0"), (4.9, 0.5, "S1"), (8.0, 1.0, "S0")]
    lines = [f"SPEAKER a 1 {at} {lasts} <NA> <NA> {who} <NA> <NA>\n" for at, lasts, who in turns]
    (tmp_path / "a.rttm").write_text("".join(lines) + "SPEAKER b 1 0 99 <NA> <NA> S9 <NA> <NA>\n", "utf-8")
    made = recording(tmp_path, speakers={"S0": "Anna", "S1": "Ben"})
    # Whom the transcript names stays.
    assert made.utterances["speaker"].tolist() == ["Anna", "Anna", "Ben", "Cleo"]
    assert made.utterances["text"].tolist() == ["Good morning.", "Are you?", "Yes.", "Nobody."]
    assert remarks(made)["rttm_speaker"] == 3


def test_an_rttm_file_of_other_recordings_is_refused(tmp_path):
    segments(tmp_path / "a.json", unnamed(TALK))
    lines = [f"SPEAKER {name} 1 0 9 <NA> <NA> S0 <NA> <NA>\n" for name in "bc"]
    (tmp_path / "a.rttm").write_text("".join(lines), "utf-8")
    with pytest.raises(RecordingError, match="recordings b, c, and nothing of a") as error:
        recording(tmp_path)
    assert error.value.reason == "unreadable_rttm"


def test_whoever_is_unknown_can_be_named(tmp_path):
    segments(tmp_path / "a.json", unnamed(TALK))
    assert set(recording(tmp_path, speakers={"unknown": "Anna"}).utterances["speaker"]) == {"Anna"}
