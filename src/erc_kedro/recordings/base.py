"""What the readers of transcripts hand on, and what becomes of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from erc_kedro.errors import PlainError


class RecordingError(PlainError, ValueError):
    """A recording that cannot be scored as it is.

    Attributes:
        reason: a short snake_case word, which is counted.
        detail: which file it is, what is wrong, and the mend.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True)
class Source:
    """Where a recording lies; nothing of it is read yet, but the rows of a manifest.

    Attributes:
        name: unique in a run, and safe as the name of a folder.
        rows: a manifest's utterances of one dialogue, of which ``transcript`` is the manifest.
        others: files of the same name that are not used.
        fault: why it cannot be read, where that was found already; ``read`` raises it.
        notes: what was odd where it was found: (kind, place) of ``remarks.MEANINGS``.
    """

    name: str
    media: Path | None
    transcript: Path | None
    rttm: Path | None = None
    rows: pd.DataFrame | None = field(default=None, compare=False)
    others: tuple[Path, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    fault: RecordingError | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Recording:
    """A recording as scoring needs it.

    Attributes:
        utterances: ``schemas.recorded``.
        facts: for reports, JSON: ``recording``, ``media``, ``transcript`` (paths), ``format``, ``language``,
            ``seconds`` and ``sample_rate`` of the media, ``video``, ``speakers``, and ``remarks``, each with
            its ``kind`` (of ``remarks.MEANINGS``), ``count`` and ``detail``.
    """

    name: str
    media: Path | None
    transcript: Path
    utterances: pd.DataFrame
    facts: dict[str, Any]


@dataclass(frozen=True)
class Word:
    """A word, or several, of a turn; times in seconds, None where the transcript has none."""

    text: str
    start_s: float | None = None
    end_s: float | None = None
    speaker: str = ""


@dataclass(frozen=True)
class Turn:
    """What the transcript gives as one: a cue, a segment, an annotation, a row, a message.

    Attributes:
        text: lines are parted by line feeds.
        speaker: "" where nobody is named.
        start_s, end_s: seconds, None where the transcript has none.
        words: the text in parts with times or speakers of their own, if it has some.
    """

    text: str
    speaker: str = ""
    start_s: float | None = None
    end_s: float | None = None
    label: str | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """What a file says.

    Attributes:
        format: webvtt, srt, whisper, textgrid, eaf, table or chat.
        language: such as en, where the file says so.
    """

    turns: list[Turn]
    format: str
    language: str | None = None
