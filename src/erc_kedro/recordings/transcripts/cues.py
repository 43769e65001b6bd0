"""Subtitles: WebVTT (https://www.w3.org/TR/webvtt1) and SRT.

webvtt-py reads both, but one voice a cue, and what it cannot read it leaves out without a word; here each cue
is read or listed.
"""

import html
import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

from erc_kedro.recordings.base import Transcript, Turn, Word
from erc_kedro.recordings.names import with_names
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.splitting import by_speaker
from erc_kedro.recordings.times import clock, seconds

ARROW = re.compile("-->")
_LINE = re.compile(r"\s*([-−\d:.,]{1,30})\s*-->\s*([-−\d:.,]{1,30})(?=\s|$)")
# Tags, and the points in time within a cue. Of a cue text's own tags all are known; others are markup.
_TAG = re.compile(r"<(/?)([a-zA-Z]+)([^<>]*)>|<(\d[\d:.]{3,20})>")
_OWN = ("c", "i", "b", "u", "v", "ruby", "rt", "lang", "font")
# What SubRip took from SubStation Alpha: {\an8}.
_STYLE = re.compile(r"\{\\[^{}]{0,100}\}")
# What we write behind the words: [joy 82 %].
_SCORED = re.compile(r"\s{0,2}\[[^\[\]]{1,100} \d{1,3} %\]$")
_LANGUAGE = re.compile(r"Language:\s*([A-Za-z-]{2,20})\s*$", re.IGNORECASE)
# So many captions that repeat lines do not do so by chance.
_ROLLING = 0.3


def read(lines: Sequence[str], kind: str, remarks: Remarks) -> Transcript:
    """Reads cues, whose speakers are those of voice tags (``<v Anna>``), or named (``Anna:``)."""
    stripped = [_STYLE.sub("", line.strip("\ufeff\r\n")) for line in lines]
    at = [number for number, line in enumerate(stripped) if "-->" in line]
    header = stripped[: at[0]] if at else stripped
    language = next((match[1] for line in header if (match := _LANGUAGE.match(line))), None)
    cues: list[tuple[float, float, list[str]]] = []
    for begin, end in itertools.pairwise([*at, len(stripped)]):
        match = _LINE.match(stripped[begin])
        times = (seconds(match[1]), seconds(match[2])) if match else (None, None)
        if times[0] is None or times[1] is None:
            remarks.add("unreadable_cue", f"row {begin + 1}: {stripped[begin].strip()[:60]}")
            continue
        payload = _payload(stripped[begin + 1 : end], kind, end < len(stripped))
        if payload and (scored := _SCORED.search(payload[-1].removesuffix("</v>"))):
            remarks.add("model_output", f"{scored[0].strip()} at {clock(times[0])}")
            payload[-1] = payload[-1].replace(scored[0], "")
        cues.append((times[0], times[1], payload))
    turns: list[Turn] = []
    for start, finish, payload in _unrolled(cues, remarks):
        spoken = by_speaker(_turn(start, finish, "\n".join(payload), remarks))
        if len(spoken) > 1:
            remarks.add("several_speakers", f"at {clock(start)}")
        turns += spoken
    return Transcript(with_names(turns, remarks), kind, language)


def _payload(block: Sequence[str], kind: str, next_follows: bool) -> list[str]:
    """A cue's lines of text, of all up to the next cue's times."""
    if kind == "webvtt":
        # A blank line ends it; what follows is a note, a style, a region, or the next one's identifier.
        ended = next((at for at, line in enumerate(block) if not line), None)
        if ended is not None:
            return [*block[:ended]]
        # Without the blank line, the next one's identifier is part of the text by the standard, too.
        return [*block]
    kept = [*block]
    if next_follows and kept and kept[-1].strip().isdigit():
        kept.pop()
    return [line for line in kept if line.strip()]


def _unrolled(
    cues: list[tuple[float, float, list[str]]], remarks: Remarks
) -> list[tuple[float, float, list[str]]]:
    """Cues without the lines that the cue before has shown already, where captions move upwards."""
    plain = [[_TAG.sub("", line).strip() for line in payload] for _, _, payload in cues]
    repeated = []
    moving = 0
    before: list[str] = []
    for lines in plain:
        shown = [line for line in lines if line]
        both = next((n for n in (2, 1) if before[-n:] and shown[:n] == before[-n:]), 0)
        repeated.append(both)
        # A cue that says what the last one said may be said again; one that goes on from it is not.
        moving += 0 < both < len(shown)
        before = shown or before
    if moving < max(3, _ROLLING * len(cues)):
        return cues
    made = []
    for (start, end, payload), number in zip(cues, repeated, strict=True):
        filled = [line for line in payload if line.strip()]
        if number:
            remarks.add("rolling_captions", f"at {clock(start)}")
        if len(filled) > number:
            made.append((start, end, filled[number:]))
    return made


def _turn(start: float, end: float, text: str, remarks: Remarks) -> Turn:
    """A cue as a turn, whose words are its stretches of one voice and one time."""
    speaker, since = "", None
    words: list[Word] = []
    foreign = False
    last = 0
    for match in _TAG.finditer(text):
        _append(words, text[last : match.start()], since, speaker)
        last = match.end()
        closing, tag, rest, point = match.groups()
        if point:
            since = seconds(point)
        elif tag == "v":
            # Classes come before the name: <v.loud Anna>.
            named = html.unescape(rest.partition(" ")[2] if rest.startswith((".", " ")) else "").strip()
            speaker = "" if closing else named
        elif tag == "br":
            _append(words, " ", since, speaker)
        foreign = foreign or tag not in (*_OWN, None)
    _append(words, text[last:], since, speaker)
    if foreign:
        remarks.add("markup", f"at {clock(start)}")
    said = "".join(word.text for word in words)
    if all(word.start_s is None for word in words) and len({word.speaker for word in words}) < 2:
        return Turn(said, words[0].speaker if words else "", start, end)
    ends = [*(word.start_s for word in words[1:]), end]
    timed = tuple(
        replace(word, start_s=start if word.start_s is None and at == 0 else word.start_s, end_s=ends[at])
        for at, word in enumerate(words)
        if word.text.strip()
    )
    return Turn(said, "", start, end, words=timed)


def _append(words: list[Word], text: str, since: float | None, speaker: str) -> None:
    if text:
        words.append(Word(html.unescape(text), since, None, speaker))
