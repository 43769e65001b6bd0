"""What every reader needs: tolerant text, CSV rows with their line numbers, and the tables of a
``Corpus``."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from erc_kedro.corpora import UTTERANCE_COLUMNS, CorpusError

_FLOATS = ("start_s", "end_s", "clip_start_s", "clip_end_s")
_IRREGULARITY_COLUMNS = ["kind", "where", "detail"]

# Bytes 80-9F as cp1252 reads them; the five it leaves undefined stay the controls they are.
_C1 = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xA0)}
_C1_TO_BYTE = {ord(char): chr(byte) for byte, char in _C1.items()}
_TAIL = "[" + "".join(re.escape(char) for char in _C1.values()) + "\x80-\xbf]"
_MOJIBAKE = re.compile(f"[\xc2-\xdf]{_TAIL}|[\xe0-\xef]{_TAIL}{{2}}")
_CURLY = str.maketrans(dict.fromkeys("‘’‚‛", "'") | dict.fromkeys("“”„‟", '"'))


def _undo_mojibake(match: re.Match[str]) -> str:
    """The character that UTF-8 bytes stood for before they were read as cp1252, if it is a likely one."""
    try:
        repaired = match[0].translate(_C1_TO_BYTE).encode("latin-1").decode("utf-8")
    except UnicodeError:
        return match[0]
    # "é…”" is by chance also UTF-8 for a Chinese character: only Latin letters and punctuation are believed.
    return repaired if "\xa0" <= repaired <= "ɏ" or "\u2000" <= repaired <= "\u2122" else match[0]


def repair(text: str) -> tuple[str, list[str]]:
    """Repair one cell's wrongly decoded characters and straighten its quotes.

    Returns:
        the text without white space at its ends, and the names of what was mended: ``mojibake``
        (UTF-8 once read as cp1252), ``c1_control`` (cp1252 once read as Latin-1), ``curly_quotes``.
    """
    mended = []
    for kind, attempt in (
        ("mojibake", lambda t: _MOJIBAKE.sub(_undo_mojibake, t)),
        ("c1_control", lambda t: t.translate(_C1)),
        ("curly_quotes", lambda t: t.translate(_CURLY)),
    ):
        after = attempt(text)
        if after != text:
            mended.append(kind)
        text = after
    return text.strip(), mended


def decode(line: bytes) -> tuple[str, bool]:
    """Decode one line; bytes that are not UTF-8 are read as cp1252, each for itself.

    Returns:
        the line, and whether it held such bytes.
    """
    try:
        return line.decode("utf-8"), False
    except UnicodeDecodeError:
        pass
    # Undecodable bytes become lone surrogates U+DC80-U+DCFF, each of which still names its byte.
    text = line.decode("utf-8", "surrogateescape")
    return re.sub("[\udc80-\udcff]", lambda m: _cp1252(ord(m[0]) - 0xDC00), text), True


def _cp1252(byte: int) -> str:
    return _C1.get(byte, chr(byte))


def csv_rows(path: Path, required: Iterable[str]) -> tuple[list[tuple[int, dict[str, str]]], list[int]]:
    """Read a CSV whose header may have a byte order mark, white space or another case.

    Args:
        path: the file.
        required: names of columns that must be there, in lower case.

    Returns:
        (line, row) pairs, where line is the 1-based line of a text editor (the header is line 1) and row
        maps lower-case column names to cells; and the lines that were not UTF-8.

    Raises:
        CorpusError: the file cannot be read, has no rows, lacks a column, or a row has too few cells.
    """
    try:
        raw_lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}); name a CSV file") from error
    decoded = [decode(line) for line in raw_lines]
    not_utf8 = [number for number, (_, odd) in enumerate(decoded, 1) if odd]
    reader = csv.reader(text for text, _ in decoded)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in required if name not in header]
        if not header or missing:
            raise CorpusError(
                f"{path}, row 1: column {', '.join(missing) or '(all)'} is missing; the header has "
                f"{', '.join(header) or 'nothing'}. Name the columns {', '.join(required)} in the first row"
            )
        rows = []
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) < len(header):
                    raise CorpusError(
                        f"{path}, row {line}: {len(cells)} cells where the header has {len(header)}; "
                        f"column {header[len(cells)]} is missing. Complete the row, or quote what holds a "
                        "comma"
                    )
                rows.append((line, dict(zip(header, cells, strict=False))))
            line = reader.line_num + 1
    except csv.Error as error:
        raise CorpusError(
            f"{path}, row {reader.line_num}: not CSV ({error}); save it as CSV again"
        ) from error
    if not rows:
        raise CorpusError(
            f"{path}: no rows below the header; an empty corpus cannot be used, fetch the file again"
        )
    return rows, not_utf8


def utterance_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as the utterance table of ``schemas.utterances``; a column that no row names is null."""
    table = pd.DataFrame(rows, columns=UTTERANCE_COLUMNS)
    types = (
        dict.fromkeys(UTTERANCE_COLUMNS, "str") | dict.fromkeys(_FLOATS, "float64") | {"position": "int64"}
    )
    return table.astype(types)


def irregularity_table(found: list[tuple[str, str, str]]) -> pd.DataFrame:
    """(kind, where, detail) triples as a table."""
    return pd.DataFrame(found, columns=_IRREGULARITY_COLUMNS, dtype="str")


def is_synthetic(raw: Path) -> bool:
    """Whether a raw folder says of itself, by a file SYNTHETIC.md, that it was generated."""
    return (raw / "SYNTHETIC.md").is_file()
