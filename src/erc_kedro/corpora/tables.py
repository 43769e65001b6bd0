"""What every reader needs: text as its encoding says, tables with every line accounted for, names that look
alike, and the tables of a ``Corpus``."""

import codecs
import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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

# The byte-order marks; UTF-32's begins as UTF-16's does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAY_ENCODING = (
    "say in ingestion.encoding which encoding it has, such as cp1252 (Western Windows), cp1251 (Cyrillic), "
    "gbk (Chinese) or shift_jis (Japanese), or save the file as UTF-8"
)
_STRAY = re.compile("[\udc80-\udcff]")
# In Western text Windows characters stand singly; so many together are of another script.
_STRANGE_RUN = re.compile("[\udc80-\udcff]{4}")
_ISO_2022 = re.compile(r"\x1b[$(]")

_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
# The first line by which Excel is told the delimiter.
_SEP = re.compile(r'"?sep=([^\s"]|\t)"?', re.I)
_BACKSLASH = re.compile(r'\\([\\"]?)')
_WHOLE = re.compile(r"-?\d+(\.0*)?")
# Variation selectors, the grapheme joiner and Hangul's fillers: seen by nobody, though no format characters.
_SELECTORS = re.compile("[\u034f\u115f\u1160\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Signs of a cell that a message shows.
_SHOWN = 40

# What R, pandas, Excel and SQL write for a missing value. Case counts: `none` may be a class.
MISSING = frozenset(
    ("NA", "N/A", "n/a", "#NA", "#N/A", "<NA>", "nan", "NaN", "-nan", "-NaN", "NaT", "None", "NULL", "null")
)
# Those that somebody may have said.
SAID = frozenset(("None", "null"))


@dataclass(frozen=True)
class RawTable:
    """A table as its file has it, every line accounted for.

    Attributes:
        rows: (line, row) pairs: the 1-based line of a text editor on which a row begins, and column name (in
            lower case) to cell.
        counts: ``lines`` of the file, the sum of ``header``, ``rows``, ``continued`` (further lines of rows
            with line ends in a cell) and ``blank`` (nothing in any cell).
        odd: what was not read as it stands: ``cp1252_bytes`` or ``backslash_quotes`` to numbers of lines.
    """

    rows: list[tuple[int, dict[str, str]]]
    counts: dict[str, int]
    odd: dict[str, list[int]]


class _Fault(Exception):
    """What is wrong with a table: the line, and how the sentence about it goes on."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(line, what)
        self.line, self.what = line, what


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


def text_lines(
    path: Path, encoding: str | None = None, stray_cp1252: bool = False
) -> tuple[list[str], list[int]]:
    """The lines of a text file as a text editor counts them, each with its LF, CR LF or CR.

    A byte-order mark of UTF-8, UTF-16 or UTF-32 decides; a file without one is UTF-8, unless ``encoding``
    says otherwise. Nothing else is tried: most encodings make some text of any bytes.

    Args:
        encoding: a name that Python knows, such as cp1252, gbk or shift_jis.
        stray_cp1252: where no encoding is given, read single bytes that are not UTF-8 as cp1252; for releases
            that are known to hold some.

    Returns:
        the lines, and the 1-based numbers of those with such bytes.

    Raises:
        CorpusError: the file cannot be read, the encoding is unknown, or a line (which is named) is not in
            it or holds control characters that no text has.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}); name a text file") from error
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    name = marked or encoding or "utf-8"
    strays: list[int] = []
    if stray_cp1252 and encoding is None and name.startswith("utf-8"):
        lines, strays = _lines_with_strays(path, data.removeprefix(codecs.BOM_UTF8))
    else:
        try:
            lines = list(io.StringIO(data.decode(name), newline=""))
        except LookupError as error:
            raise CorpusError(f"{path}: ingestion.encoding: {error}; name one that Python knows") from error
        except UnicodeError as error:
            raise _undecodable(path, error, name, marked, encoding) from error
    for number, line in enumerate(lines, 1):
        if "\0" in line or (encoding is None and _ISO_2022.search(line)):
            raise CorpusError(
                f"{path}, row {number}: control characters that no text has, as in UTF-16 without a "
                "byte-order mark or in ISO-2022. Say in ingestion.encoding which encoding the file has, such "
                "as utf-16-le or iso2022_jp, or save it as UTF-8"
            )
    return lines, strays


