"""Tables of text in which every line is accounted for.

Nothing is guessed: what has two readings is refused with its line and how to fix it. Lines are counted as a
text editor counts them, and called rows, the header of a table being row 1.
"""

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.encodings import LINE_END, line_ends, split_lines, text_lines
from erc_kedro.corpora.tables import is_invisible

_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
# The first line that names the delimiter to Excel.
_SEP = re.compile(r'"?sep=([^\s"]|\t)"?', re.I)
_BACKSLASH = re.compile(r'\\([\\"]?)')
_WHOLE = re.compile(r"-?\d+(\.0*)?")
_QUOTE = (
    ": a double quote opens a cell here and {}; close it, or put the cell in quotes and write each quote "
    'within it twice ("")'
)
# Characters of a cell that a message shows.
_SHOWN = 40


@dataclass(frozen=True)
class RawTable:
    """A table as its file has it.

    Attributes:
        rows: (line, row) pairs: the 1-based line on which a row begins, and column name (in lower case) to
            cell.
        counts: ``lines`` of the file, the sum of ``header``, ``rows``, ``continued`` (further lines of rows
            with line ends in a cell) and ``blank`` (nothing in any cell).
        odd: what was not read as it stands: ``cp1252_bytes`` or ``backslash_quotes`` to numbers of lines.
        delimiter: what parts its cells.
    """

    rows: list[tuple[int, dict[str, str]]]
    counts: dict[str, int]
    odd: dict[str, list[int]]
    delimiter: str = ","


class _Fault(Exception):
    """What is wrong with a table: the line, and how the sentence about it goes on."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(line, what)
        self.line, self.what = line, what


@dataclass(frozen=True)
class _Record:
    """A row of any kind: its first line (1-based) and how many there are, its text, and its cells.

    It has no cells where a quote is ``amiss``.
    """

    start: int
    lines: int
    text: str
    cells: list[str]
    amiss: bool

    @property
    def blank(self) -> bool:
        return not self.amiss and not any(cell.strip() for cell in self.cells)


@dataclass(frozen=True)
class _Layout:
    """How a table is written.

    Attributes:
        skipped: lines before the header, ``blank`` ones and that which names the delimiter.
        header: the columns in lower case, without empty ones at the end.
        width: cells of the header, with these.
        numbered: the column that holds whole numbers, if there is one.
        backslash: whether a backslash may mark a quote.
    """

    skipped: int
    blank: int
    delimiter: str
    header: list[str]
    width: int
    numbered: str | None
    backslash: bool

    @property
    def delimiter_name(self) -> str:
        return _DELIMITERS.get(self.delimiter, repr(self.delimiter))


def csv_rows(
    path: Path,
    required: Sequence[str],
    numbered: str,
    encoding: str | None = None,
    stray_cp1252: bool = False,
) -> RawTable:
    r"""Read a table of text, whose cells are parted by commas, or by semicolons, tabs or bars as its header.

    A cell in double quotes may hold any of these and line ends; a quote in it is doubled, or written ``\"``
    all through the file. The header may have white space and another case. Rows have as many cells as the
    header; empty ones at the end of it, or of each row, are left out.

    Args:
        path: the file.
        required: names of columns that must be there, in lower case.
        numbered: a column that always holds whole numbers; it shows rows that a quote swallowed. Where the
            table has none of that name, a line with as many cells as the header counts as a row.
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
            read.append(_parse(lines, _layout(lines, required, numbered, backslash)))
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


