"""A manifest's rows as text, whatever kind of file it is, and each of them checked."""

import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.delimited import RawTable, csv_rows
from erc_kedro.corpora.tables import MISSING, SAID, Found, folded_name

_REQUIRED = ("speaker", "text")
# Both or none of them.
_OF_DIALOGUES = ("dialogue_id", "position")
_MAY_BE_MISSING = ("utterance_id", "label", "clip", "wav", "start_s", "end_s", "group")
COLUMNS = (*_OF_DIALOGUES, *_REQUIRED, "split", *_MAY_BE_MISSING)
_SPLITS = {
    "train": "train",
    "val": "val",
    "dev": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
# Rows that a message names.
MOST_NAMED = 10
_DECIMAL_COMMA = re.compile(r"\A(-?\d+),(\d+)\Z")


def read_table(raw: Path, encoding: str | None) -> RawTable:
    """The cells of a file as text, refused where it is no table with the columns that are needed."""
    if raw.suffix.lower() in (".csv", ".tsv"):
        table = csv_rows(raw, _REQUIRED, "position", encoding)
    elif raw.suffix.lower() == ".parquet":
        table = _parquet_rows(raw)
    else:
        raise CorpusError(
            f"{raw}: not a .csv, .tsv or .parquet file; name the manifest itself, and save a spreadsheet as "
            "CSV"
        )
    there = [name for name in _OF_DIALOGUES if name in table.rows[0][1]]
    if len(there) == 1:
        [missing] = set(_OF_DIALOGUES) - set(there)
        raise CorpusError(
            f"{raw}: column {missing} is missing; name it, or leave out {there[0]}, too, if each row is by "
            "itself"
        )
    return table


def _parquet_rows(raw: Path) -> RawTable:
    try:
        table = pd.read_parquet(raw)
    except (OSError, pyarrow.ArrowException) as error:
        raise CorpusError(f"{raw}: cannot be read as Parquet ({error}); write it again") from error
    if any(table.index.names):
        table = table.reset_index()
    table.columns = table.columns.astype(str).str.strip().str.lower()
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise CorpusError(f"{raw}: several columns are called {twice[0]}; rename or remove the others")
    missing = [name for name in _REQUIRED if name not in table.columns]
    if missing:
        raise CorpusError(
            f"{raw}: column {', '.join(missing)} is missing; it has {', '.join(table.columns)}. "
            f"Name the columns {', '.join(_REQUIRED)}"
        )
    if table.empty:
        raise CorpusError(f"{raw}: no rows; an empty corpus cannot be used")
    for column in table.columns.intersection(list(COLUMNS)):
        nested = table[column].map(lambda cell: isinstance(cell, list | dict | np.ndarray | bytes))
        if nested.any():
            kind = type(table[column][nested.to_numpy()].iloc[0]).__name__
            raise CorpusError(
                f"{raw}, row {int(nested.to_numpy().argmax()) + 1}, column {column}: a cell of type {kind}; "
                "write a text or a number"
            )
    rows = [
        (number, {str(name): _printed(cell) for name, cell in record.items()})
        for number, record in enumerate(table.astype(object).to_dict("records"), 1)
    ]
    kept = [(number, cells) for number, cells in rows if any(cell.strip() for cell in cells.values())]
    if not kept:
        raise CorpusError(f"{raw}: no cell says anything; an empty corpus cannot be used")
    blank = len(rows) - len(kept)
    counts = {"lines": len(rows), "header": 0, "rows": len(kept), "continued": 0, "blank": blank}
    return RawTable(kept, counts, {})


def _printed(cell: Any) -> str:
    """A cell of Parquet as a text file would have it."""
    if isinstance(cell, list | dict | np.ndarray):
        return str(cell)
    if pd.isna(cell):
        return ""
    # A column of whole numbers becomes one of floats where a cell is missing.
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def without_markers(table: RawTable, found: Found) -> list[tuple[int, dict[str, str]]]:
    """The rows, with empty cells where a marker stands for a missing value; lists which and where."""
    seen: dict[tuple[str, str], list[int]] = defaultdict(list)
    rows = []
    for line, cells in table.rows:
        cells = {name: cell.strip() for name, cell in cells.items()}
        if table.delimiter == ";":
            # Where spreadsheets part cells by semicolons, their decimal sign is the comma.
            for column in cells.keys() & {"position", "start_s", "end_s"}:
                cells[column] = _DECIMAL_COMMA.sub(r"\1.\2", cells[column])
        for column in cells.keys() & {*_MAY_BE_MISSING, "text"}:
            cell = cells[column]
            # A label that nobody can see is none, either.
            if cell in MISSING or (column == "label" and cell and not folded_name(cell)):
                seen[column, cell].append(line)
                if column != "text" or cell not in SAID:
                    cells[column] = ""
        rows.append((line, cells))
    for (column, cell), lines in sorted(seen.items()):
        kept = column == "text" and cell in SAID
        kind = "missing_value_as_text" if kept else "missing_value"
        found.append((kind, f"column {column}", f"{cell!r} {in_rows(lines)}"))
    return rows


def in_rows(lines: list[int]) -> str:
    first = ", ".join(map(str, lines[:MOST_NAMED]))
    return f"in {len(lines)} rows: {first}{', …' if len(lines) > MOST_NAMED else ''}"


def checked_row(raw: Path, line: int, cells: dict[str, str]) -> dict[str, Any]:
    """One checked row; ``line`` and ``media`` (column to path) are for the checks over all rows.

    Without columns of dialogues, it is a dialogue of its own; without a column split, ``split`` is None.
    """
    alone = "dialogue_id" not in cells
    for column in ("speaker",) if alone else (*_OF_DIALOGUES, "speaker"):
        if not cells[column]:
            raise CorpusError(f"{raw}, row {line}, column {column}: the cell is empty; fill it")
        if column != "position" and cells[column] in MISSING:
            raise CorpusError(
                f"{raw}, row {line}, column {column}: {cells[column]!r} stands for a missing value; fill it"
            )
    position = 0.0 if alone else _number(raw, line, "position", cells["position"])
    if position != int(position):
        raise CorpusError(f"{raw}, row {line}, column position: {cells['position']!r} is not a whole number")
    own = f"row{line}" if alone else f"{cells['dialogue_id']}_{int(position)}"
    utterance_id = cells.get("utterance_id") or own
    split = None
    if "split" in cells:
        split = _SPLITS.get(cells["split"].lower())
        if split is None:
            raise CorpusError(
                f"{raw}, row {line}, column split: {cells['split']!r} is not a split; write train, val or "
                "test"
            )
    times = {name: _number(raw, line, name, cells[name]) for name in ("start_s", "end_s") if cells.get(name)}
    if times.get("start_s", 0.0) < 0:
        raise CorpusError(f"{raw}, row {line}, column start_s: before the recording begins; correct it")
    if len(times) == 2 and times["end_s"] <= times["start_s"]:
        raise CorpusError(f"{raw}, row {line}, column end_s: not after start_s; correct one of the two")
    media = {name: str(raw.parent / cells[name]) for name in ("clip", "wav") if cells.get(name)}
    return {
        "utterance_id": utterance_id,
        "dialogue_id": utterance_id if alone else cells["dialogue_id"],
        "position": int(position),
        "speaker": cells["speaker"],
        "text": cells["text"],
        "label": cells.get("label") or None,
        "split": split,
        "group": cells.get("group"),
        **times,
        **media,
        "line": line,
    }


def _number(raw: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    # Python reads 1_5 as 15.
    if not math.isfinite(value) or "_" in cell:
        raise CorpusError(
            f"{raw}, row {line}, column {column}: {cell!r} is not a number; write one, such as 13.5"
        )
    return value
