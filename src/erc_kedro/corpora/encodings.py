"""Text files whose encoding is known.

Nothing is guessed: what has two readings is refused with its line and how to fix it. Lines are counted as a
text editor counts them, and called rows.
"""

import codecs
import io
import os
import re
from pathlib import Path

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.tables import cp1252

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
_HALF = re.compile("[\ud800-\udfff]")
LINE_END = re.compile(r"\r\n|[\r\n]")


def text_lines(
    path: Path, encoding: str | None = None, stray_cp1252: bool = False
) -> tuple[list[str], list[int]]:
    """The lines of a text file, each with its LF, CR LF or CR.

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
    # A pipe or a device would have no end.
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise CorpusError(f"{path}: cannot be read (a pipe or a device); name a text file")
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise CorpusError(f"{path}: cannot be read ({why}); name a text file") from error
    if data.startswith((b"PK\3\4", b"\xd0\xcf\x11\xe0")):
        raise CorpusError(f"{path}: a spreadsheet or an archive, whatever its name; save the table as CSV")
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    name = marked or encoding or "utf-8"
    strays: list[int] = []
    if stray_cp1252 and encoding is None and name.startswith("utf-8"):
        lines, strays = _lines_with_strays(path, data.removeprefix(codecs.BOM_UTF8))
    else:
        try:
            lines = split_lines(data.decode(name))
        except LookupError as error:
            raise CorpusError(f"{path}: ingestion.encoding: {error}; name one that Python knows") from error
        except UnicodeError as error:
            raise _undecodable(path, error, name, marked, encoding) from error
    for number, line in enumerate(lines, 1):
        # Some encodings give halves of characters, too, which no file of ours can hold.
        if "\0" in line or _HALF.search(line) or (encoding is None and _ISO_2022.search(line)):
            raise CorpusError(
                f"{path}, row {number}: control characters that no text has, as in UTF-16 without a "
                "byte-order mark or in ISO-2022. Say in ingestion.encoding which encoding the file has, such "
                "as utf-16-le or iso2022_jp, or save it as UTF-8"
            )
    return lines, strays


def split_lines(text: str) -> list[str]:
    """Lines with their ends."""
    # str.splitlines would also split at form feeds, U+0085, U+2028 and others, which text editors do not.
    return list(io.StringIO(text, newline=""))


def _lines_with_strays(path: Path, data: bytes) -> tuple[list[str], list[int]]:
    lines, strays = [], []
    for number, raw in enumerate(data.splitlines(keepends=True), 1):
        # Undecodable bytes become lone surrogates U+DC80-U+DCFF, each of which still names its byte.
        text = raw.decode("utf-8", "surrogateescape")
        if _STRANGE_RUN.search(text):
            raise CorpusError(f"{path}, row {number}: neither UTF-8 nor single cp1252 bytes; {_SAY_ENCODING}")
        read = _STRAY.sub(lambda match: cp1252(ord(match[0]) - 0xDC00), text)
        strays += [number] * (read != text)
        lines.append(read)
    return lines, strays


def _undecodable(
    path: Path, error: UnicodeError, name: str, marked: str | None, encoding: str | None
) -> CorpusError:
    where = str(path)
    if isinstance(error, UnicodeDecodeError):
        before = error.object[: error.start].decode(name, "ignore")
        where += f", row {1 + line_ends(before)}"
    if marked:
        said = marked.removesuffix("-sig").upper()
        return CorpusError(f"{where}: not {said}, as the file's byte-order mark says; save the file again")
    if encoding:
        return CorpusError(f"{where}: not {encoding}, as ingestion.encoding says; correct it there")
    return CorpusError(f"{where}: not UTF-8; {_SAY_ENCODING}")


def line_ends(text: str) -> int:
    """How many lines end in a text."""
    return len(LINE_END.findall(text))
