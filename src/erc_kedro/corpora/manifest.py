"""A user's own corpus, from one CSV or Parquet manifest with a row an utterance."""

import hashlib
import math
import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from erc_kedro import escaping
from erc_kedro.corpora import Corpus, CorpusError
from erc_kedro.corpora.delimited import RawTable, csv_rows
from erc_kedro.corpora.tables import (
    MISSING,
    SAID,
    alike,
    folded_name,
    irregularity_table,
    is_synthetic,
    list_lost,
    utterance_table,
)

_REQUIRED = ("dialogue_id", "position", "speaker", "text")
_MAY_BE_MISSING = ("utterance_id", "label", "clip", "wav", "start_s", "end_s", "group")
_COLUMNS = (*_REQUIRED, "split", *_MAY_BE_MISSING)
_SPLITS = {
    "train": "train",
    "val": "val",
    "dev": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_MOST_NAMED = 10
# Quotes, full stops, hyphens and underscores.
_POINTS = re.compile("['\"`´‘’“”._-]")
_DECIMAL_COMMA = re.compile(r"\A(-?\d+),(\d+)\Z")

Found = list[tuple[str, str, str]]


def read(raw: Path, encoding: str | None = None) -> Corpus:
    """Read a manifest.

    Args:
        raw: a ``.csv``, ``.tsv`` or ``.parquet`` file with the columns dialogue_id, position, speaker and
            text, and, where known, utterance_id (else ``{dialogue_id}_{position}``), label, split, clip,
            wav, start_s and end_s (seconds), and group (of the speaker, such as an age band: reports show
            scores by it). Cells of these may be empty, except split. Relative media paths start at the
            manifest's folder. Without a split column, each dialogue goes by a hash of its id to train, val or
            test, 70:15:15. A cell of ``tables.MISSING`` (NA, nan, None, …) counts as empty.
        encoding: of a text file that is not UTF-8 and has no byte-order mark.

    Returns:
        the utterances by dialogue and position, recounted from 0. Where several rows share a clip and have
        times,
        the times are their spans in it; otherwise the clip is the utterance. Labels are sorted.

    Raises:
        CorpusError: the file cannot be read (``delimited.csv_rows``) or is empty, a column or a needed cell
            is missing, a number or split cannot be read, an utterance is there twice, a dialogue lies in two
            splits, two labels look alike, or none of the named clips and wavs exists (up to ten rows are
            named).
    """
    table = _table(raw, encoding)
    columns = table.rows[0][1].keys()
    found: Found = []
    notes = []
    rows = [_row(raw, line, cells) for line, cells in _without_markers(table, found)]
    for column in [name for name in columns if name not in _COLUMNS]:
        cells = sum(bool(cells[column].strip()) for _, cells in table.rows)
        detail = f"not read: a manifest has no such column; {cells} of {len(rows)} cells say something"
        found.append(("unused_column", column or "column 1, without a name", detail))
    for kind, numbers in table.odd.items():
        found.append((kind, raw.name, _in_rows(numbers)))
    _refuse_alike(raw, rows)
    _list_alike(rows, found)
    if "split" not in columns:
        notes.append(
            "No split column: each dialogue was put by a hash of its id into train, val or test (70:15:15)."
        )
    _missing_media(raw, rows, found)
    _refuse_twice(raw, rows, "utterance_id")
    _refuse_mixed_splits(raw, rows)
    rows.sort(key=lambda row: (row["dialogue_id"], row["position"]))
    _recount(raw, rows, found)
    own = _spans(rows, found)
    groups = _groups(rows, found)
    if own:
        notes.append(
            f"{own} utterances have a clip of their own, all of which is used: their start_s and end_s say "
            "when they were in the conversation."
        )
    for row in rows:
        list_lost(row["text"], row["utterance_id"], found)
        if not any(map(str.isalnum, row["text"])) and not folded_name(row["text"]):
            found.append(("empty_text", row["utterance_id"], "the utterance has no text"))
    labels = tuple(sorted({row["label"] for row in rows} - {None}))
    unlabelled = sum(row["label"] is None for row in rows)
    if unlabelled:
        notes.append(f"{unlabelled} of {len(rows)} utterances have no label.")
    return Corpus(
        utterances=utterance_table(rows),
        labels=labels,
        irregularities=irregularity_table(found),
        facts={
            "name": raw.stem,
            "protocol": "manifest",
            "synthetic": is_synthetic(raw.parent),
            "raw": str(raw),
            "notes": notes,
            "groups": {"name": "group", "of": groups},
            "tables": {raw.name: table.counts},
        },
    )


def _table(raw: Path, encoding: str | None) -> RawTable:
    if raw.suffix.lower() in (".csv", ".tsv"):
        return csv_rows(raw, _REQUIRED, "position", encoding)
    if raw.suffix.lower() != ".parquet":
        raise CorpusError(
            f"{raw}: not a .csv, .tsv or .parquet file; name the manifest itself, and save a spreadsheet as "
            "CSV"
        )
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
    for column in table.columns.intersection(list(_COLUMNS)):
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


def _without_markers(table: RawTable, found: Found) -> list[tuple[int, dict[str, str]]]:
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
        found.append((kind, f"column {column}", f"{cell!r} {_in_rows(lines)}"))
    return rows


def _in_rows(lines: list[int]) -> str:
    first = ", ".join(map(str, lines[:_MOST_NAMED]))
    return f"in {len(lines)} rows: {first}{', …' if len(lines) > _MOST_NAMED else ''}"


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


def _row(raw: Path, line: int, cells: dict[str, str]) -> dict[str, Any]:
    """One checked row; ``line`` and ``media`` (column to path) are for the checks over all rows."""
    for column in ("dialogue_id", "position", "speaker"):
        if not cells[column]:
            raise CorpusError(f"{raw}, row {line}, column {column}: the cell is empty; fill it")
        if column != "position" and cells[column] in MISSING:
            raise CorpusError(
                f"{raw}, row {line}, column {column}: {cells[column]!r} stands for a missing value; fill it"
            )
    position = _number(raw, line, "position", cells["position"])
    if position != int(position):
        raise CorpusError(f"{raw}, row {line}, column position: {cells['position']!r} is not a whole number")
    dialogue_id = cells["dialogue_id"]
    if "split" in cells:
        split = _SPLITS.get(cells["split"].lower())
        if split is None:
            raise CorpusError(
                f"{raw}, row {line}, column split: {cells['split']!r} is not a split; write train, val or "
                "test"
            )
    else:
        split = _hashed_split(dialogue_id)
    times = {name: _number(raw, line, name, cells[name]) for name in ("start_s", "end_s") if cells.get(name)}
    if times.get("start_s", 0.0) < 0:
        raise CorpusError(f"{raw}, row {line}, column start_s: before the recording begins; correct it")
    if len(times) == 2 and times["end_s"] <= times["start_s"]:
        raise CorpusError(f"{raw}, row {line}, column end_s: not after start_s; correct one of the two")
    media = {name: str(raw.parent / cells[name]) for name in ("clip", "wav") if cells.get(name)}
    return {
        "utterance_id": cells.get("utterance_id") or f"{dialogue_id}_{int(position)}",
        "dialogue_id": dialogue_id,
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


def _hashed_split(dialogue_id: str) -> str:
    draw = int.from_bytes(hashlib.sha256(dialogue_id.encode()).digest()[:8], "big") / 2**64
    return "train" if draw < 0.7 else "val" if draw < 0.85 else "test"


def _missing_media(raw: Path, rows: list[dict[str, Any]], found: Found) -> None:
    """Lists the named files that do not exist; where none exists, the folder is wrong, not the files."""
    named = [(row, column) for row in rows for column in ("clip", "wav") if row.get(column)]
    absent = [(row, column) for row, column in named if not os.path.isfile(row[column])]
    if absent and len(absent) == len(named):
        first = [
            f"row {row['line']}, column {column}: {escaping.line(row[column], 300)}" for row, column in absent
        ]
        more = f"; and {len(first) - _MOST_NAMED} more" if len(first) > _MOST_NAMED else ""
        raise CorpusError(
            f"{raw}: none of the named files exists: {'; '.join(first[:_MOST_NAMED])}{more}. "
            "Correct the paths, which start at the manifest's folder, or leave the cell empty where there is "
            "no file"
        )
    found += [
        ("missing_media", row["utterance_id"], f"{column}: {escaping.line(row[column], 300)}")
        for row, column in absent
    ]


def _refuse_twice(raw: Path, rows: list[dict[str, Any]], column: str) -> None:
    first: dict[str, int] = {}
    for row in rows:
        if row[column] in first:
            raise CorpusError(
                f"{raw}, row {row['line']}, column {column}: {row[column]!r} is already in row "
                f"{first[row[column]]}; "
                "give each utterance its own position in its dialogue, and its own utterance_id if there is "
                "that column"
            )
        first[row[column]] = row["line"]


def _refuse_mixed_splits(raw: Path, rows: list[dict[str, Any]]) -> None:
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        other = first.setdefault(row["dialogue_id"], row)
        if other["split"] != row["split"]:
            raise CorpusError(
                f"{raw}, row {row['line']}, column split: dialogue {row['dialogue_id']} is {row['split']} "
                "here and "
                f"{other['split']} in row {other['line']}; a dialogue lies in one split"
            )


def _refuse_alike(raw: Path, rows: list[dict[str, Any]]) -> None:
    """One class under two names would be learned, and scored, as two."""
    labels = [(row["label"], row["line"]) for row in rows if row["label"]]
    for group in [*alike(labels), *alike(labels, _number_written)]:
        names = " and ".join(f"{name!r} ({len(lines)}, first in row {lines[0]})" for name, lines in group)
        raise CorpusError(
            f"{raw}, column label: {names} differ only in case, white space, invisible characters or Unicode "
            "form, or are one number; write one of them throughout, or give the classes names that differ"
        )


def _number_written(name: str) -> str:
    """A number in one way of writing, such as 1 for 1.0 and 01; another name as it is."""
    match = re.fullmatch(r"([-+]?)0*(\d+?)(?:[.,](\d*?)0*)?", name)
    if not match:
        return name
    sign, whole, fraction = match.groups(default="")
    return f"{sign.strip('+')}{whole}{'.' if fraction else ''}{fraction}"


def _list_alike(rows: list[dict[str, Any]], found: Found) -> None:
    for column, fold in (
        ("dialogue_id", folded_name),
        ("speaker", folded_name),
        ("group", folded_name),
        ("label", _unpunctuated),
    ):
        for group in alike(((row[column], row["line"]) for row in rows if row[column]), fold):
            detail = "; ".join(f"{name!r} {_in_rows(lines)}" for name, lines in group)
            found.append(("names_alike", f"column {column}", detail))


def _unpunctuated(name: str) -> str:
    """``very-sad`` and ``"very sad".`` as verysad; names without a letter stay as they are."""
    return _POINTS.sub("", folded_name(name)) if any(map(str.isalpha, name)) else name


def _recount(raw: Path, rows: list[dict[str, Any]], found: Found) -> None:
    dialogues = defaultdict(list)
    for row in rows:
        dialogues[row["dialogue_id"]].append(row)
    for dialogue_id, turns in dialogues.items():
        given = [row["position"] for row in turns]
        for row, position in zip(turns, range(len(turns)), strict=True):
            if position and given[position] == given[position - 1]:
                raise CorpusError(
                    f"{raw}, row {row['line']}, column position: {given[position]} is already in row "
                    f"{turns[position - 1]['line']} of dialogue {dialogue_id}; give each utterance its own"
                )
            row["position"] = position
        if given != list(range(len(turns))):
            detail = f"{len(turns)} positions from {given[0]} to {given[-1]} were recounted from 0"
            found.append(("positions_recounted", dialogue_id, detail))


def _groups(rows: list[dict[str, Any]], found: Found) -> dict[str, str]:
    """Speaker to group; one who is said to be in two is listed, and in none."""
    named: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["group"]:
            named[row["speaker"]].add(row["group"])
    for speaker, groups in named.items():
        if len(groups) > 1:
            found.append(("several_groups", speaker, f"in {', '.join(sorted(groups))}; counted in none"))
    return {speaker: groups.pop() for speaker, groups in sorted(named.items()) if len(groups) == 1}


def _spans(rows: list[dict[str, Any]], found: Found) -> int:
    """Makes times the spans of shared files; returns how many rows have times and a file of their own."""
    sounds = Counter(row.get("wav") for row in rows)
    for row in rows:
        if row.get("wav") and sounds[row["wav"]] > 1 and not row.get("clip"):
            # A long recording of sound alone is a clip without a picture.
            row["clip"] = row.pop("wav")
    uses = Counter(row.get("clip") for row in rows)
    own = 0
    for row in rows:
        times = "start_s" in row and "end_s" in row
        if row.get("clip") and uses[row["clip"]] > 1:
            if times:
                row |= {"clip_start_s": row["start_s"], "clip_end_s": row["end_s"]}
            else:
                detail = (
                    f"one of {uses[row['clip']]} rows that share {row['clip']}, without start_s and end_s"
                )
                found.append(("shared_clip_without_times", row["utterance_id"], detail))
        elif row.get("clip"):
            own += times
        if row.get("wav") and sounds[row["wav"]] > 1:
            found.append(("shared_wav", row["utterance_id"], f"all of {row['wav']} is heard"))
    return own
