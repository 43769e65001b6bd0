"""A user's own corpus, from one CSV or Parquet manifest with a row an utterance."""

import hashlib
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow

from erc_kedro.corpora import Corpus, CorpusError
from erc_kedro.corpora.tables import csv_rows, irregularity_table, is_synthetic, utterance_table

_REQUIRED = ("dialogue_id", "position", "speaker", "text")
_SPLITS = {
    "train": "train",
    "val": "val",
    "dev": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_MOST_NAMED = 10

_Rows = list[tuple[int, dict[str, str]]]


def read(raw: Path) -> Corpus:
    """Read a manifest.

    Args:
        raw: a ``.csv`` or ``.parquet`` file with the columns dialogue_id, position, speaker and text, and,
            where known, utterance_id (else ``{dialogue_id}_{position}``), label, split, clip, wav, start_s
            and end_s (seconds), and group (of the speaker, such as an age band: reports show scores by
            it). Cells of these may be empty, except split. Relative media paths start at the manifest's
            folder. Without a split column, each dialogue goes by a hash of its id to train, val or test,
            70:15:15.

    Returns:
        the utterances by dialogue and position, recounted from 0. Where several rows share a clip and have
        times,
        the times are their spans in it; otherwise the clip is the utterance. Labels are sorted.

    Raises:
        CorpusError: the file cannot be read or is empty, a column or a needed cell is missing, a number or
        split
            cannot be read, an utterance is there twice, a dialogue lies in two splits, or none of the named
            clips and wavs exists (up to ten rows are named).
    """
    lines = _rows(raw)
    columns = lines[0][1].keys()
    found: list[tuple[str, str, str]] = []
    notes = []
    rows = [_row(raw, line, cells) for line, cells in lines]
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
        if not row["text"]:
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
        },
    )


def _rows(raw: Path) -> _Rows:
    if raw.suffix.lower() == ".csv":
        return csv_rows(raw, _REQUIRED)[0]
    if raw.suffix.lower() != ".parquet":
        raise CorpusError(f"{raw}: not a .csv or .parquet file; name the manifest itself")
    try:
        table = pd.read_parquet(raw)
    except (OSError, pyarrow.ArrowException) as error:
        raise CorpusError(f"{raw}: cannot be read as Parquet ({error}); write it again") from error
    table.columns = table.columns.astype(str).str.strip().str.lower()
    missing = [name for name in _REQUIRED if name not in table.columns]
    if missing:
        raise CorpusError(
            f"{raw}: column {', '.join(missing)} is missing; it has {', '.join(table.columns)}. "
            f"Name the columns {', '.join(_REQUIRED)}"
        )
    if table.empty:
        raise CorpusError(f"{raw}: no rows; an empty corpus cannot be used")
    records = table.astype(object).where(table.notna(), "").astype(str).to_dict("records")
    return [(number, {str(k): v for k, v in record.items()}) for number, record in enumerate(records, 1)]


def _number(raw: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CorpusError(f"{raw}, row {line}, column {column}: {cell!r} is not a number; write one")
    return value


def _row(raw: Path, line: int, cells: dict[str, str]) -> dict[str, Any]:
    """One checked row; ``line`` and ``media`` (column to path) are for the checks over all rows."""
    cells = {name: cell.strip() for name, cell in cells.items()}
    for column in ("dialogue_id", "position", "speaker"):
        if not cells[column]:
            raise CorpusError(f"{raw}, row {line}, column {column}: the cell is empty; fill it")
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


def _missing_media(raw: Path, rows: list[dict[str, Any]], found: list[tuple[str, str, str]]) -> None:
    """Lists the named files that do not exist; where none exists, the folder is wrong, not the files."""
    named = [(row, column) for row in rows for column in ("clip", "wav") if row.get(column)]
    absent = [(row, column) for row, column in named if not Path(row[column]).is_file()]
    if absent and len(absent) == len(named):
        first = [f"row {row['line']}, column {column}: {row[column]}" for row, column in absent]
        more = f"; and {len(first) - _MOST_NAMED} more" if len(first) > _MOST_NAMED else ""
        raise CorpusError(
            f"{raw}: none of the named files exists: {'; '.join(first[:_MOST_NAMED])}{more}. "
            "Correct the paths, which start at the manifest's folder, or leave the cell empty where there is "
            "no file"
        )
    found += [("missing_media", row["utterance_id"], f"{column}: {row[column]}") for row, column in absent]


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


def _recount(raw: Path, rows: list[dict[str, Any]], found: list[tuple[str, str, str]]) -> None:
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


def _groups(rows: list[dict[str, Any]], found: list[tuple[str, str, str]]) -> dict[str, str]:
    """Speaker to group; one who is said to be in two is listed, and in none."""
    named: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["group"]:
            named[row["speaker"]].add(row["group"])
    for speaker, groups in named.items():
        if len(groups) > 1:
            found.append(("several_groups", speaker, f"in {', '.join(sorted(groups))}; counted in none"))
    return {speaker: groups.pop() for speaker, groups in sorted(named.items()) if len(groups) == 1}


def _spans(rows: list[dict[str, Any]], found: list[tuple[str, str, str]]) -> int:
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
