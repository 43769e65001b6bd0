"""Text of any origin, made harmless for what will open it: a terminal, a page, LaTeX, a spreadsheet.

Names, labels and what was said come from whoever made a corpus: whatever they hold is read, never obeyed.
"""

import csv
import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Characters that nobody sees and that do something: controls (but tab and line feed), line and paragraph
# separators, those that turn the direction of writing, byte-order marks, and halves of characters, which no
# file can hold.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
# Characters of a cell that pages show; data keep longer names and texts whole.
LONGEST = 500

_MARKDOWN = re.compile(
    r"(?P<sign>[\\`*\[\]#~|$])"
    # Within a word an underscore is no emphasis, and `no_gates` stays readable.
    r"|(?P<edge>(?<![^\W_])_|_(?![^\W_]))"
    # At the beginning of a line these make lists, rules and headings.
    r"|(?P<first>\A>|\A[-+](?=\s|\Z)|\A[-=](?=[-=\s]*\Z)|\A\d{1,9}(?=[.)](?:\s|\Z)))"
    # Pages make links of bare addresses, too.
    r"|(?P<address>:(?=//)|(?<=\bwww)\.|(?<=\bmailto):|(?<=\bxmpp):)"
    r"|(?P<mail>@(?=\w))"
    r"|(?P<html>[&<])",
    re.IGNORECASE,
)
_ENTITIES = {"&": "&amp;", "<": "&lt;"}

_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    # At the start of a row these would belong to the end of the row before.
    "[": "{[}",
    "*": "{*}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
}
# What pdflatex sets with the fonts that it has by itself.
_SET = re.compile("(?:[\x20-\x7e‘’“”–—…•†‡€]|(?![«»ÐÞðþĄąĐđĘęĮįĦħŊŋŦŧŲųĸŉĿŀ\xa0\xad])[\xa1-\u017e])")

_FORMULAS = ("=", "+", "-", "@")
# The beginning of another cell to a spreadsheet that parts them at semicolons or tabs, quotes or not.
_PARTED = re.compile(r"(?<=[;\t\n])(?=[^\S\t\n]*[=+\-@＝＋－＠﹢﹣﹦﹫])")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def visible(text: object) -> str:
    """The text, with a visible sign for each control character: ``␛`` for ESC, ``[U+202E]`` for others."""
    return _CONTROL.sub(lambda match: _name(match[0]), str(text))


def _name(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"[U+{code:04X}]"


def line(text: object, longest: int | None = None) -> str:
    """The text in one line, visible, and cut with ``…`` where it is longer."""
    # White space first, some of which is control characters.
    shown = visible(" ".join(str(text).split()))
    return shown if longest is None or len(shown) <= longest else f"{shown[: longest - 1]}…"


def markdown(text: object, longest: int | None = None) -> str:
    """The text as one ``line`` of Markdown, in a table or elsewhere, which shows it as it stands."""
    return _MARKDOWN.sub(_escaped, line(text, longest))


def markdown_table(
    header: Iterable[object], rows: Iterable[Iterable[object]], right: Sequence[bool] = ()
) -> str:
    """A table of ``markdown`` cells, each cut where it is longer than ``LONGEST``.

    Args:
        right: of each column, whether it is set flush right; by default none is.
    """
    names = list(header)
    rule = ("---:" if flush else "---" for flush in right or [False] * len(names))
    cells = [[markdown(cell, LONGEST) for cell in row] for row in (names, *rows)]
    head, *body = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([head, "|" + "|".join(rule) + "|", *body]) + "\n"


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if match["html"]:
        return _ENTITIES[found]
    if match["mail"]:
        # Addresses are looked for after escapes are undone; a word joiner parts them.
        return "&#8288;@"
    if match["first"] and found[0].isdigit():
        return f"&#{ord(found[0])};{found[1:]}"
    return f"\\{found}"


def code(text: object) -> str:
    """The text as code within a line of Markdown."""
    return f"`{line(text).replace('`', chr(39)).replace('|', '¦')}`"


def latex(text: object) -> str:
    """The text in one line of LaTeX, which prints it as it stands.

    Characters that pdflatex has no font for are printed as their code points there, and as they are by
    XeLaTeX and LuaLaTeX.
    """
    parts = re.split(f"((?:(?!{_SET.pattern}).)+)", line(text))
    return "".join(
        rf"\ifdefined\Uchar {part}\else {' '.join(f'U+{ord(c):04X}' for c in part)}\fi{{}}"
        if at % 2
        else "".join(_LATEX.get(sign, sign) for sign in part)
        for at, part in enumerate(parts)
    )


def csv_text(table: "pd.DataFrame", index: bool = False) -> str:
    """The table as CSV that a spreadsheet may open: no cell of text is a formula to it.

    A cell of text, or a heading, whose first visible character is one of ``= + - @`` (or one of their wide
    forms) gets an apostrophe before it, unless it is a number; and so does such a character within it, after
    what some spreadsheets take for the end of a cell (a semicolon, a tab, a line end). Control characters but
    line ends are made visible. Columns of numbers stay as they are.
    """
    import pandas as pd

    if index:
        table = table.reset_index()
    columns = [table.iloc[:, at] for at in range(table.shape[1])]
    safe = [column if pd.api.types.is_numeric_dtype(column) else column.map(_cell) for column in columns]
    made = pd.concat(safe, axis=1) if safe else table.copy()
    made.columns = pd.Index([_cell(name) for name in table.columns], dtype=object)
    return made.to_csv(index=False, quoting=csv.QUOTE_MINIMAL)


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = visible(re.sub(r"\r\n?", "\n", value))
    first = next((char for char in text if not _passed_over(char)), "")
    formula = unicodedata.normalize("NFKC", first)[:1] in _FORMULAS and not _NUMBER.fullmatch(text)
    # Some programs strip a tab or a line end at the beginning, and then take what follows.
    text = _PARTED.sub("'", text)
    return f"'{text}" if formula or text[:1] in ("\t", "\n") else text


def _passed_over(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) in ("Cf", "Mn", "Cc")


class Visible(logging.Formatter):
    """Formats as another formatter does, with control characters made visible."""

    def __init__(self, plain: logging.Formatter | None) -> None:
        super().__init__()
        self._plain = plain or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        return visible(self._plain.format(record))
