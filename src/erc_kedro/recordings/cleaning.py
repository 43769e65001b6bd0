"""Turns as they can be scored: what is no speech is left out, times are put right; each is counted."""

import html
import re
from collections.abc import Sequence
from dataclasses import replace

from erc_kedro.corpora.tables import alike
from erc_kedro.recordings.base import Turn
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.splitting import count_words
from erc_kedro.recordings.times import clock
from erc_kedro.sentences import few

# Silence that is said to be one, in seconds.
GAP_S = 10.0
# What media and transcripts may disagree by about the end.
_PADDING_S = 0.5
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,500}>")
_BREAK = re.compile(r"<(?:br|/p|/div)\b[^<>]{0,100}>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,31});")
# Marks of direction, zero-width spaces and byte-order marks; joiners are part of words and emoji.
_DIRECTION = re.compile("[\u200b\u200e\u200f\u061c\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufff9-\ufffb]")
# Whole texts in brackets, between notes, or between asterisks.
_NOTED = re.compile(
    r"\[[^\[\]]*\]|\([^()]*\)|\{[^{}]*\}|<[^<>]*>|\*[^*]*\*|#[^#]*#|（[^（）]*）|【[^【】]*】|［[^［］]*］"
)
_SUNG = re.compile(r"\s*[♪♫♬]")
_NOTHING = re.compile(r"[\s.…,;:_\-–—>\"'“”‘’]*")
_SHOWN = 40
# Words a second of slow speech, and how long the shortest turn may take.
_SLOWLY, _LEAST_S = 1.5, 1.0


def cleaned(turns: list[Turn], kind: str, remarks: Remarks) -> list[Turn]:
    """Turns with plain texts, in one line; those without speech are left out.

    Args:
        kind: the transcript's format. Of a chat all was written; elsewhere what is in brackets was not said.
            Subtitles have had their tags, and what looks like one is text.
    """
    kept: list[Turn] = []
    for turn in turns:
        text = plain(turn.text if kind in ("webvtt", "srt") else _untagged(turn, remarks), turn, remarks)
        if kind != "chat" and _is_noted(text):
            remarks.add("non_speech", _quoted(turn, text))
        elif _NOTHING.fullmatch(text):
            remarks.add("empty", _place(turn))
        else:
            kept.append(replace(turn, text=text, speaker=name(turn.speaker)))
    return kept


def plain(text: str, turn: Turn, remarks: Remarks) -> str:
    """A text without invisible marks, in one line."""
    written = _DIRECTION.sub("", text)
    if written != text:
        remarks.add("direction_marks", _place(turn))
    if "\ufffd" in written:
        remarks.add("lost_characters", _place(turn), written.count("\ufffd"))
    return " ".join(_CONTROL.sub(" ", written).split())


def _untagged(turn: Turn, remarks: Remarks) -> str:
    text = _TAG.sub("", _BREAK.sub(" ", turn.text))
    # Entities stand for characters, of which no tags are made.
    text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if text != turn.text:
        remarks.add("markup", _place(turn))
    return text


def name(written: str) -> str:
    """A speaker's name in one line, without what nobody sees."""
    return " ".join(_CONTROL.sub(" ", _DIRECTION.sub("", written)).split())[:200]


def _is_noted(text: str) -> bool:
    """Whether a text is nothing but notes of sounds, or a song."""
    if _SUNG.match(text):
        return True
    return bool(_NOTED.search(text) and _NOTHING.fullmatch(_NOTED.sub("", text)))


def timed(turns: list[Turn], seconds: float | None, remarks: Remarks) -> list[Turn]:
    """Turns in order, with times that are some and lie within the media.

    Args:
        turns: in the transcript's order.
        seconds: of the media; None where there is none, or it does not say.
    """
    kept = []
    for turn in _with_ends(_repeated_left_out(turns, remarks), seconds, remarks):
        if (right := _righted(turn, seconds, remarks)) is not None:
            kept.append(right)
    last = float("-inf")
    for turn in kept:
        if turn.start_s is not None and turn.start_s < last:
            remarks.add("out_of_order", _place(turn))
        last = last if turn.start_s is None else max(last, turn.start_s)
    return [kept[at] for at in order(kept)]


def _repeated_left_out(turns: list[Turn], remarks: Remarks) -> list[Turn]:
    kept: list[Turn] = []
    for turn in turns:
        same = kept and turn.start_s is not None and turn.end_s is not None
        if same and _what(kept[-1]) == _what(turn):
            remarks.add("duplicates", _place(turn))
        else:
            kept.append(turn)
    return kept


