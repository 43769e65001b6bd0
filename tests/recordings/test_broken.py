"""Inputs as they should not be: each ends with a reason, or is used and what is odd about it counted."""

import json
import re

import pytest

from erc_kedro import schemas
from erc_kedro.recordings import RecordingError, find, read
from erc_kedro.recordings.remarks import MEANINGS
from tests.defaults import ScoreParameters
from tests.extractors import clips
from tests.recordings.made import RATE, TALK, recording, remarks, said_in, sound, stamp, vtt

WEBVTT = "WEBVTT\n\n00:00.500 --> 00:02.000\n<v Anna>Hello there.\n"
EAF = (
    '<?xml version="1.0" encoding="UTF-8"?>\n{}<ANNOTATION_DOCUMENT VERSION="3.0"><TIME_ORDER><TIME_SLOT '
    'TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="900"/></TIME_ORDER>'
    '<TIER TIER_ID="Anna"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" '
    'TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>{}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>'
    "</ANNOTATION_DOCUMENT>"
)
GRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n9\n<exists>\n1\n'
    '"IntervalTier"\n"Anna"\n0\n9\n1\n0\n9\n'
)
NESTED = "".join(f'<!ENTITY e{n} "{9 * f"&e{n - 1};"}">' for n in range(1, 9))
# A transcript's name and content, the reason for which it is refused, and words of the detail.
REFUSED = {
    "empty": ("a.vtt", b"", "empty_transcript", "nothing in it"),
    "white space": ("a.srt", b"\xef\xbb\xbf \r\n\r\n", "empty_transcript", "nothing in it"),
    "no cues": ("a.vtt", b"WEBVTT\n\nNOTE nothing yet\n", "no_turns", "WebVTT"),
    "no cues that can be read": ("a.srt", b"1\nnow --> then\nHello\n", "no_turns", "SRT"),
    "a web page": ("a.vtt", b"<!DOCTYPE html><html><body>404</body></html>", "html_page", "web page"),
    "other XML": ("a.eaf", b"<?xml version='1.0'?><tt/>", "no_transcript_format", "not ELAN's"),
    "a video's name is another": (
        "a.vtt",
        b"\0\0\0\x20ftypisom" + bytes(99),
        "wrong_extension",
        "an MP4 file",
    ),
    "a document": ("a.txt", b"PK\3\4" + bytes(99), "wrong_extension", "Word"),
    "prose": ("a.txt", b"Once upon a time\nthere was a file.\n", "no_turns", "chat"),
    "not UTF-8": (
        "a.srt",
        "1\n00:00:01,000 --> 00:00:02,000\nSüß\n".encode("cp1252"),
        "encoding",
        "score.encoding",
    ),
    "UTF-16 without its mark": ("a.vtt", WEBVTT.encode("utf-16-le"), "encoding", "control characters"),
    "UTF-16 with half a character": ("a.vtt", WEBVTT.encode("utf-16") + b"\0", "encoding", "byte-order mark"),
    "JSON that breaks off": (
        "a.json",
        b'{"segments": [{"start": 0.0, "te',
        "truncated_transcript",
        "breaks off",
    ),
    "JSON of something else": ("a.json", b'{"results": []}', "no_segments", "but results"),
    "JSON that is nested too deep": ("a.json", b"[" * 100_000, "unreadable", "nested"),
    "a number": ("a.json", b"7", "no_segments", "but int"),
    "ELAN's file that breaks off": (
        "a.eaf",
        EAF.format("", "x")[:300].encode(),
        "truncated_transcript",
        "breaks off",
    ),
    "entities": (
        "a.eaf",
        EAF.format(f"<!DOCTYPE x [<!ENTITY e0 'ha'>{NESTED}]>", "&e8;").encode(),
        "unreadable",
        "DTD",
    ),
    "a file by an entity": (
        "a.eaf",
        EAF.format('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', "&e;").encode(),
        "unreadable",
        "DTD",
    ),
    "a TextGrid that breaks off": ("a.TextGrid", GRID.encode(), "truncated_transcript", "an interval's text"),
    "another file of Praat's": (
        "a.TextGrid",
        b'File type = "ooTextFile"\nObject class = "Pitch 1"\n',
        "unreadable",
        "no TextGrid",
    ),
    "a binary TextGrid": ("a.TextGrid", b"ooBinaryFile\x08TextGrid\1\2\3", "unreadable", "save it as text"),
    "no TextGrid": ("a.TextGrid", b"hello", "wrong_extension", "Praat"),
    "a table without text": (
        "a.csv",
        b"start,end,words per minute\n0,1,90\n",
        "no_text_column",
        "words per minute",
    ),
    "an unquoted comma": (
        "a.csv",
        b"start,end,speaker,text\n0,1,Anna,Well, no\n",
        "unreadable_table",
        "row 2",
    ),
    "nothing but music": ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\n[music]\n", "no_speech", "1 turns"),
    "all before the beginning": (
        "a.srt",
        b"1\n-00:00:03,000 --> -00:00:02,000\nA: Oh\n",
        "no_speech",
        "within",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_transcript_that_cannot_be_used_says_why(tmp_path, what):
    name, content, reason, words = REFUSED[what]
    (tmp_path / name).write_bytes(content)
    parameters = ScoreParameters()
    [source] = find(str(tmp_path), parameters)
    with pytest.raises(RecordingError) as error:
        read(source, parameters)
    assert error.value.reason == reason
    assert words in error.value.detail
    # Whoever reads it in an index of 500 knows which file it is.
    assert str(tmp_path / name) in error.value.detail


# What a transcript holds beside a recording of 10 seconds: name, content, remarks, and what is read of it.
ODD = {
    "marks of bytes and lines": ("a.vtt", "\ufeff" + WEBVTT.replace("\n", "\r"), {}, ["Hello there."]),
    "UTF-16": ("a.vtt", WEBVTT.encode("utf-16"), {}, ["Hello there."]),
    "WebVTT called SRT": ("a.srt", WEBVTT, {"other_format": 1}, ["Hello there."]),
    "no line WEBVTT": ("a.vtt", WEBVTT[8:], {}, ["Hello there."]),
    "a cue without a blank line before it": (
        "a.vtt",
        WEBVTT + WEBVTT[8:].replace("00:0", "00:0"),
        {"duplicates": 1},
        ["Hello there."],
    ),
    "reversed times": ("a.csv", "start,end,speaker,text\n2,1,Anna,Oh\n", {"reversed_times": 1}, ["Oh"]),
    "a negative time": ("a.csv", "start,end,speaker,text\n-1,1,Anna,Oh\n", {"negative_times": 1}, ["Oh"]),
    "times that are none": (
        "a.csv",
        "start,end,speaker,text\nsoon,1,Anna,Oh\n2,3,Anna,No\n",
        {"unreadable_cue": 1},
        ["No"],
    ),
    "no times": ("a.csv", "start,end,speaker,text\n,,Anna,Oh\n", {"no_times": 1}, ["Oh"]),
    "a cue beyond the end": (
        "a.csv",
        "start,end,speaker,text\n1,2,Anna,Oh\n11,12,Anna,No\n",
        {"beyond_end": 1},
        ["Oh"],
    ),
    "a cue past the end": ("a.csv", "start,end,speaker,text\n1,20,Anna,Oh\n", {"past_end": 1}, ["Oh"]),
    "cues that overlap": (
        "a.csv",
        "start,end,speaker,text\n1,3,Anna,Oh\n2,4,Ben,No\n",
        {"overlap": 1},
        ["Oh", "No"],
    ),
    "cues in disorder": (
        "a.csv",
        "start,end,speaker,text\n3,4,Anna,Then\n1,2,Ben,Now\n",
        {"out_of_order": 1},
        ["Now", "Then"],
    ),
    "cues that last no time": ("a.csv", "start,end,speaker,text\n1,1,Anna,Oh\n", {"no_length": 1}, ["Oh"]),
    "what is no speech": (
        "a.srt",
        "1\n00:00:01,000 --> 00:00:02,000\n[music]\n\n2\n00:00:02,000 --> 00:00:03,000\n♪ la la ♪\n\n"
        "3\n00:00:03,000 --> 00:00:04,000\n(laughs) *sighs*\n\n4\n00:00:04,000 --> 00:00:05,000\n…\n\n"
        "5\n00:00:05,000 --> 00:00:06,000\nA: (laughs) No!\nA: So\n",
        {"non_speech": 3, "empty": 1},
        ["(laughs) No! So"],
    ),
    "HTML": (
        "a.srt",
        '1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<p style="x">A: Fish &amp;<br>chips &lt;3</p>\n',
        {"markup": 1},
        ["Fish & chips <3"],
    ),
    "HTML in a table": (
        "a.csv",
        'start,end,speaker,text\n1,2,A,"<p>Fish &amp;<br>chips</p>"\n',
        {"markup": 1},
        ["Fish & chips"],
    ),
    "writing from the right": (
        "a.csv",
        "start,end,speaker,text\n1,2,\u200fעמית\u200e,\u202bשלום\u202c\n",
        {"direction_marks": 1},
        ["שלום"],
    ),
    "lost characters": (
        "a.csv",
        "start,end,speaker,text\n1,2,A,S\ufffd\ufffd\n",
        {"lost_characters": 2},
        ["S\ufffd\ufffd"],
    ),
    "one speaker by two names": (
        "a.csv",
        "start,end,speaker,text\n1,2,Anna,Oh\n3,4,anna ,No\n",
        {"names_alike": 1},
        ["Oh", "No"],
    ),
    "columns of all kinds": (
        "a.csv",
        "id,start,end,speaker,text\n7,1,2,A,Oh\n",
        {"column_not_read": 1},
        ["Oh"],
    ),
    "nothing where something should be": (
        "a.json",
        json.dumps(
            {"segments": [None, {"text": 7}, {"start": 1e300, "end": None, "text": "Oh", "speaker": 3}]}
        ),
        {"unreadable_cue": 2, "no_times": 1},
        ["Oh"],
    ),
}


@pytest.mark.parametrize("what", ODD)
def test_a_transcript_that_is_odd_is_used_and_counted(tmp_path, what):
    name, content, counted, texts = ODD[what]
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(data)
    sound(tmp_path / "a.wav", TALK, 10.0)
    made = recording(tmp_path)
    found = remarks(made)
    found.pop("unnamed_speaker", None)
    assert found == counted
    assert made.utterances["text"].tolist() == texts
    times = made.utterances[["clip_start_s", "clip_end_s"]].dropna()
    assert ((times >= 0) & (times <= 10)).all(axis=None)
    assert (times["clip_end_s"] >= times["clip_start_s"]).all()
    # An utterance without times must not take the whole file for its own.
    assert (made.utterances["clip"].isna() == made.utterances["clip_start_s"].isna()).all()


MEDIA = {
    "empty": (b"", "unreadable_media", "empty"),
    "garbage": (bytes(range(256)) * 40, "unreadable_media", "Invalid"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "html_page", "web page"),
    "a playlist": (b"#EXTM3U\n#EXTINF:2,\n/etc/passwd\n", "unreadable_media", "a.wav"),
}


@pytest.mark.parametrize("what", MEDIA)
def test_media_that_cannot_be_opened_says_why(tmp_path, what):
    content, reason, words = MEDIA[what]
    (tmp_path / "a.wav").write_bytes(content)
    vtt(tmp_path / "a.vtt", TALK)
    with pytest.raises(RecordingError) as error:
        recording(tmp_path)
    assert error.value.reason == reason
    assert words in error.value.detail


def test_media_alone_says_what_to_put_beside_it(tmp_path):
    sound(tmp_path / "call.wav", TALK, 10.0)
    with pytest.raises(RecordingError, match=r"no transcript lies beside it.*call\.vtt") as error:
        recording(tmp_path)
    assert error.value.reason == "no_transcript"


def test_a_sound_that_breaks_off_is_said_to(tmp_path):
    path = sound(tmp_path / "a.wav", TALK, 10.0)
    vtt(tmp_path / "a.vtt", TALK)
    path.write_bytes(path.read_bytes()[: 44 + 2 * RATE * 8])
    made = recording(tmp_path)
    assert remarks(made) == {"breaks_off": 1, "past_end": 1}
    assert made.facts["seconds"] == 8.0
    path.write_bytes(path.read_bytes()[: 44 + 2 * RATE])
    with pytest.raises(RecordingError, match=r"breaks off at 0:01\.0 of 0:10\.0") as error:
        recording(tmp_path)
    assert error.value.reason == "truncated_media"


def test_a_video_that_breaks_off_is_as_long_as_its_sound(tmp_path):
    frames = [clips.scene((64, 48), None)] * 96
    path = clips.write(
        tmp_path / "a.mp4", frames, clips.voice(8.0), container_options={"movflags": "+faststart"}
    )
    vtt(tmp_path / "a.vtt", [("Anna", 0.5, 1.5, "Oh"), ("Ben", 2.0, 3.0, "No"), ("Anna", 7.0, 7.5, "So")])
    assert not recording(tmp_path).facts["remarks"]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    made = recording(tmp_path)
    assert made.facts["seconds"] < 6
    assert remarks(made) == {"breaks_off": 1, "beyond_end": 1}


def test_a_transcript_of_a_longer_recording_is_refused(tmp_path):
    sound(tmp_path / "a.wav", TALK, 10.0)
    vtt(tmp_path / "a.vtt", [("Anna", 5.0 * n, 5.0 * n + 1, f"Number {n}") for n in range(12)])
    with pytest.raises(RecordingError, match="10 of its 12 turns begin after the media's end") as error:
        recording(tmp_path)
    assert error.value.reason == "other_recording"


def irregular(seconds=0.0):
    """Sixteen turns with pauses of different lengths."""
    said, at = [], 2.0
    for number in range(16):
        lasts = 0.6 + 0.37 * (number * 7 % 5)
        said.append(
            (
                ("Anna", "Ben")[number % 2],
                round(at + seconds, 3),
                round(at + lasts + seconds, 3),
                f"n {number}",
            )
        )
        at += lasts + 0.5 + 0.45 * (number * 3 % 4)
    return said


def test_a_transcript_that_is_shifted_is_found_out(tmp_path):
    sound(tmp_path / "a.wav", irregular(), 50.0)
    vtt(tmp_path / "a.vtt", irregular())
    assert "shifted" not in remarks(recording(tmp_path))
    vtt(tmp_path / "a.vtt", irregular(4.2))
    made = recording(tmp_path)
    [shifted] = [remark for remark in made.facts["remarks"] if remark["kind"] == "shifted"]
    found = re.search(r"by about (\S+) s.* so much earlier", shifted["detail"])
    assert float(found[1]) == pytest.approx(4.2, abs=0.15)


def test_a_transcript_of_what_nobody_says_is_found_out(tmp_path):
    sound(tmp_path / "a.wav", irregular()[:1], 50.0)
    vtt(tmp_path / "a.vtt", irregular())
    assert remarks(recording(tmp_path))["in_silence"] == 15


def test_gaps_are_counted_from_the_beginning_to_the_end(tmp_path):
    sound(tmp_path / "a.wav", TALK, 60.0)
    vtt(
        tmp_path / "a.vtt",
        [("Anna", 15.0, 16.0, "Oh"), ("Ben", 20.0, 21.0, "No"), ("Anna", 40.0, 41.0, "So")],
    )
    made = recording(tmp_path)
    [gap] = [remark for remark in made.facts["remarks"] if remark["kind"] == "gap"]
    assert gap["count"] == 3
    assert gap["detail"] == "0:00.0 to 0:15.0; 0:21.0 to 0:40.0; 0:41.0 to 1:00.0"


def test_ten_thousand_cues_are_all_read(tmp_path):
    said = [(f"S{n % 3}", n * 0.5, n * 0.5 + 0.4, f"This is number {n}.") for n in range(10_000)]
    cues = [
        f"{n}\n{stamp(s, ',')} --> {stamp(e, ',')}\n{who}: {text}\n"
        for n, (who, s, e, text) in enumerate(said)
    ]
    (tmp_path / "a.srt").write_text("\n".join(cues), "utf-8")
    made = recording(tmp_path)
    assert said_in(made) == [(who, s, round(e, 3), text) for who, s, e, text in said]


def test_a_transcript_too_large_to_be_one(tmp_path, monkeypatch):
    monkeypatch.setattr("erc_kedro.recordings.transcripts.files.MOST_BYTES", 100)
    vtt(tmp_path / "a.vtt", TALK)
    with pytest.raises(RecordingError, match="split it") as error:
        recording(tmp_path)
    assert error.value.reason == "too_large"


def test_an_error_that_nobody_thought_of_has_a_reason(tmp_path, monkeypatch):
    vtt(tmp_path / "a.vtt", TALK)

    def fail(*_):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("erc_kedro.recordings.reading.parse", fail)
    with pytest.raises(RecordingError, match=r"a\.vtt.*of all things") as error:
        recording(tmp_path)
    assert error.value.reason == "unreadable"


def test_what_is_read_is_a_table_of_utterances_whose_facts_are_json(tmp_path):
    vtt(tmp_path / "a.vtt", TALK)
    made = recording(tmp_path)
    schemas.recorded.validate(made.utterances)
    assert json.loads(json.dumps(made.facts)) == made.facts
    assert made.facts["speakers"] == ["Anna", "Ben"]
    assert {remark["kind"] for remark in made.facts["remarks"]} <= {*MEANINGS}
