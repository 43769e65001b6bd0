"""What is written is read by other programs: times to the millisecond, and every format the same ones."""

import numpy as np
import pytest

from erc_kedro import timelines
from erc_kedro.timelines.formats.spans import shown
from tests.hostile import PAYLOADS
from tests.timelines.formats.made import READERS, facts, milliseconds, timeline

SUFFIXES = ("parquet", "csv", "json", "vtt", "srt", "TextGrid", "eaf", "rttm")


@pytest.fixture(scope="module")
def long_talk(tmp_path_factory):
    """Three hours of two speakers who never talk at once, on the millisecond, with gaps and without."""
    draw = np.random.default_rng(0)
    edges = np.cumsum(draw.integers(1, 60_000, 600)) / 1000
    rows = [
        {"start_s": start, "end_s": end, "speaker": f"S{at % 2}", "text": f"words {at}"}
        for at, (start, end) in enumerate(zip(edges[::2], edges[1::2], strict=True))
    ]
    # One begins when another ends.
    rows[1]["start_s"] = rows[0]["end_s"]
    rows[2] |= {"start_s": rows[1]["end_s"], "speaker": rows[1]["speaker"]}
    folder = tmp_path_factory.mktemp("long")
    written = timelines.write(timeline(*rows), facts(seconds=edges[-1] + 5), folder)
    assert [path.name for path in written] == [f"timeline.{suffix}" for suffix in SUFFIXES]
    assert all(path.is_file() for path in written)
    return folder, rows


@pytest.mark.parametrize("suffix", READERS)
def test_times_speakers_and_words_come_back(long_talk, suffix):
    folder, rows = long_talk
    read = READERS[suffix](folder)
    assert [(seen.start, seen.end, seen.speaker) for seen in read] == [
        (milliseconds(row["start_s"]), milliseconds(row["end_s"]), row["speaker"]) for row in rows
    ]
    if suffix != "rttm":
        assert all(row["text"] in seen.said for seen, row in zip(read, rows, strict=True))


@pytest.mark.parametrize("suffix", READERS)
def test_no_text_and_no_name_spoils_a_file(tmp_path, suffix):
    """Whatever is said, and whoever says it, each utterance is there, at its time and in its order."""
    odd = (
        "a --> b",
        "00:00:01.000 --> 00:00:02.000",
        'say "so"',
        "\ufffe",
        "</v>",
        "]]>",
        "1\n\n2",
        "{\\an8}",
    )
    texts = (*PAYLOADS, *odd)
    rows = [
        {"start_s": at, "end_s": at + 0.5, "text": text, "speaker": f"{text} by {at}"[-60:]}
        for at, text in enumerate(texts)
    ]
    labels = tuple(PAYLOADS[at] for at in (1, 5, 17, 23))
    timelines.write(timeline(*rows, labels=labels), facts(labels), tmp_path)
    read = READERS[suffix](tmp_path)
    assert [(seen.start, seen.end) for seen in read] == [
        (1000 * at, 1000 * at + 500) for at in range(len(texts))
    ]
    assert len({seen.speaker for seen in read}) == len(texts)
    if suffix in ("vtt", "TextGrid", "eaf"):
        assert all(shown(text) in seen.said for seen, text in zip(read, texts, strict=True))


def test_without_times_there_are_tables_alone_and_nothing_of_an_earlier_run(tmp_path):
    timelines.write(timeline({"start_s": 0.0, "end_s": 1.0}), facts(), tmp_path)
    (tmp_path / "notes.txt").touch()
    written = timelines.write(timeline({}, {}), facts(seconds=None), tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"notes.txt", "timeline.parquet", "timeline.csv", "timeline.json"}
    assert {path.name for path in written} == left - {"notes.txt"}


@pytest.mark.parametrize("suffix", ["vtt", "srt", "TextGrid", "eaf", "rttm"])
def test_who_has_no_time_is_left_out_where_times_are_needed(tmp_path, suffix):
    rows = ({"start_s": 1.0, "end_s": 2.0}, {"text": "later"}, {"start_s": 3.0, "end_s": 3.0})
    timelines.write(timeline(*rows), facts(), tmp_path)
    # What takes no time is shown for a millisecond.
    assert [(seen.start, seen.end) for seen in READERS[suffix](tmp_path)] == [(1000, 2000), (3000, 3001)]