def _layout(lines: list[str], required: Sequence[str], numbered: str, backslash: bool) -> _Layout:
    blank = next((at for at, line in enumerate(lines) if line.strip()), len(lines))
    said = _SEP.fullmatch(lines[blank].rstrip("\r\n")) if blank < len(lines) else None
    skipped = blank + bool(said)
    most: list[str] = []
    for delimiter in said[1] if said else _DELIMITERS:
        cells = next((record.cells for record in _records(lines[skipped:], delimiter, backslash)), [])
        names = ["".join(char for char in cell if not is_invisible(char)).strip().lower() for cell in cells]
        while names and not names[-1]:
            names.pop()
        if set(required) <= set(names):
            break
        most = max(most, names, key=len)
    else:
        missing = [name for name in required if name not in most]
        raise _Fault(
            skipped + 1,
            f": column {', '.join(missing)} is missing; the header has {', '.join(most) or 'nothing'}. "
            f"Name the columns {', '.join(required)} in the first row",
        )
    for at, name in enumerate(names):
        # A first one without a name is the index of a table that pandas or R wrote.
        if not name and at:
            raise _Fault(skipped + 1, f": column {at + 1} has no name; give it one")
        if name in names[:at]:
            both = f"columns {names.index(name) + 1} and {at + 1} are both called {name}"
            raise _Fault(skipped + 1, f": {both}; rename or remove one")
    there = numbered if numbered in names else None
    return _Layout(skipped, blank, delimiter, names, len(cells), there, backslash)


def _parse(lines: list[str], layout: _Layout) -> tuple[RawTable, bool]:
    r"""The table, and whether ``\"`` stands outside of quotes, where who doubles quotes leaves none."""
    header, *below = _records(lines[layout.skipped :], layout.delimiter, layout.backslash, layout.skipped)
    filled = [record for record in below if not record.blank]
    widths = {len(record.cells) for record in filled}
    # Empty cells beyond the header part nothing if each row has them; else a text's comma may have made them.
    width = max(len(layout.header), *widths) if len(widths) == 1 else layout.width
    rows, faults, marked, bare = [], [], [], False
    for record in filled:
        try:
            rows.append((record.start, _row(record, layout, width)))
        except _Fault as fault:
            faults.append(fault)
        if layout.backslash:
            marked += [record.start] * any(match[1] for match in _BACKSLASH.finditer(record.text))
        elif '\\"' in record.text and '\\""' not in record.text:
            bare |= any('\\"' in cell for cell in record.cells)
    if faults:
        more = f" ({len(faults) - 1} later rows are refused, too)" if len(faults) > 1 else ""
        raise _Fault(faults[0].line, faults[0].what + more)
    counts = {
        "lines": len(lines),
        "header": layout.skipped - layout.blank + header.lines,
        "rows": len(rows),
        "continued": sum(record.lines - 1 for record in filled),
        "blank": layout.blank + sum(record.lines for record in below if record.blank),
    }
    odd = {"backslash_quotes": marked} if marked else {}
    return RawTable(rows, counts, odd, layout.delimiter), bare


def _records(lines: Sequence[str], delimiter: str, backslash: bool, before: int = 0) -> Iterator[_Record]:
    """The records of a table, up to the first whose quotes are amiss; ``before`` counts the lines above."""
    # The csv module would take a backslash from before any character.
    given = (_BACKSLASH.sub(lambda m: m[0] if m[1] else r"\\", line) if backslash else line for line in lines)
    escape = "\\" if backslash else None
    reader = csv.reader(given, delimiter=delimiter, escapechar=escape, skipinitialspace=True, strict=True)
    while (start := reader.line_num) < len(lines):
        try:
            cells, amiss = next(reader), False
        except csv.Error:
            cells, amiss = [], True
        own = lines[start : reader.line_num]
        yield _Record(before + start + 1, len(own), "".join(own), cells, amiss)
        if amiss:
            return


