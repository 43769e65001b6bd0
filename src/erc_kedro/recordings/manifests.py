"""Recordings that a table lists, and those that are a manifest's dialogues."""

import os
from collections import defaultdict
from pathlib import Path

import pandas as pd

from erc_kedro.corpora import CorpusError, manifest
from erc_kedro.corpora.delimited import csv_rows
from erc_kedro.corpora.manifest.cells import read_table
from erc_kedro.corpora.tables import MISSING
from erc_kedro.recordings.base import RecordingError, Source
from erc_kedro.recordings.transcripts import SUFFIXES
from erc_kedro.recordings.transcripts.files import in_our_words

# Columns of a manifest that ingestion does not know, and scoring does.
_SIDES = ("frame_side", "channel")


def is_list(path: Path, header: list[str], encoding: str | None) -> bool:
    """Whether a table lists recordings: media, or files of transcripts, rather than what was said."""
    if "media" in header or "transcript" not in header:
        return "media" in header
    try:
        rows = csv_rows(path, ["transcript"], "transcript", encoding).rows
    except CorpusError:
        return False
    named = [
        Path(cells["transcript"].strip()).suffix.lower() for _, cells in rows if cells["transcript"].strip()
    ]
    return bool(named) and all(suffix in SUFFIXES for suffix in named)


def listed(path: Path, header: list[str], encoding: str | None) -> list[Source]:
    """The recordings of a CSV with the columns media, transcript, name and rttm; paths start at its folder.

    Raises:
        RecordingError: the table cannot be read.
    """
    required = [name for name in ("media", "transcript") if name in header]
    try:
        table = csv_rows(path, required, required[0], encoding)
    except CorpusError as error:
        raise RecordingError("unreadable_table", in_our_words(error)) from error
    made = []
    for line, cells in table.rows:
        given = {name: cell.strip() for name, cell in cells.items() if cell.strip() not in ("", *MISSING)}
        paths = {
            name: Path(os.path.abspath(path.parent / given[name]))
            for name in ("media", "transcript", "rttm")
            if name in given
        }
        first = paths.get("media", paths.get("transcript"))
        name = given.get("name") or (first.stem if first else f"row {line}")
        made.append(Source(name, paths.get("media"), paths.get("transcript"), paths.get("rttm")))
    return made


def sources(path: Path, encoding: str | None) -> list[Source]:
    """A manifest's dialogues, each a recording whose utterances are the manifest's.

    Beside the columns that ingestion reads, ``frame_side`` and ``channel`` are (left, right, or empty).

    Raises:
        RecordingError: the manifest cannot be read.
    """
    try:
        corpus = manifest.read(path, encoding)
        raw = read_table(path, encoding).rows
    except CorpusError as error:
        raise RecordingError("unreadable_manifest", in_our_words(error)) from error
    table = corpus.utterances.assign(channel=pd.Series(pd.NA, index=corpus.utterances.index, dtype="str"))
    if "dialogue_id" not in raw[0][1]:
        # A corpus may be of single utterances; a recording without its turns is not known to be.
        raise RecordingError(
            "unreadable_manifest", f"{path}: columns dialogue_id and position are missing; add both"
        )
    # As ingestion has them, by dialogue and position.
    raw.sort(key=lambda row: (row[1]["dialogue_id"].strip(), float(row[1]["position"].replace(",", "."))))
    for column in [name for name in _SIDES if name in raw[0][1]]:
        sides = [_side(path, line, column, cells[column]) for line, cells in raw]
        table[column] = pd.Series(sides, index=table.index, dtype="str")
    odd: dict[str, list[tuple[str, str]]] = defaultdict(list)
    dialogue_of = dict(zip(table["utterance_id"], table["dialogue_id"], strict=True))
    dialogues = set(dialogue_of.values())
    for found in corpus.irregularities.to_dict("records"):
        kind = "missing_media" if found["kind"] == "missing_media" else "manifest"
        where = dialogue_of.get(found["where"], found["where"])
        shown = f"{found['kind']}, {found['where']}: {found['detail']}"
        # What is odd in the table as a whole is odd in each recording of it.
        for dialogue in [where] if where in dialogues else dialogues:
            if found["kind"] != "unused_column" or found["where"] not in _SIDES:
                odd[dialogue].append((kind, shown))
    return [
        Source(
            str(dialogue),
            _shared_clip(rows),
            path,
            rows=rows.reset_index(drop=True),
            notes=tuple(odd[str(dialogue)]),
        )
        for dialogue, rows in table.groupby("dialogue_id", sort=False)
    ]


def _side(path: Path, line: int, column: str, cell: str) -> str | None:
    side = cell.strip().lower()
    if side not in ("left", "right", "", *map(str.lower, MISSING)):
        raise RecordingError(
            "unreadable_manifest",
            f"{path}, row {line}, column {column}: {cell[:40]!r} is no side; write left or right, or nothing",
        )
    return side if side in ("left", "right") else None


def _shared_clip(rows: pd.DataFrame) -> Path | None:
    """The file that holds the whole conversation, if one does."""
    clips = rows["clip"].dropna().unique()
    spanned = rows.loc[rows["clip"].notna(), "clip_start_s"].notna().all()
    return Path(clips[0]) if len(clips) == 1 and (spanned or len(rows) == 1) else None
