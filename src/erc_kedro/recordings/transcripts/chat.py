"""Chat logs and plain transcripts: a line a message, with a name, a time, both, or neither if it goes on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from erc_kedro.recordings.base import Transcript, Turn
from erc_kedro.recordings.names import likely, name_before
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.times import seconds

_CLOCK = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:\s?[AaPp]\.?\s?[Mm]\.?)?"
# WhatsApp: "[27/11/2026, 13:40:24] Anna: …", "27.11.26, 13:40 - Anna: …".
_DATED = re.compile(rf"\[?\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}},?\s+{_CLOCK}\]?\s*[-–]?\s+(.*)")
# "[12:03] Anna: …", "00:12:03.5 Anna: …", and Zoom's "13:40:24 From Anna to Everyone: …".
_TIMED = re.compile(r"[\[(]?((?:\d{1,2}:)?\d{1,3}:\d{2}(?:[.,]\d{1,3})?)[\])]?\s*[-–]?\s+(.*)")
_ZOOM = re.compile(r"From\s+(.{1,60}?)(?:\s+to\s+.{1,60}?)?\s?:\s+(.*)", re.IGNORECASE)
# "Anna (12:03): …".
_TIME_BEHIND = re.compile(r"([^\W\d_][^:\[\]()]{0,39}?)\s+[\[(]((?:\d{1,2}:)?\d{1,3}:\d{2})[\])]\s?:\s*(.*)")
# A line of its own, as Teams and Otter have it: "Anna Smith  0:03".
_HEADING = re.compile(r"([^\W\d_][^:]{0,39}?)(?:\s{2,}|\t)((?:\d{1,2}:)?\d{1,3}:\d{2})")
# What WhatsApp puts before what nobody wrote, and in place of a file.
_MARK = "\u200e"
_IN_PLACE = re.compile(r"<[^<>]{1,100}>")


@dataclass
class _Line:
    """A line: whether it is dated, its time, the name before its text, and that."""

    dated: bool
    time: str
    name: str
    text: str


def read(lines: Sequence[str], has_media: bool, remarks: Remarks) -> Transcript:
    """Reads messages; a line without name and time goes on with the one before it.

    A time without a date is the recording's where there is media, or where all have hours and the first is
    within one. Otherwise it is a clock's, and not used: order is all that matters.
    """
    plain = [(number, line.strip("\ufeff \t\r\n")) for number, line in enumerate(lines, 1)]
    filled = [(number, _line(line)) for number, line in plain if line.strip(_MARK)]
    named = [line.name for _, line in filled]
    starts = sum(line.dated or bool(line.time) for _, line in filled)
    # Where messages have times, a colon in a line without one is part of its text.
    names = set() if starts else likely(named, len(filled))
    times = [line.time for _, line in filled if line.time]
    own = bool(times) and (has_media or (all(time.count(":") == 2 for time in times) and _is_early(times[0])))
    turns: list[Turn] = []
    for number, line in filled:
        name = line.name if line.dated or line.time or line.name in names else ""
        begins = line.dated or bool(line.time) or bool(name)
        text = line.text if name or not line.name else f"{line.name}: {line.text}"
        if line.dated and not name:
            remarks.add("system_message", f"row {number}")
        elif line.text.startswith(_MARK) or (line.dated and _IN_PLACE.fullmatch(line.text)):
            remarks.add("non_speech", f"row {number}: {line.text.strip(_MARK)[:40]}")
        elif begins:
            turns.append(Turn(text, name, seconds(line.time) if own else None))
        elif turns:
            turns[-1] = replace(turns[-1], text=f"{turns[-1].text}\n{text}".lstrip())
        else:
            remarks.add("unreadable_cue", f"row {number}: before the first name")
    return Transcript(turns, "chat")


def _line(line: str) -> _Line:
    bare = line.lstrip(_MARK)
    if match := _DATED.fullmatch(bare):
        name, text = _message_name(match[1])
        return _Line(True, "", name, text)
    if match := _HEADING.fullmatch(bare):
        return _Line(False, match[2], match[1].strip(), "")
    if match := _TIME_BEHIND.fullmatch(bare):
        return _Line(False, match[2], match[1].strip(), match[3])
    if match := _TIMED.fullmatch(bare):
        if zoom := _ZOOM.fullmatch(match[2]):
            return _Line(False, match[1], zoom[1].strip(), zoom[2])
        return _Line(False, match[1], *name_before(match[2]))
    return _Line(False, "", *name_before(line))


def _message_name(message: str) -> tuple[str, str]:
    """A dated message's name may be any, such as a number, an emoji or a long one."""
    name, colon, text = message.partition(": ")
    if not colon and message.endswith(":"):
        name, colon, text = message[:-1], ":", ""
    return (name.strip(), text) if colon and len(name) <= 80 else ("", message)


def _is_early(time: str) -> bool:
    at = seconds(time)
    return at is not None and at < 3600
