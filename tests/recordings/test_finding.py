"""What lies where: media and transcripts find each other, and every recording has a name of its own."""

import shutil

import pandas as pd
import pytest

from erc_kedro import schemas
from erc_kedro.recordings import RecordingError, find, read
from tests.defaults import ScoreParameters
from tests.recordings.made import TALK, recording, remarks, sound, vtt

OPTIONS = ScoreParameters()


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def pairs(folder, where=None, **options):
    """Name, media and transcript of each recording."""
    return [
        (s.name, s.media and s.media.name, s.transcript and s.transcript.name)
        for s in find(str(where or folder), ScoreParameters(**options))
    ]


@pytest.mark.parametrize(
    "transcript", ["call1.vtt", "call1.en.vtt", "call1.transcript.json", "call1.wav.srt", "CALL1.TextGrid"]
)
def test_a_transcript_is_found_by_its_name(tmp_path, transcript):
    touch(tmp_path, "call1.wav", "call10.wav", transcript)
    assert pairs(tmp_path) == [("call1", "call1.wav", transcript), ("call10", "call10.wav", None)]
    # However it is asked for.
    for one in ("call1.wav", transcript, "*1.wav"):
        assert pairs(tmp_path, tmp_path / one) == [("call1", "call1.wav", transcript)]


def test_of_several_transcripts_one_is_used_and_the_others_are_named(tmp_path):
    touch(tmp_path, "a.mp4", "a.wav", "a.json", "a.srt", "a.txt", "a.rttm", "a.de.vtt")
    [source] = find(str(tmp_path), OPTIONS)
    assert (source.media.name, source.transcript.name, source.rttm.name) == ("a.mp4", "a.json", "a.rttm")
    assert [path.name for path in source.others] == ["a.wav", "a.de.vtt", "a.srt", "a.txt"]
    assert pairs(tmp_path, language="de") == [("a", "a.mp4", "a.de.vtt")]
    assert pairs(tmp_path, tmp_path / "a.srt") == [("a", "a.mp4", "a.srt")]


def test_a_transcript_without_media_is_a_recording(tmp_path):
    touch(tmp_path, "a.json", "a.vtt", "b.txt", "b.two.txt", "notes.md", ".hidden.vtt", "._a.vtt")
    assert pairs(tmp_path) == [("a", None, "a.json"), ("b.two", None, "b.two.txt"), ("b", None, "b.txt")]


def test_names_are_safe_and_no_two_alike(tmp_path):
    touch(
        tmp_path,
        "x/call.wav",
        "y/call.wav",
        "y/Call.vtt",
        "y/z/CALL.wav",
        "con.wav",
        "a b%20:'é.wav",
        "….wav",
    )
    names = [source.name for source in find(str(tmp_path), OPTIONS)]
    assert len({name.casefold() for name in names}) == len(names) == 6
    assert {"x_call", "y_call", "z_CALL", "_con", "a_b_20_é", "recording"} == {*names}


def test_several_places_are_one_run_and_a_missing_file_is_listed(tmp_path):
    touch(tmp_path, "a/one.vtt", "b/two.vtt")
    found = find([str(tmp_path / "a"), str(tmp_path / "b/two.vtt"), str(tmp_path / "c.wav")], OPTIONS)
    assert sorted(source.name for source in found) == ["c", "one", "two"]
    with pytest.raises(RecordingError, match="no such file"):
        read(next(source for source in found if source.name == "c"), OPTIONS)


@pytest.mark.parametrize("where", ["nowhere", "*.mp3", "empty"])
def test_nothing_there_is_an_error(tmp_path, where):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError) as error:
        find(str(tmp_path / where), OPTIONS)
    assert error.value.reason == "not_found"


def test_a_table_lists_recordings(tmp_path):
    (tmp_path / "media").mkdir()
    for name in ("a", "b"):
        sound(tmp_path / "media" / f"{name}.wav", TALK, 10.0)
    vtt(tmp_path / "other.vtt", TALK)
    vtt(tmp_path / "media" / "b.vtt", TALK)
    (tmp_path / "calls.csv").write_text(
        "name,media,transcript\nfirst,media/a.wav,other.vtt\n,media/b.wav,\nthird,,other.vtt\n,gone.wav,other.vtt\n",
        "utf-8",
    )
    found = find(str(tmp_path / "calls.csv"), OPTIONS)
    assert [(s.name, s.media and s.media.name, s.transcript and s.transcript.name) for s in found] == [
        ("first", "a.wav", "other.vtt"),
        ("b", "b.wav", "b.vtt"),
        ("third", None, "other.vtt"),
        ("gone", "gone.wav", "other.vtt"),
    ]
    assert len(read(found[0], OPTIONS).utterances) == 4
    with pytest.raises(RecordingError, match="no such file") as error:
        read(found[3], OPTIONS)
    assert error.value.reason == "not_found"
    # In a folder, what a table lists is not listed again.
    assert sorted(source.name for source in find(str(tmp_path), OPTIONS)) == ["b", "first", "gone", "third"]


