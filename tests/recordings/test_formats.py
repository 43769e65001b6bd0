"""What others' programs write is read: the same speakers, texts, and times to the millisecond."""

import csv
import html
import io
import json

import pympi
import pytest
import webvtt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from erc_kedro.timelines.formats import contents
from tests.conftest import examples
from tests.recordings.made import TALK, recording, remarks, said_in, sound, stamp
from tests.timelines.formats.made import facts, timeline

NAMES = st.sampled_from(["Anna", "Ben", "Dr. Süß", "Zoë & Co", "SPEAKER_00", "李雷", "عمر"])
# What each of the formats can hold; each line begins with a letter, for "-" and "[" mean something.
TEXTS = st.lists(
    st.sampled_from(
        ["well", "so what?", "it's 5 < 6", "“no”", "R&D;", "你好", "שלום", "é", "x: y", '"quoted"', "…"]
    ),
    max_size=4,
).map(lambda words: " ".join(["Ah", *words]))


@st.composite
def conversations(draw):
    """Turns one after the other, with at least a millisecond each."""
    said, at = [], 0
    for _ in range(draw(st.integers(2, 6))):
        start = at + draw(st.integers(0, 3000))
        at = start + draw(st.integers(1, 9000))
        said.append((draw(NAMES), start / 1000, at / 1000, draw(TEXTS)))
    return said


def as_webvtt(path, said):
    captions = webvtt.WebVTT()
    for speaker, start, end, text in said:
        line = f"<v {html.escape(speaker)}>{html.escape(text, quote=False)}"
        captions.captions.append(webvtt.Caption(stamp(start), stamp(end), line))
    captions.save(str(path / "a.vtt"))


def as_srt(path, said):
    cues = [
        f"{number}\n{stamp(start, ',')} --> {stamp(end, ',')}\n{speaker}: {text}\n"
        for number, (speaker, start, end, text) in enumerate(said, 1)
    ]
    (path / "a.srt").write_text("\n".join(cues), "utf-8-sig")


def as_whisperx(path, said):
    segments = [{"start": s, "end": e, "text": f" {text}", "speaker": who} for who, s, e, text in said]
    (path / "a.json").write_text(json.dumps({"segments": segments, "language": "en"}), "utf-8")


def as_textgrid(path, said, mode="normal", codec="utf-8"):
    grid = pympi.Praat.TextGrid(xmax=said[-1][2])
    for who in dict.fromkeys(turn[0] for turn in said):
        tier = grid.add_tier(who)
        for speaker, start, end, text in said:
            if speaker == who:
                tier.add_interval(start, end, text)
    grid.to_file(str(path / "a.TextGrid"), codec=codec, mode=mode)


def as_short_textgrid(path, said):
    as_textgrid(path, said, "short", "utf-16")


def as_eaf(path, said):
    document = pympi.Elan.Eaf(author="")
    document.remove_tier("default")
    for speaker, start, end, text in said:
        if speaker not in document.get_tier_names():
            document.add_tier(speaker)
        document.add_annotation(speaker, round(start * 1000), round(end * 1000), text)
    document.to_file(str(path / "a.eaf"))


def as_csv(path, said):
    with (path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("start", "end", "speaker", "text"), *((s, e, w, t) for w, s, e, t in said)]
        )


WRITERS = [as_webvtt, as_srt, as_whisperx, as_textgrid, as_short_textgrid, as_eaf, as_csv]


