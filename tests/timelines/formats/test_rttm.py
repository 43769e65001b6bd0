"""Diarization tools part an RTTM's fields at spaces."""

from erc_kedro import timelines
from tests.timelines.formats.made import facts, timeline


def test_names_are_words_and_stay_apart(tmp_path):
    rows = [
        {"start_s": at, "end_s": at + 1.25, "speaker": name}
        for at, name in enumerate(("Dr Who", "Dr_Who", "Zoë"))
    ]
    timelines.write(timeline(*rows), facts(), tmp_path)
    assert (tmp_path / "timeline.rttm").read_text("utf-8").splitlines() == [
        "SPEAKER talk 1 0.000 1.250 <NA> <NA> Dr_Who <NA> <NA>",
        "SPEAKER talk 1 1.000 1.250 <NA> <NA> (Dr_Who) <NA> <NA>",
        "SPEAKER talk 1 2.000 1.250 <NA> <NA> Zoë <NA> <NA>",
    ]