def test_a_table_with_a_column_of_transcripts_may_be_one(tmp_path):
    (tmp_path / "a.csv").write_text("name,transcript\nAnna,Where is it?\nBen,Here.\n", "utf-8")
    assert recording(tmp_path).utterances["text"].tolist() == ["Where is it?", "Here."]
    vtt(tmp_path / "b.vtt", TALK)
    (tmp_path / "a.csv").write_text("name,transcript\nfirst,b.vtt\n", "utf-8")
    assert pairs(tmp_path) == [("first", None, "b.vtt")]


MANIFEST = """dialogue_id,position,speaker,text,label,clip,start_s,end_s,frame_side
d 1,0,Anna,"One. Two, three, four, five, six. Seven, eight, nine, ten.",happy,a.wav,0.5,2.0,left
d 1,1,Ben,[LAUGHTER],,a.wav,2.25,3.125,right
d 2,5,Anna,Yes,sad,b.wav,1,2,
d 2,7,Cleo,,NA,c.wav,3,4,
"""


def test_a_manifest_s_dialogues_are_recordings_and_its_rows_utterances(tmp_path):
    sound(tmp_path / "a.wav", TALK, 10.0)
    shutil.copy(tmp_path / "a.wav", tmp_path / "b.wav")
    (tmp_path / "own.csv").write_text(MANIFEST, "utf-8")
    options = ScoreParameters(longest_turn_words=3, labels={"happy": "joy"}, speakers={"Cleo": "C"})
    # In a folder, the media that it names are not recordings by themselves.
    first, second = find(str(tmp_path), options)
    made = read(first, options)
    table = schemas.recorded.validate(made.utterances)
    assert table["utterance_id"].tolist() == ["d_1_0", "d_1_1"]
    assert table["text"].tolist()[1] == "[LAUGHTER]"
    assert table["label"].fillna("").tolist() == ["joy", ""]
    assert table["clip_start_s"].tolist() == [0.5, 2.25]
    assert table["frame_side"].tolist() == ["left", "right"]
    assert made.facts["format"] == "manifest"
    assert made.facts["seconds"] == 10.0
    other = read(second, options)
    schemas.recorded.validate(other.utterances)
    assert other.utterances["position"].tolist() == [0, 1]
    assert other.utterances["speaker"].tolist() == ["Anna", "C"]
    # Clips of their own are the utterances, whole.
    assert other.utterances["clip_start_s"].isna().all()
    assert other.media is None
    assert remarks(other)["missing_media"] == 1


def test_a_manifest_with_a_side_that_is_none_is_refused(tmp_path):
    (tmp_path / "own.csv").write_text(
        MANIFEST.replace(",left", ",up").replace("a.wav", "").replace("b.wav", ""), "utf-8"
    )
    sound(tmp_path / "c.wav", TALK, 10.0)
    with pytest.raises(RecordingError, match="row 2, column frame_side: 'up'"):
        find(str(tmp_path / "own.csv"), OPTIONS)


def test_a_broken_manifest_among_others_is_not_taken_for_one_conversation(tmp_path):
    vtt(tmp_path / "a.vtt", TALK)
    (tmp_path / "own.csv").write_text("dialogue_id,position,speaker,text\nd,0,Anna,Oh\nd,0,Ben,No\n", "utf-8")
    found = {source.name: source for source in find(str(tmp_path), OPTIONS)}
    assert len(read(found["a"], OPTIONS).utterances) == 4
    with pytest.raises(RecordingError, match="row 3, column utterance_id"):
        read(found["own"], OPTIONS)


def test_a_mapping_of_labels_that_cannot_be_read_ends_the_run_at_once(tmp_path):
    vtt(tmp_path / "a.vtt", TALK)
    (tmp_path / "labels.yml").write_text("- happy\n", "utf-8")
    for labels in ("labels.yml", "gone.yml"):
        with pytest.raises(RecordingError, match=r"score\.labels"):
            find(str(tmp_path), ScoreParameters(labels=str(tmp_path / labels)))


def test_the_language_is_said_by_parameter_transcript_or_name(tmp_path):
    sound(tmp_path / "a.wav", TALK, 10.0)
    path = vtt(tmp_path / "a.fr.vtt", TALK)
    assert recording(tmp_path).facts["language"] == "fr"
    path.write_text(path.read_text("utf-8").replace("WEBVTT", "WEBVTT\nLanguage: de"), "utf-8")
    assert recording(tmp_path).facts["language"] == "de"
    assert recording(tmp_path, language="nl").facts["language"] == "nl"


def test_ids_tell_recordings_apart(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        vtt(tmp_path / folder / "a.vtt", TALK)
    tables = [read(source, OPTIONS).utterances for source in find(str(tmp_path), OPTIONS)]
    schemas.recorded.validate(pd.concat(tables, ignore_index=True))