def _lines_with_strays(path: Path, data: bytes) -> tuple[list[str], list[int]]:
    lines, strays = [], []
    for number, raw in enumerate(data.splitlines(keepends=True), 1):
        # Undecodable bytes become lone surrogates U+DC80-U+DCFF, each of which still names its byte.
        text = raw.decode("utf-8", "surrogateescape")
        if _STRANGE_RUN.search(text):
            raise CorpusError(f"{path}, row {number}: neither UTF-8 nor single cp1252 bytes; {_SAY_ENCODING}")
        read = _STRAY.sub(lambda match: _cp1252(ord(match[0]) - 0xDC00), text)
        strays += [number] * (read != text)
        lines.append(read)
    return lines, strays


def _cp1252(byte: int) -> str:
    return _C1.get(byte, chr(byte))


def _undecodable(
    path: Path, error: UnicodeError, name: str, marked: str | None, encoding: str | None
) -> CorpusError:
    where = str(path)
    if isinstance(error, UnicodeDecodeError):
        before = error.object[: error.start].decode(name, "ignore")
        where += f", row {len(list(io.StringIO(before + '.', newline='')))}"
    if marked:
        said = marked.removesuffix("-sig").upper()
        return CorpusError(f"{where}: not {said}, as the file's byte-order mark says; save the file again")
    if encoding:
        return CorpusError(f"{where}: not {encoding}, as ingestion.encoding says; correct it there")
    return CorpusError(f"{where}: not UTF-8; {_SAY_ENCODING}")


def csv_rows(
    path: Path,
    required: Sequence[str],
    numbered: str,
    encoding: str | None = None,
    stray_cp1252: bool = False,
) -> RawTable:
    r"""Read a table of text, whose cells are parted by commas, or by semicolons, tabs or bars as its header.

    A cell in double quotes may hold any of these and line ends; a quote in it is doubled, or written ``\"``
    all through the file. The header may have white space and another case. Cells beyond it must be empty, as
    spreadsheets leave them at the ends of rows.

    Args:
        path: the file.
        required: names of columns that must be there, in lower case.
        numbered: the one of them that always holds whole numbers; it tells rows that a quote swallowed.
        encoding: see ``text_lines``, as for ``stray_cp1252``.

    Raises:
        CorpusError: the file cannot be read or decoded or has no rows, a column is missing, there twice or
            without a name, a row has more or fewer cells, or a quote does not close where a cell ends.
    """
    lines, strays = text_lines(path, encoding, stray_cp1252)
    csv.field_size_limit(max(csv.field_size_limit(), sum(map(len, lines))))
    read: list[tuple[RawTable, bool]] = []
    faults: list[_Fault] = []
    for backslash in (False, True) if any('\\"' in line for line in lines) else (False,):
        try:
            read.append(_parse(lines, required, numbered, backslash))
        except _Fault as fault:
            faults.append(fault)
    if not read:
        # The reading that comes further is the likelier one.
        latest = max(faults, key=lambda fault: fault.line)
        raise CorpusError(f"{path}, row {latest.line}{latest.what}") from latest
    table, bare = read[0]
    if bare and len(read) > 1:
        table, _ = read[1]
    if not table.rows:
        raise CorpusError(
            f"{path}: no rows below the header; an empty corpus cannot be used, fetch the file again"
        )
    if strays:
        table.odd["cp1252_bytes"] = strays
    return table


