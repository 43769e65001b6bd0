"""Subtitles: who says what, and with which emotion, for players.

Ours rather than webvtt-py's, which reads them in tests: it escapes nothing, and takes whatever stands between
angle brackets out of SRT.
"""

import html
import re
from typing import Any

from erc_kedro.timelines.formats.spans import Span, shown

# SRT knows no escapes: a word joiner, which nobody sees, parts what players would take for markup.
_MARKUP = re.compile(r"<(?=[a-zA-Z/!])|\{(?=\\)")


def vtt(spans: list[Span], facts: dict[str, Any]) -> str:
    """WebVTT: a voice a speaker, and behind the words ``[joy 82 %]``, shown as a part of them."""
    notes = [f"NOTE {_escaped(shown(note))}\n" for note in facts.get("notes", ())]
    cues = [
        f"{_time(span.start, '.')} --> {_time(span.end, '.')}\n"
        f"<v {_escaped(span.speaker)}>{_escaped(_words(span))}</v>\n"
        for span in spans
    ]
    return "\n".join(["WEBVTT\n", *notes, *cues])


def srt(spans: list[Span]) -> str:
    """SubRip: ``Ann: What a day! [joy 82 %]``."""
    return "\n".join(
        f"{number}\n{_time(span.start, ',')} --> {_time(span.end, ',')}\n"
        + _MARKUP.sub("\\g<0>\u2060", f"{span.speaker}: {_words(span)}".rstrip())
        + "\n"
        for number, span in enumerate(spans, 1)
    )


def _words(span: Span) -> str:
    if span.confidence is None:
        return span.text
    return f"{span.text} [{span.emotion} {100 * span.confidence:.0f} %]".lstrip()


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


def _time(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"