def _row(record: _Record, layout: _Layout, width: int) -> dict[str, str]:
    """A row by column name, refused where its cells may be others than were meant."""
    text, cells, header = record.text, record.cells, layout.header
    goes_on = record.lines > 1
    spans = _quoted(text, layout) if goes_on or record.amiss else []
    for opened, closed in spans:
        if _swallows(text, opened, closed, layout, width):
            what = f"closes in row {record.start + line_ends(text[:closed])}, with whole rows in the cell"
            raise _Fault(record.start + line_ends(text[:opened]), _QUOTE.format(what))
    if record.amiss:
        what = "does not close where a cell ends"
        raise _Fault(record.start + line_ends(text[: spans[-1][0]]), _QUOTE.format(what))
    wrong = f": {len(cells)} cells where the header has {layout.width}"
    if goes_on:
        wrong += f", the row going on to row {record.start + record.lines - 1}"
    if len(cells) < width:
        which = f"column {header[len(cells)]}" if len(cells) < len(header) else "an empty one at the end"
        fix = f"{which} is missing. Complete the row, or quote what holds {layout.delimiter_name}"
        raise _Fault(record.start, f"{wrong}; {fix}")
    beyond = [cell for cell in cells[len(header) :] if cell.strip()]
    if beyond or len(cells) > width:
        what = repr(beyond[0][:_SHOWN]) if beyond else "an empty one"
        fix = f"{what} is in no column. Put what holds {layout.delimiter_name} in double quotes"
        raise _Fault(record.start, f"{wrong}; {fix}")
    if f'\\"{layout.delimiter}' in text and not layout.backslash:
        other = list(_records(split_lines(text), layout.delimiter, backslash=True))
        if len(other) == 1 and not other[0].amiss and len(other[0].cells) != len(cells):
            what = r': \" may be a quote or end a cell; write a quote within a cell twice ("")'
            raise _Fault(record.start, what)
    return dict(zip(header, cells, strict=False))


def _quoted(text: str, layout: _Layout) -> list[tuple[int, int]]:
    """Where quoted cells of a record open and close, up to the first that does not close rightly.

    Where the last does not close, its end is that of the text.
    """
    spans: list[tuple[int, int]] = []
    inside = closed = skip = False
    fresh = True
    for at, char in enumerate(text):
        if skip:
            skip = False
        elif inside:
            skip = layout.backslash and char == "\\"
            if char == '"':
                inside, closed = False, True
                spans[-1] = (spans[-1][0], at)
        elif char == '"' and (closed or fresh):
            if closed:  # the second of two goes on with the cell
                spans[-1] = (spans[-1][0], len(text))
            else:
                spans.append((at, len(text)))
            inside, closed, fresh = True, False, False
        elif closed and char not in f"{layout.delimiter}\r\n":
            break
        else:
            skip = layout.backslash and char == "\\"
            fresh = char in f"{layout.delimiter}\r\n" or (fresh and char == " ")
            closed = False
    return spans


def _swallows(text: str, opened: int, closed: int, layout: _Layout, width: int) -> bool:
    """Whether a quoted cell of a record has whole rows in it, so that its quote was not meant to open one."""
    ends = [match.end() for match in LINE_END.finditer(text, opened, closed)]
    if not ends or closed == len(text):
        return False
    if any(_looks_like_row(text[start:end], layout, width) for start, end in itertools.pairwise(ends)):
        return True
    last = text[ends[-1] :]
    for line in (last, split_lines(last)[0]):
        # The end of a cell has half a pair of quotes, the whole of a row has both.
        if _looks_like_row(line, layout, width) and _plain(line, layout).count('"') % 2 == 0:
            return True
        both = (text[:opened] + text[opened + 1 : ends[0]], line)
        # One of two may have a delimiter too many in its text.
        if all(_looks_like_row(part, layout, None) for part in both) and any(
            _looks_like_row(part, layout, width) for part in both
        ):
            return True
    return False


def _plain(line: str, layout: _Layout) -> str:
    """A line without what a backslash marks."""
    return _BACKSLASH.sub(lambda match: "" if match[1] else match[0], line) if layout.backslash else line


def _looks_like_row(line: str, layout: _Layout, width: int | None) -> bool:
    """Whether a line by itself has a number where rows have one, and their width, or at least it for None."""
    flat = LINE_END.sub(" ", _plain(line, layout).rstrip("\r\n"))
    try:
        cells = next(csv.reader([flat], delimiter=layout.delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return False
    least = len(layout.header)
    if layout.numbered is None:
        return len(cells) in (least, layout.width, width) if width is not None else len(cells) >= least
    at = layout.header.index(layout.numbered)
    if width is not None:
        return len(cells) in (least, layout.width, width) and bool(_WHOLE.fullmatch(cells[at].strip()))
    places = (at, at - layout.width, at - least)
    return len(cells) >= layout.width and any(_WHOLE.fullmatch(cells[place].strip()) for place in places)