def _what(turn: Turn) -> tuple[str, str, float | None, float | None]:
    return turn.speaker, turn.text, turn.start_s, turn.end_s


def _with_ends(turns: list[Turn], seconds: float | None, remarks: Remarks) -> list[Turn]:
    """Turns with only a beginning end where the next begins, or after as long as slow speech takes."""
    made: list[Turn] = []
    later: float | None = seconds
    for turn in reversed(turns):
        if turn.start_s is None:
            made.append(replace(turn, end_s=None))
            continue
        if turn.end_s is None:
            slowly = turn.start_s + _LEAST_S + count_words(turn.text) / _SLOWLY
            turn = replace(turn, end_s=slowly if later is None else max(min(later, slowly), turn.start_s))
            remarks.add("ends_from_next", _place(turn))
        later = turn.start_s
        made.append(turn)
    return made[::-1]


def _righted(turn: Turn, seconds: float | None, remarks: Remarks) -> Turn | None:
    if turn.start_s is None or turn.end_s is None:
        return replace(turn, start_s=None, end_s=None)
    start, end = turn.start_s, turn.end_s
    if end < start:
        remarks.add("reversed_times", _quoted(turn))
        start, end = end, start
    if end < 0 or (start < 0 and end == 0):
        remarks.add("before_start", _quoted(turn))
        return None
    if start < 0:
        remarks.add("negative_times", _quoted(turn))
        start = 0.0
    if seconds is not None and start >= seconds:
        remarks.add("beyond_end", _quoted(turn))
        return None
    if seconds is not None and end > seconds:
        if end > seconds + _PADDING_S:
            remarks.add("past_end", _quoted(turn))
        end = seconds
    if end == start:
        remarks.add("no_length", _quoted(turn))
    return replace(turn, start_s=start, end_s=end)


def order(turns: Sequence[Turn]) -> list[int]:
    """Indices of turns by their beginnings; what has no time stays behind what it stood behind."""
    keys: list[float] = []
    for turn in turns:
        before = keys[-1] if keys else float("-inf")
        keys.append(before if turn.start_s is None else turn.start_s)
    return sorted(range(len(turns)), key=keys.__getitem__)


def list_overlaps(turns: list[Turn], remarks: Remarks) -> None:
    """Lists turns that begin before another, of those in order, has ended."""
    latest: Turn | None = None
    for turn in turns:
        if turn.start_s is None or turn.end_s is None:
            continue
        # Centiseconds of rounding are no overlap.
        if latest is not None and latest.end_s is not None and latest.end_s - turn.start_s > 0.01:
            remarks.add("overlap", f"at {clock(turn.start_s)} ({few([turn.speaker, latest.speaker])})")
        if latest is None or latest.end_s is None or turn.end_s > latest.end_s:
            latest = turn


def list_gaps(turns: list[Turn], seconds: float | None, remarks: Remarks) -> None:
    """Lists where nobody says anything for more than ``GAP_S``, from the beginning to the media's end."""
    spans = [
        (turn.start_s, turn.end_s) for turn in turns if turn.start_s is not None and turn.end_s is not None
    ]
    if not spans:
        return
    silent_from = 0.0
    # The end of the media is no turn, but ends a silence.
    for start, end in [*spans, *([(seconds, seconds)] if seconds is not None else [])]:
        if start - silent_from > GAP_S:
            remarks.add("gap", f"{clock(silent_from)} to {clock(start)}")
        silent_from = max(silent_from, end)


def list_names_alike(turns: list[Turn], remarks: Remarks) -> None:
    """Lists speakers whose names only case, white space or Unicode's forms tell apart."""
    for group in alike((turn.speaker, at) for at, turn in enumerate(turns)):
        remarks.add("names_alike", " and ".join(f"{one!r} ({len(at)})" for one, at in group))


def _place(turn: Turn) -> str:
    at = "" if turn.start_s is None else f"at {clock(turn.start_s)}"
    return at or _quoted(turn)


def _quoted(turn: Turn, text: str | None = None) -> str:
    said = " ".join((turn.text if text is None else text).split())
    said = said if len(said) <= _SHOWN else f"{said[: _SHOWN - 1]}…"
    at = "" if turn.start_s is None else f"at {clock(turn.start_s)} "
    return f"{at}“{said}”"
