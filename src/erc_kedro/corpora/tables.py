"""What every reader needs: tolerant text, words for what is missing, names that look alike, and the tables of
a ``Corpus``."""

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from erc_kedro.corpora import UTTERANCE_COLUMNS, CorpusError
from erc_kedro.escaping import visible
from erc_kedro.sentences import few

_FLOATS = ("start_s", "end_s", "clip_start_s", "clip_end_s")
_IRREGULARITY_COLUMNS = ["kind", "where", "detail"]

# Bytes 80-9F as cp1252 reads them; the five it leaves undefined stay the controls they are.
_C1 = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xA0)}
_C1_TO_BYTE = {ord(char): chr(byte) for byte, char in _C1.items()}
_TAIL = "[" + "".join(re.escape(char) for char in _C1.values()) + "\x80-\xbf]"
_MOJIBAKE = re.compile(f"[\xc2-\xdf]{_TAIL}|[\xe0-\xef]{_TAIL}{{2}}")
_CURLY = str.maketrans(dict.fromkeys("‘’‚‛", "'") | dict.fromkeys("“”„‟", '"'))

# Variation selectors, the grapheme joiner and Hangul's fillers: seen by nobody, though no format characters.
_SELECTORS = re.compile("[\u034f\u115f\u1160\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# What R, pandas, Excel and SQL write for a missing value. Case counts: `none` may be a class.
MISSING = frozenset(
    ("NA", "N/A", "n/a", "#NA", "#N/A", "<NA>", "nan", "NaN", "-nan", "-NaN", "NaT", "None", "NULL", "null")
)
# Those that somebody may have said.
SAID = frozenset(("None", "null"))
_TIME = re.compile(r"(\d+):(\d{1,2}):(\d{1,2})[,.](\d{1,3})", re.ASCII)

# (kind, where, detail) triples.
Found = list[tuple[str, str, str]]


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
        the text without white space at its ends, and the names of what was repaired: ``mojibake``
        (UTF-8 once read as cp1252), ``c1_control`` (cp1252 once read as Latin-1), ``curly_quotes``.
    """
    repairs = []
    for kind, attempt in (
        ("mojibake", lambda t: _MOJIBAKE.sub(_undo_mojibake, t)),
        ("c1_control", lambda t: t.translate(_C1)),
        ("curly_quotes", lambda t: t.translate(_CURLY)),
    ):
        after = attempt(text)
        if after != text:
            repairs.append(kind)
        text = after
    return text.strip(), repairs


def cp1252(byte: int) -> str:
    """A byte as Windows reads it in Western countries."""
    return _C1.get(byte, chr(byte))


def folded_name(name: str) -> str:
    """A name without case, white space, invisible characters and Unicode's other forms."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    kept = "".join(char for char in plain if not (char.isspace() or is_invisible(char)))
    return unicodedata.normalize("NFKC", kept)


def is_invisible(char: str) -> bool:
    """Whether nobody can see a character, white space apart."""
    # Tags are format characters, but tell flags apart.
    if "\U000e0020" <= char <= "\U000e007f":
        return False
    return unicodedata.category(char) in ("Cc", "Cf") or bool(_SELECTORS.match(char))


def alike(
    named: Iterable[tuple[str, int]], fold: Callable[[str], str] = folded_name
) -> list[list[tuple[str, list[int]]]]:
    """Names that only case, white space, invisible characters or Unicode's other forms tell apart.

    Args:
        named: (name, line) pairs, a pair an occurrence.
        fold: what makes a name of those that are to count as alike, where more is to be ignored.

    Returns:
        groups of two or more names, the most frequent first, each with its lines.
    """
    lines: dict[str, list[int]] = defaultdict(list)
    for name, line in named:
        lines[name].append(line)
    groups: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    for name, own in sorted(lines.items(), key=lambda item: -len(item[1])):
        groups[fold(name)].append((name, own))
    return [group for group in groups.values() if len(group) > 1]


def said(cell: str, where: str, found: Found, counts: Counter[str]) -> str:
    """What a release's cell says somebody said, repaired; what was odd in it is listed.

    Args:
        counts: gains ``curly_quotes``, which are too many to be listed one by one (``list_counts``).
    """
    text, repairs = repair(cell)
    list_lost(text, where, found)
    for kind in repairs:
        if kind == "curly_quotes":
            counts[kind] += 1
        else:
            found.append((kind, where, "wrongly decoded characters were repaired"))
    if text in MISSING:
        kind = "missing_value_as_text" if text in SAID else "missing_value"
        found.append((kind, where, f"the utterance is {text!r}"))
        text = text if text in SAID else ""
    if not text:
        found.append(("empty_text", where, "the utterance has no text"))
    return text


def list_counts(
    counts: Mapping[str, int], listed: Mapping[str, Sequence[str]], where: str, found: Found
) -> None:
    """Lists a file's ``curly_quotes``, and of every other kind how many there are, with the first."""
    if counts.get("curly_quotes"):
        found.append(("curly_quotes", where, f"straightened in {counts['curly_quotes']} utterances"))
    found += [(kind, where, f"{len(names)}: {few(names)}") for kind, names in listed.items() if names]


def seconds(cell: str, at: str) -> float:
    """Seconds of a time such as 00:13:42,477.

    Args:
        at: file, row and column, for the message.

    Raises:
        CorpusError: it is no such time.
    """
    match = _TIME.fullmatch(cell.strip())
    if not match:
        raise CorpusError(f"{at}: {cell!r} is not a time; write it as 00:13:42,477")
    hours, minutes, whole, fraction = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(f"{whole}.{fraction}")


def list_lost(text: str, where: str, found: Found) -> None:
    """Lists what an earlier program could not read and put U+FFFD for."""
    if "\ufffd" in text:
        found.append(("lost_characters", where, f"{text.count(chr(0xFFFD))} characters"))


def are_ratings(labels: Collection[str]) -> bool:
    """Whether different labels are numbers that measure, such as -2.4: not only whole and half points."""
    numbers = [re.fullmatch(r"[-+]?\d*(?:[.,](\d*))?", label.strip(), re.ASCII) for label in labels]
    fractions = [match for match in numbers if match and (match[1] or "").rstrip("0") not in ("", "5")]
    return 3 * len(fractions) > len(labels) and 10 * sum(map(bool, numbers)) > 9 * len(labels)


def hashed_split(name: str) -> str:
    """train, val or test of 70, 15 and 15 %, by a hash of a name, so that it stays where it is."""
    draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return "train" if draw < 0.7 else "val" if draw < 0.85 else "test"


def utterance_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as the utterance table of ``schemas.utterances``; a column that no row names is null."""
    table = pd.DataFrame(rows, columns=UTTERANCE_COLUMNS)
    types = (
        dict.fromkeys(UTTERANCE_COLUMNS, "str") | dict.fromkeys(_FLOATS, "float64") | {"position": "int64"}
    )
    return table.astype(types)


def irregularity_table(found: Found) -> pd.DataFrame:
    """(kind, where, detail) triples as a table; names of files may hold what no file of ours can."""
    shown = [tuple(map(visible, triple)) for triple in found]
    return pd.DataFrame(shown, columns=_IRREGULARITY_COLUMNS, dtype="str")


def is_synthetic(raw: Path) -> bool:
    """Whether a raw folder says of itself, by a file SYNTHETIC.md, that it was generated."""
    return (raw / "SYNTHETIC.md").is_file()


def roles(rows: Iterable[Mapping[str, Any]], main: Collection[str]) -> dict[str, Any]:
    """The groups of a series' speakers, as a corpus's facts have them: its main characters and the others."""
    speakers = sorted({row["speaker"] for row in rows})
    of = {speaker: "main character" if speaker in main else "other" for speaker in speakers}
    return {"name": "role", "of": of}
