"""Transcripts of any kind, read to turns; what kind a file is, its content says before its name does."""

import re
from pathlib import Path

from erc_kedro.recordings.base import RecordingError, Transcript
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.transcripts import chat, cues, eaf, segments, table, textgrid
from erc_kedro.recordings.transcripts.files import lines_of

# By preference, where one recording has several: what people annotated, what has times of words, and so on.
SUFFIXES = (".eaf", ".textgrid", ".json", ".vtt", ".srt", ".csv", ".tsv", ".txt")
_NAMED = {
    ".eaf": "eaf",
    ".textgrid": "textgrid",
    ".json": "whisper",
    ".vtt": "webvtt",
    ".srt": "srt",
    ".csv": "table",
    ".tsv": "table",
    ".txt": "chat",
}
_TITLES = {
    "eaf": "an ELAN file",
    "textgrid": "a Praat TextGrid",
    "whisper": "JSON",
    "webvtt": "WebVTT",
    "srt": "SRT",
    "table": "a table",
    "chat": "a chat or a plain transcript",
}
_JSON = re.compile(r"\{|\[\s*[\[{\]]")
# What is looked at to tell what a file is.
_HEAD = 4000


def parse(path: Path, encoding: str | None, has_media: bool, remarks: Remarks) -> Transcript:
    """Reads a transcript.

    Args:
        encoding: of a file that is neither UTF-8 nor has a byte-order mark.
        has_media: whether a clock in it can be the media's.

    Raises:
        RecordingError: it cannot be read, is no transcript, or nothing is said in it.
    """
    lines = lines_of(path, encoding)
    text = "".join(lines)
    kind = _kind(path, text)
    named = _NAMED.get(path.suffix.lower())
    if named and named != kind:
        remarks.add("other_format", f"{path.name} is {_TITLES[kind]}")
    match kind:
        case "webvtt" | "srt":
            found = cues.read(lines, kind, remarks)
        case "whisper":
            found = segments.read(path, text, remarks)
        case "textgrid":
            found = textgrid.read(path, text, remarks)
        case "eaf":
            found = eaf.read(path, text, remarks)
        case "table":
            found = table.read(path, lines, encoding, remarks)
        case _:
            found = chat.read(lines, has_media, remarks)
    if not found.turns:
        mend = "begin each turn with who speaks, as in `Anna: …`" if kind == "chat" else "transcribe it again"
        raise RecordingError(
            "no_turns", f"{path}: no turn of speech in what was read as {_TITLES[kind]}; {mend}"
        )
    return found


def _kind(path: Path, text: str) -> str:
    head = text[:_HEAD].lstrip("\ufeff \t\r\n")
    suffix = path.suffix.lower()
    if re.match(r"<!doctype html|<html\b|<head\b|<body\b", head, re.IGNORECASE):
        raise RecordingError(
            "html_page", f"{path}: a web page, not a transcript; download the file itself, and look at it"
        )
    if head.startswith("WEBVTT"):
        return "webvtt"
    if head.startswith("<"):
        if "<ANNOTATION_DOCUMENT" in head:
            return "eaf"
        if not re.match(r"<v[\s.]", head):
            raise RecordingError(
                "no_transcript_format", f"{path}: XML, but not ELAN's; save it as .eaf or .vtt"
            )
    if "ooTextFile" in head[:40] or "ooBinaryFile" in head[:40]:
        return "textgrid"
    if _JSON.match(head) or suffix == ".json":
        return "whisper"
    if suffix in (".csv", ".tsv"):
        return "table"
    if cues.ARROW.search(head):
        return "webvtt" if suffix == ".vtt" else "srt"
    if suffix in (".eaf", ".textgrid"):
        what = {".eaf": "ELAN", ".textgrid": "Praat"}[suffix]
        raise RecordingError(
            "wrong_extension", f"{path}: not what {what} writes; name the file as what it is"
        )
    return "table" if table.is_one(head) else "chat"
