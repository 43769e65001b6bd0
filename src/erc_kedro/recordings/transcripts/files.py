"""The text of a transcript, or why there is none."""

import os
from pathlib import Path

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.encodings import text_lines
from erc_kedro.recordings.base import RecordingError

# A day of speech, every word with its times, has less.
MOST_BYTES = 100 << 20
# How files begin that are no text, whatever their names.
_OTHERS = (
    (0, b"RIFF", "a WAV or AVI file"),
    (4, b"ftyp", "an MP4 file"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"%PDF", "a PDF"),
    (0, b"{\\rtf", "a rich text file"),
    (0, b"PK\3\4", "an archive, a spreadsheet or a Word file"),
    (0, b"\xd0\xcf\x11\xe0", "an Office file"),
    (0, b"\x1f\x8b", "a compressed file"),
)


def lines_of(path: Path, encoding: str | None) -> list[str]:
    """A text file's lines with their ends.

    Raises:
        RecordingError: it is not there, empty, too large, no text, or of another encoding.
    """
    try:
        size = os.stat(path).st_size if path.is_file() else None
        head = b""
        if size is not None:
            with path.open("rb") as file:
                head = file.read(16)
    except (OSError, ValueError) as error:
        raise RecordingError("unreadable", f"{path}: cannot be read ({error})") from error
    if size is None:
        there = os.path.lexists(path)
        raise RecordingError(
            "unreadable" if there else "not_found",
            f"{path}: {'not a file' if there else 'there is no such file'}; name a transcript",
        )
    if size > MOST_BYTES:
        raise RecordingError(
            "too_large", f"{path}: {size >> 20} MB, and no more than {MOST_BYTES >> 20} are read; split it"
        )
    for at, magic, what in _OTHERS:
        if head[at : at + len(magic)] == magic:
            raise RecordingError(
                "wrong_extension", f"{path}: {what}, whatever its name says; name a transcript"
            )
    try:
        lines, _ = text_lines(path, encoding)
    except CorpusError as error:
        raise RecordingError("encoding", in_our_words(error)) from error
    if not any(line.strip("\ufeff \t\r\n\0") for line in lines):
        raise RecordingError("empty_transcript", f"{path}: there is nothing in it")
    return lines


def in_our_words(error: CorpusError) -> str:
    """What a reader of corpora says, with the names of our own parameters."""
    return str(error).replace("ingestion.encoding", "score.encoding")
