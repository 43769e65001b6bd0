"""Praat's TextGrid as text, long or short (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html).

pympi reads well-formed ones only: no negative times, no comments, no other order of lines.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from erc_kedro.recordings.base import RecordingError, Transcript
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.transcripts.tiers import Tier, turns_of

# Praat reads texts in quotes, numbers and flags that stand by themselves, and passes over all else.
_TOKEN = re.compile(
    r'(?<!\S)(?:"((?:[^"]|"")*)"|([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|<(exists|absent)>(?!\S)|![^\r\n]*)'
)


@dataclass
class _Tokens:
    """What is left of a file, of which each reading takes one."""

    path: Path
    left: list[tuple[str, int | float | str, int]]

    def take(self, kind: str, what: str) -> float | str:
        if not self.left:
            raise RecordingError(
                "truncated_transcript",
                f"{self.path}: breaks off where {what} should be; save it again in Praat",
            )
        found, value, at = self.left.pop()
        if found != kind:
            raise RecordingError(
                "unreadable",
                f"{self.path}, character {at + 1}: {what} should be here; save it again in Praat",
            )
        return value

    def number(self, what: str) -> float:
        return float(self.take("number", what))

    def count(self, what: str) -> int:
        # Whatever is said, there are no more than there are tokens.
        return int(min(self.number(what), len(self.left) + 1))

    def text(self, what: str) -> str:
        return str(self.take("text", what))


def read(path: Path, text: str, remarks: Remarks) -> Transcript:
    """Reads interval tiers, a speaker each (``tiers.turns_of``).

    Raises:
        RecordingError: it is a binary one, breaks off, or is not as Praat writes it.
    """
    if "ooBinaryFile" in text[:40]:
        raise RecordingError("unreadable", f"{path}: a binary TextGrid; save it as text in Praat")
    tokens: list[tuple[str, int | float | str, int]] = []
    for match in _TOKEN.finditer(text):
        said, number, flag = match.groups()
        if said is not None:
            tokens.append(("text", said.replace('""', '"'), match.start()))
        elif number is not None:
            tokens.append(("number", float(number), match.start()))
        elif flag is not None:
            tokens.append(("flag", flag, match.start()))
    left = _Tokens(path, tokens[::-1])
    for what in ("ooTextFile", "TextGrid"):
        if left.text(what) != what:
            raise RecordingError("unreadable", f"{path}: a file of Praat's, but no TextGrid; save that")
    left.number("its beginning")
    left.number("its end")
    if left.take("flag", "<exists>") == "absent":
        return Transcript([], "textgrid")
    tiers = []
    for _ in range(left.count("the number of tiers")):
        kind, name = left.text("a tier's class"), left.text("a tier's name")
        left.number("the tier's beginning")
        left.number("the tier's end")
        intervals = []
        for _ in range(left.count("the number of intervals")):
            if kind == "IntervalTier":
                start, end = left.number("an interval's beginning"), left.number("an interval's end")
                # Praat has an interval for each silence.
                if (said := left.text("an interval's text")).strip():
                    intervals.append((start, end, said))
            else:
                left.number("a point's time")
                left.text("a point's text")
        if kind == "IntervalTier":
            tiers.append(Tier(name, intervals))
        else:
            remarks.add("tier_not_read", f"{name} (points)")
    return Transcript(turns_of(tiers, remarks), "textgrid")