def _parse(
    lines: list[str], required: Sequence[str], numbered: str, backslash: bool
) -> tuple[RawTable, bool]:
    r"""The table, and whether ``\"`` stands outside of quotes, where who doubles quotes leaves none."""
    begin, delimiter, header = _header(lines, required)
    records, faults = [], []
    try:
        for record in _records(lines, begin, delimiter, backslash):
            records.append(record)
    except _Fault as fault:
        faults.append(fault)
    if not records:
        raise faults[0]
    (_, header_end, names), *below = records
    filled = [record for record in below if any(cell.strip() for cell in record[2])]
    widths = {len(cells) for _, _, cells in filled}
    # Empty cells beyond the header part nothing if each row has them; else a text's comma may have made them.
    widest = max(len(names), *widths) if len(widths) == 1 else len(names)
    rows, escaped, bare = [], [], False
    for start, end, cells in filled:
        raw = "".join(lines[start - 1 : end])
        try:
            if end > start:
                _refuse_swallowed(lines[start - 1 : end], start, delimiter, backslash, header, numbered)
            _refuse_misfit(cells, start, end, delimiter, header, widest)
            if '\\"' in raw:
                escaped.append(start)
                bare |= '\\""' not in raw and any('\\"' in cell for cell in cells)
                if not backslash:
                    _refuse_ambiguous(cells, start, delimiter, raw)
        except _Fault as fault:
            faults.append(fault)
        rows.append((start, dict(zip(header, cells, strict=False))))
    if faults:
        first, *others = sorted(faults, key=lambda fault: fault.line)
        more = f" ({len(others)} later rows are refused, too)" if others else ""
        raise _Fault(first.line, first.what + more)
    before = next(at for at, line in enumerate(lines) if line.strip())
    counts = {
        "lines": len(lines),
        "header": header_end - before,
        "rows": len(rows),
        "continued": sum(end - start for start, end, _ in filled),
        "blank": before
        + sum(end - start + 1 for start, end, cells in below if not any(map(str.strip, cells))),
    }
    return RawTable(rows, counts, {"backslash_quotes": escaped} if backslash else {}), bare


def _refuse_misfit(
    cells: Sequence[str], start: int, end: int, delimiter: str, header: Sequence[str], widest: int
) -> None:
    named = _DELIMITERS.get(delimiter, repr(delimiter))
    wrong = f": {len(cells)} cells where the header has {len(header)}"
    wrong += f", the row going on to row {end}; " if end > start else "; "
    if len(cells) < len(header):
        mend = f"column {header[len(cells)]} is missing. Complete the row, or quote what holds {named}"
        raise _Fault(start, wrong + mend)
    beyond = [cell for cell in cells[len(header) :] if cell.strip()]
    if beyond or len(cells) > widest:
        what = repr(beyond[0][:_SHOWN]) if beyond else "an empty one"
        raise _Fault(start, f"{wrong}{what} is in no column. Put what holds {named} in double quotes")


def _refuse_ambiguous(cells: Sequence[str], start: int, delimiter: str, raw: str) -> None:
    r"""Refuses ``"a \"`` before a delimiter where what follows is left with half a pair of quotes."""
    cut = f'\\"{delimiter}' in raw and any(cell.endswith("\\") for cell in cells)
    if cut and any(cell.count('"') % 2 for cell in cells):
        raise _Fault(start, r': \" may be a quote or end a cell; write a quote within a cell twice ("")')


def _header(lines: list[str], required: Sequence[str]) -> tuple[int, str, list[str]]:
    """How many lines stand before it, the delimiter, and the columns in lower case."""
    begin = next((at for at, line in enumerate(lines) if line.strip()), 0)
    said = _SEP.fullmatch(lines[begin].rstrip("\r\n")) if lines else None
    begin += bool(said)
    most: list[str] = []
    for delimiter in said[1] if said else _DELIMITERS:
        try:
            _, _, cells = next(_records(lines, begin, delimiter, False), (0, 0, []))
        except _Fault:
            continue
        names = ["".join(char for char in cell if not _invisible(char)).strip().lower() for cell in cells]
        while names and not names[-1]:
            names.pop()
        if set(required) <= set(names):
            break
        most = max(most, names, key=len)
    else:
        missing = [name for name in required if name not in most]
        raise _Fault(
            begin + 1,
            f": column {', '.join(missing)} is missing; the header has {', '.join(most) or 'nothing'}. "
            f"Name the columns {', '.join(required)} in the first row",
        )
    for at, name in enumerate(names, 1):
        # A first one without a name is the index of a table that pandas or R wrote.
        if not name and at > 1:
            raise _Fault(begin + 1, f": column {at} has no name; give it one")
        if name in names[: at - 1]:
            raise _Fault(
                begin + 1,
                f": columns {names.index(name) + 1} and {at} are both called {name}; rename or remove one",
            )
    return begin, delimiter, names