@pytest.mark.parametrize("write", WRITERS)
@given(said=conversations())
@settings(
    max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_conversation_comes_back(write, said, tmp_path_factory):
    folder = tmp_path_factory.mktemp("a")
    if write is as_srt:
        # A name that occurs once may be a part of a sentence, so that everybody speaks twice.
        last = said[-1][2]
        said = [*said, *((w, round(last + s, 3), round(last + e, 3), t) for w, s, e, t in said)]
    write(folder, said)
    made = recording(folder, longest_turn_s=100.0, longest_turn_words=1000)
    # In a text that is a cue, a part or an interval, white space is white space.
    assert said_in(made) == [(who, start, end, " ".join(text.split())) for who, start, end, text in said]
    assert made.utterances["turn"].tolist() == list(range(len(said)))
    assert not {*remarks(made)} - {"gap"}


def test_webvtt_as_the_standard_has_it(tmp_path):
    (tmp_path / "a.vtt").write_text(
        "WEBVTT - a call\r\nKind: captions\r\nLanguage: de\r\n\r\n"
        "STYLE\r\n::cue(v[voice=Anna]) { color: lime }\r\n\r\nREGION\r\nid:r1\r\n\r\n"
        "NOTE nobody says --\r\nthis\r\n\r\n"
        "intro\r\n00:01.000 --> 00:02.500 align:start position:10%\r\n"
        "<v.first.loud Anna &amp; Co>Hello <i>there</i>,\r\n<c.yellow>you</c> &lt;three&gt;\r\n\r\n"
        "00:00:03.000 --> 00:00:07.000\r\n<v Ben>Yes.</v>\r\n"
        "<v Anna &amp; Co>Fine, <lang fr>ça va</lang>.\r\n\r\n"
        "00:00:08.000 --> 00:00:10.000\r\n<v Ben>One <00:00:09.500>two</v>\r\n",
        "utf-8",
    )
    made = recording(tmp_path / "a.vtt")
    assert made.facts["language"] == "de"
    assert said_in(made)[:2] == [
        ("Anna & Co", 1.0, 2.5, "Hello there, you <three>"),
        ("Ben", 3.0, 4.143, "Yes."),
    ]
    assert said_in(made)[2:] == [
        ("Anna & Co", 4.143, 7.0, "Fine, ça va."),
        ("Ben", 8.0, 10.0, "One two"),
    ]
    assert remarks(made) == {"several_speakers": 1}


def test_captions_that_roll_upwards_say_each_line_once(tmp_path):
    lines = [f"line number {n}" for n in range(6)]
    cues = [f"00:0{n}.000 --> 00:0{n + 1}.000\n{lines[n]}\n{lines[n + 1]}\n" for n in range(5)]
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n" + "\n".join(cues), "utf-8")
    made = recording(tmp_path)
    assert " ".join(made.utterances["text"]) == " ".join(lines)
    assert remarks(made)["rolling_captions"] == 4


def test_srt_with_two_speakers_in_a_cue(tmp_path):
    (tmp_path / "a.srt").write_text(
        "1\n00:00:01,000 --> 00:00:05,000\n- Where is it?\n- <i>Where is what?</i>\n\n"
        "2\n00:00:06,000 --> 00:00:07,000\nListen: I am here.\n42\n\n"
        "3\n00:00:08,000 --> 00:00:09,000\nNobody said so.\n",
        "utf-8",
    )
    made = recording(tmp_path, longest_turn_s=100)
    assert made.utterances["text"].tolist() == [
        "Where is it?",
        "Where is what?",
        # One colon makes no name; a number is text where it does not stand before a cue.
        "Listen: I am here. 42",
        "Nobody said so.",
    ]
    assert set(made.utterances["speaker"]) == {"unknown"}
    assert remarks(made)["unnamed_speaker"] == 4


def test_whisperx_words_part_a_segment_by_speaker(tmp_path):
    words = [
        {"word": "Are", "start": 1.0, "end": 1.2, "speaker": "SPEAKER_00"},
        {"word": "you", "start": 1.2, "end": 1.3, "speaker": "SPEAKER_00"},
        # Numerals have neither times nor a speaker.
        {"word": "21?"},
        {"word": "Yes,", "start": 2.5, "end": 2.75, "speaker": "SPEAKER_01"},
        {"word": "I", "start": 2.8, "end": 2.9, "speaker": "SPEAKER_01"},
        {"word": "am.", "start": 2.9, "end": 3.1, "speaker": "SPEAKER_01"},
    ]
    segment = {
        "start": 1.0,
        "end": 3.1,
        "text": " Are you 21? Yes, I am.",
        "words": words,
        "speaker": "SPEAKER_00",
    }
    (tmp_path / "a.json").write_text(json.dumps({"segments": [segment]}), "utf-8")
    made = recording(tmp_path, speakers={"SPEAKER_00": "Anna", "SPEAKER_01": "Ben"})
    assert [(who, text) for who, _, _, text in said_in(made)] == [
        ("Anna", "Are you 21?"),
        ("Ben", "Yes, I am."),
    ]
    assert made.utterances["start_s"].tolist() == [1.0, 2.5]
    assert made.utterances["turn"].tolist() == [0, 1]


OTHER_JSON = {
    "openai": (
        {
            "task": "transcribe",
            "language": "german",
            "duration": 4.0,
            "segments": [{"id": 0, "start": 0.5, "end": 2.0, "text": " Na so was."}],
            "words": [{"word": "Na", "start": 0.5, "end": 0.9}],
        },
        "de",
    ),
    "faster-whisper": (
        [{"id": 1, "seek": 0, "start": 0.5, "end": 2.0, "text": " Na so was.", "words": None}],
        None,
    ),
    "whisper.cpp": (
        {
            "result": {"language": "de"},
            "transcription": [
                {
                    "timestamps": {"from": "00:00:00,500", "to": "00:00:02,000"},
                    "offsets": {"from": 500, "to": 2000},
                    "text": " Na so was.",
                }
            ],
        },
        "de",
    ),
}


@pytest.mark.parametrize("program", OTHER_JSON)
def test_json_of_other_programs(tmp_path, program):
    data, language = OTHER_JSON[program]
    (tmp_path / "a.json").write_text(json.dumps(data), "utf-8")
    made = recording(tmp_path)
    assert said_in(made) == [("unknown", 0.5, 2.0, "Na so was.")]
    assert made.facts["language"] == language


def test_times_of_words_say_where_a_long_turn_is_cut(tmp_path):
    texts = ["One", "two.", "Three", "four."]
    starts = [0.0, 0.5, 28.0, 29.0]
    words = [{"word": f" {w}", "start": s, "end": s + 0.4} for w, s in zip(texts, starts, strict=True)]
    segment = {"start": 0.0, "end": 30.0, "text": "One two. Three four.", "words": words}
    (tmp_path / "a.json").write_text(json.dumps({"segments": [segment]}), "utf-8")
    made = recording(tmp_path, longest_turn_s=20)
    assert said_in(made) == [("unknown", 0.0, 0.9, "One two."), ("unknown", 28.0, 30.0, "Three four.")]
    assert made.utterances["turn"].tolist() == [0, 0]


FORMS = {
    "points": ("start,end,speaker,text", ",", ("1.5", "2.25")),
    "decimal commas between semicolons": ("start_s;end_s;speaker;text", ";", ("1,5", "2,25")),
    "decimal commas in quotes": ("begin,stop,name,utterance", ",", ('"1,5"', '"2,25"')),
    "clocks with commas": ("Start Time\tEnd Time\tSpeaker\tText", "\t", ("00:00:01,500", "00:00:02,250")),
    "clocks": ("onset,offset,who,sentence", ",", ("0:01.5", "00:02.25")),
    "milliseconds": ("start_ms,end_ms,speaker,text", ",", ("1500", "2250")),
    "durations": ("start,duration,speaker,text", ",", ("1.5", "0.75")),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_write_times_as_they_like(tmp_path, form, encoding):
    header, delimiter, times = FORMS[form]
    rows = [header, delimiter.join([*times, "Süß", '"So, so; it is"'])]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n", encoding)
    assert said_in(recording(tmp_path)) == [("Süß", 1.5, 2.25, "So, so; it is")]


def test_whispers_own_table_is_in_milliseconds(tmp_path):
    (tmp_path / "a.tsv").write_text("start\tend\ttext\n0\t1500\tWell.\n1500\t4000\tSo.\n", "utf-8")
    made = recording(tmp_path)
    assert made.utterances["end_s"].tolist() == [1.5, 4.0]
    assert remarks(made)["milliseconds"] == 1


def test_praats_own_long_file(tmp_path):
    # Typed after Praat's manual, for pympi's writer leaves out what Praat allows.
    (tmp_path / "a.TextGrid").write_text(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = 2.3 \ntiers? <exists> \n'
        "size = 3 \nitem []: \n"
        '    item [1]:\n        class = "IntervalTier" \n        name = "Mary" \n        xmin = 0 \n'
        "        xmax = 2.3 \n        intervals: size = 2 \n        intervals [1]:\n            xmin = 0 \n"
        '            xmax = 1.25e0 \n            text = "she said ""no"" ! 3\nand left" \n'
        '        intervals [2]:\n            xmin = 1.25 \n            xmax = 2.3 \n            text = "" \n'
        '    item [2]:\n        class = "IntervalTier" \n        name = "phones" \n        xmin = 0 \n'
        "        xmax = 2.3 \n        intervals: size = 1 \n        intervals [1]:\n            xmin = 0 \n"
        '            xmax = 2.3 \n            text = "S" \n'
        '    item [3]:\n        class = "TextTier" \n        name = "bell" \n        xmin = 0 \n'
        "        xmax = 2.3 \n        points: size = 1 \n        points [1]:\n            number = 0.9 \n"
        '            mark = "ding" \n',
        "utf-8",
    )
    made = recording(tmp_path)
    assert said_in(made) == [("Mary", 0.0, 1.25, 'she said "no" ! 3 and left')]
    assert remarks(made) == {"tier_not_read": 2}


def test_tiers_of_words_and_labels_belong_to_their_speakers(tmp_path):
    document = pympi.Elan.Eaf(author="")
    document.remove_tier("default")
    document.add_tier("tx@Anna", part="Anna")
    document.add_tier("Ben")
    document.add_annotation("tx@Anna", 0, 2000, "I am glad.")
    document.add_annotation("tx@Anna", 4000, 6000, "Or am I?")
    document.add_annotation("Ben", 2000, 4000, "You are.")
    document.add_linguistic_type("sub", "Symbolic_Association")
    document.add_tier("emotion@Anna", ling="sub", parent="tx@Anna")
    document.add_ref_annotation("emotion@Anna", "tx@Anna", 1000, "happy")
    document.add_tier("Ben emotion")
    document.add_annotation("Ben emotion", 2100, 4200, "calm")
    document.add_annotation("Ben emotion", 8000, 9000, "sad")
    document.add_tier("notes")
    document.add_annotation("notes", 0, 6000, "recorded outdoors")
    document.to_file(str(tmp_path / "a.eaf"))
    made = recording(tmp_path, labels={"happy": "joy"})
    assert made.utterances["speaker"].tolist() == ["Anna", "Ben", "Anna"]
    assert made.utterances["label"].fillna("").tolist() == ["joy", "calm", ""]
    assert remarks(made) == {"tier_not_read": 1, "label_unplaced": 1}


def test_a_forced_alignment_alone_makes_turns_of_its_words(tmp_path):
    grid = pympi.Praat.TextGrid(xmax=5.0)
    words, phones = grid.add_tier("Anna - words"), grid.add_tier("Anna - phones")
    for start, end, word in [(0.5, 0.8, "oh"), (0.8, 1.2, "well"), (3.0, 3.4, "fine")]:
        words.add_interval(start, end, word)
        phones.add_interval(start, end, "X")
    grid.to_file(str(tmp_path / "a.TextGrid"))
    assert said_in(recording(tmp_path)) == [("Anna", 0.5, 1.2, "oh well"), ("Anna", 3.0, 3.4, "fine")]


def test_labels_of_a_table_are_the_models(tmp_path):
    table = io.StringIO()
    csv.writer(table).writerows(
        [
            ("speaker", "text", "emotion"),
            ("Anna", "Oh", "Happy"),
            ("Ben", "No", "NA"),
            ("Anna", "So", "other"),
        ]
    )
    (tmp_path / "a.csv").write_text(table.getvalue(), "utf-8")
    (tmp_path / "labels.yml").write_text("happy: joy\n", "utf-8")
    made = recording(tmp_path / "a.csv", labels=str(tmp_path / "labels.yml"))
    assert made.utterances["label"].fillna("").tolist() == ["joy", "", "other"]


@pytest.mark.parametrize("suffix", ["csv", "json", "vtt", "srt", "TextGrid", "eaf"])
def test_what_we_write_is_read_without_what_the_model_said(tmp_path, suffix):
    turns = [("Ann", 0.5, 1.5, "What a day!", None), ("Ben", 2.0, 3.25, "Is it?", "anger")]
    turns += [("Ann", 4.0, 5.0, "It is.", "neutral"), ("Ben", 6.0, 7.0, "Well.", None)]
    names = ("speaker", "start_s", "end_s", "text", "label")
    scored = timeline(*(dict(zip(names, turn, strict=True)) for turn in turns))
    content = contents(scored, facts(), tmp_path)[suffix]
    (tmp_path / f"a.{suffix}").write_bytes(content)
    made = recording(tmp_path)
    assert said_in(made) == [turn[:4] for turn in turns]
    labels = [turn[4] or "" for turn in turns] if suffix not in ("vtt", "srt") else [""] * 4
    assert made.utterances["label"].fillna("").tolist() == labels
    assert not {*remarks(made)} - {"model_output", "tier_not_read", "column_not_read"}


CHATS = {
    "WhatsApp, iOS": (
        "[27/11/2026, 13:40:24] Anna: \u200eMessages and calls are end-to-end encrypted.\n"
        "[27/11/2026, 13:40:24] Anna: Are you there?\n"
        "\u200e[27/11/2026, 13:41:02] Ben: \u200eimage omitted\n"
        "[27/11/2026, 13:41:09] Ben: Yes: here\nand waiting\n"
    ),
    "WhatsApp, Android": (
        "11/27/26, 1:39\u202fPM - Messages and calls are end-to-end encrypted.\n"
        "11/27/26, 1:40\u202fPM - Anna: Are you there?\n"
        "11/27/26, 1:41\u202fPM - Ben: <Media omitted>\n"
        "11/27/26, 1:41\u202fPM - Ben: Yes: here\nand waiting\n"
    ),
    "Zoom": "13:40:24 From Anna to Everyone: Are you there?\n13:41:09\t From  Ben : Yes: here\nand waiting\n",
    "times before": "[12:03] Anna: Are you there?\n\n[12:04] Ben: Yes: here\nand waiting\n",
    "times behind": "Anna (12:03): Are you there?\nBen (12:04): Yes: here\nand waiting\n",
    "headings": "Anna  0:03\nAre you there?\n\nBen  0:07\nYes: here\nand waiting\n",
    "names": "Anna: Are you there?\nBen: Yes: here\nand waiting\n",
}


@pytest.mark.parametrize("program", CHATS)
def test_chat_logs(tmp_path, program):
    (tmp_path / "a.txt").write_text(CHATS[program], "utf-8")
    made = recording(tmp_path)
    assert [(who, text) for who, _, _, text in said_in(made)] == [
        ("Anna", "Are you there?"),
        ("Ben", "Yes: here and waiting"),
    ]
    assert made.media is None
    assert made.utterances["clip"].isna().all()


def test_a_plain_transcript_with_times_says_when_in_its_media(tmp_path):
    sound(tmp_path / "a.wav", TALK, 10.0)
    (tmp_path / "a.txt").write_text(
        "[0:00] Anna: Good morning.\n[0:02] Ben: Fine, and nothing is wrong here.\n[0:04] Anna: I see.\n",
        "utf-8",
    )
    made = recording(tmp_path)
    assert made.utterances["clip_start_s"].tolist() == [0.0, 2.0, 4.0]
    # The last one is not the rest of the file.
    assert made.utterances["clip_end_s"].tolist() == [2.0, 4.0, 6.333]
    assert remarks(made)["ends_from_next"] == 3
