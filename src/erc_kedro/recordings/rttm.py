"""Who speaks when, as diarization writes it: RTTM (NIST, Rich Transcription 2009, appendix A of its plan)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from erc_kedro.recordings.base import RecordingError, Turn
from erc_kedro.recordings.intervals import Intervals
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.splitting import by_speaker
from erc_kedro.recordings.times import clock, seconds
from erc_kedro.recordings.transcripts.files import lines_of


def read(path: Path, stem: str, encoding: str | None, remarks: Remarks) -> Intervals:
    """Reads the speakers of one recording.

    Args:
        stem: the recording's; of a file with several recordings, those lines are read that name it.

    Raises:
        RecordingError: no line of the file says who speaks when, or none is this recording's.
    """
    by_file: dict[str, list[tuple[float, float, str]]] = {}
    for number, line in enumerate(lines_of(path, encoding), 1):
        cells = line.strip("\ufeff").split()
        if not cells or cells[0] != "SPEAKER":
            continue
        start, lasts = (seconds(cell) for cell in (*cells[3:5], "", "")[:2])
        if len(cells) < 8 or start is None or lasts is None or lasts < 0:
            remarks.add("unreadable_cue", f"{path.name}, row {number}")
            continue
        by_file.setdefault(cells[1], []).append((start, start + lasts, cells[7]))
    if len(by_file) == 1:
        return Intervals(next(iter(by_file.values())))
    if stem not in by_file:
        has = "recordings " + ", ".join([*by_file][:5]) if by_file else "no line SPEAKER"
        raise RecordingError(
            "unreadable_rttm", f"{path}: has {has}, and nothing of {stem}; correct it or take it away"
        )
    return Intervals(by_file[stem])


def with_speakers(turns: Sequence[Turn], spoken: Intervals, remarks: Remarks) -> list[Turn]:
    """Turns that nobody is named for get the speaker who has most of their time, word by word where known."""
    made: list[Turn] = []
    for turn in turns:
        if turn.speaker or turn.start_s is None or turn.end_s is None:
            made.append(turn)
            continue
        whole = _most(spoken, turn.start_s, turn.end_s)
        words = tuple(
            word
            if word.start_s is None or word.end_s is None
            else replace(word, speaker=_most(spoken, word.start_s, word.end_s))
            for word in turn.words
        )
        parted = by_speaker(replace(turn, speaker=whole, words=words))
        if len(parted) > 1:
            remarks.add("several_speakers", f"at {clock(turn.start_s)}")
        for part in parted:
            if part.speaker:
                remarks.add("rttm_speaker", f"at {clock(part.start_s)} ({part.speaker})")
        made += parted
    return made


def _most(spoken: Intervals, start: float, end: float) -> str:
    held = spoken.during(start, end)
    return max(held, key=held.__getitem__, default="")