def _records(
    lines: list[str], begin: int, delimiter: str, backslash: bool
) -> Iterator[tuple[int, int, list[str]]]:
    """First line, last line and cells of each record from the line after ``begin`` on."""
    given = lines[begin:]
    if backslash:
        # The csv module would take a backslash from before any character.
        given = [_BACKSLASH.sub(lambda m: m[0] if m[1] else r"\\", line) for line in given]
    reader = csv.reader(
        given,
        delimiter=delimiter,
        escapechar="\\" if backslash else None,
        skipinitialspace=True,
        strict=True,
    )
    while True:
        start = begin + reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error as error:
            *_, (opened, _) = _quoted(lines[start : begin + reader.line_num], delimiter, backslash)
            raise _Fault(
                start + opened + 1,
                ": a double quote opens a cell here and does not close where a cell ends; close it, or put "
                'the cell in quotes and write each quote within it twice ("")',
            ) from error
        if cells is None:
            return
        yield start + 1, begin + reader.line_num, cells


def _quoted(lines: Sequence[str], delimiter: str, backslash: bool) -> list[tuple[int, int]]:
    """Where the quoted cells of a record open and close, as offsets of lines, up to the first fault."""
    spans: list[tuple[int, int]] = []
    inside = closed = skip = False
    fresh = True
    for offset, line in enumerate(lines):
        for char in line:
            if skip:
                skip = False
            elif inside:
                skip = backslash and char == "\\"
                if char == '"':
                    inside, closed = False, True
                    spans[-1] = (spans[-1][0], offset)
            elif char == '"' and (closed or fresh):
                if not closed:
                    spans.append((offset, offset))
                inside, closed, fresh = True, False, False
            elif closed and char not in f"{delimiter}\r\n":
                return spans
            else:
                fresh = char in f"{delimiter}\r\n" or (fresh and char == " ")
                closed = False
                skip = backslash and char == "\\"
    return spans


def _refuse_swallowed(
    raw: Sequence[str], start: int, delimiter: str, backslash: bool, header: Sequence[str], numbered: str
) -> None:
    """Refuses a cell over several lines of which whole rows are a part: its quote was not meant to open."""

    at = header.index(numbered)

    def is_row(line: str) -> bool:
        cells = line.split(delimiter)
        # Counted from the right, too: text before the number may hold delimiters.
        places = (cells[at], cells[at - len(header)]) if len(cells) >= len(header) else ()
        return any(_WHOLE.fullmatch(cell.strip(' \t\r\n"')) for cell in places)

    for opened, closed in _quoted(raw, delimiter, backslash):
        within = any(is_row(line) for line in raw[opened + 1 : closed])
        if within or (closed > opened and is_row(raw[opened]) and is_row(raw[closed])):
            raise _Fault(
                start + opened,
                f": a double quote opens a cell here that closes in row {start + closed}, with whole rows in "
                'it; close it, or put the cell in quotes and write each quote within it twice ("")',
            )


def folded_name(name: str) -> str:
    """A name without what nobody sees or means: case, white space, invisible signs, Unicode's other forms."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    kept = "".join(char for char in plain if not (char.isspace() or _invisible(char)))
    return unicodedata.normalize("NFKC", kept)


def _invisible(char: str) -> bool:
    # Tags are format characters, but tell flags apart.
    if "\U000e0020" <= char <= "\U000e007f":
        return False
    return unicodedata.category(char) in ("Cc", "Cf") or bool(_SELECTORS.match(char))


def alike(named: Iterable[tuple[str, int]]) -> list[list[tuple[str, list[int]]]]:
    """Names that only case, white space, invisible signs or Unicode's other forms tell apart.

    Args:
        named: (name, line) pairs, a pair an occurrence.

    Returns:
        groups of two or more names, the most frequent first, each with its lines.
    """
    lines: dict[str, list[int]] = defaultdict(list)
    for name, line in named:
        lines[name].append(line)
    groups: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    for name, own in sorted(lines.items(), key=lambda item: -len(item[1])):
        groups[folded_name(name)].append((name, own))
    return [group for group in groups.values() if len(group) > 1]


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
