"""A user's own corpus, from one CSV or Parquet manifest with a row an utterance."""

from pathlib import Path
from typing import Any

from erc_kedro.corpora import Corpus
from erc_kedro.corpora.delimited import RawTable
from erc_kedro.corpora.manifest.bins import Bins, put_into_classes
from erc_kedro.corpora.manifest.cells import COLUMNS, checked_row, in_rows, read_table, without_markers
from erc_kedro.corpora.manifest.rows import (
    groups_of,
    list_alike,
    list_missing_media,
    recount,
    refuse_alike,
    refuse_mixed_splits,
    refuse_twice,
    set_spans,
    set_splits,
)
from erc_kedro.corpora.tables import (
    MISSING,
    Found,
    folded_name,
    irregularity_table,
    is_synthetic,
    list_lost,
    utterance_table,
)


def read(raw: Path, encoding: str | None = None, bins: Bins | None = None) -> Corpus:
    """Read a manifest.

    Args:
        raw: a ``.csv``, ``.tsv`` or ``.parquet`` file with the columns speaker and text, with dialogue_id and
            position (without both, each row is a dialogue of its own), and, where known, utterance_id (else
            ``{dialogue_id}_{position}``, or ``row{row}``), label, split, clip, wav, start_s and end_s
            (seconds), and group (of the speaker, such as an age band: reports show scores by it). Cells of
            these may be empty, except split. Relative media paths start at the manifest's folder. Without a
            split column, dialogues are put into splits by a hash (``set_splits``). A cell of
            ``tables.MISSING`` (NA, nan, None, …) counts as empty.
        encoding: of a text file that is not UTF-8 and has no byte-order mark.
        bins: classes of labels that are ratings.

    Returns:
        the utterances by dialogue and position, recounted from 0; of single rows, in their order. Where
        several rows share a clip and have times, the times are their spans in it; otherwise the clip is the
        utterance. Labels are sorted, or in the order of ``bins``. Every other column groups utterances.

    Raises:
        CorpusError: the file cannot be read (``delimited.csv_rows``) or is empty, a column or a needed cell
            is missing, a number or split cannot be read, an utterance is there twice, a dialogue lies in two
            splits, two labels look alike, or none of the named clips and wavs exists (up to ten rows are
            named).
    """
    table = read_table(raw, encoding)
    columns = table.rows[0][1].keys()
    found: Found = []
    notes = []
    rows = [checked_row(raw, line, cells) for line, cells in without_markers(table, found)]
    groupings = _groupings(table, rows)
    for column in [name for name in columns if name not in COLUMNS]:
        cells = f"{len(groupings[column])} of {len(rows)} cells say something"
        detail = f"not read, but folds may be made by it; {cells}"
        found.append(("unused_column", column or "column 1, without a name", detail))
    for kind, numbers in table.odd.items():
        found.append((kind, raw.name, in_rows(numbers)))
    if bins is not None:
        put_into_classes(raw, rows, bins, found)
    refuse_alike(raw, rows)
    list_alike(rows, found)
    alone, split_by, split_note = "dialogue_id" not in columns, None, None
    if alone:
        notes.append(
            "No columns dialogue_id and position: each row is a dialogue of its own, without context."
        )
    if "split" not in columns:
        split_by, split_note = set_splits(rows, alone)
        notes.append(split_note)
    list_missing_media(raw, rows, found)
    refuse_twice(raw, rows, "utterance_id")
    refuse_mixed_splits(raw, rows)
    if not alone:
        rows.sort(key=lambda row: (row["dialogue_id"], row["position"]))
    recount(raw, rows, found)
    own = set_spans(rows, found)
    groups = groups_of(rows, found)
    if own:
        notes.append(
            f"{own} utterances have a clip of their own, all of which is used: their start_s and end_s say "
            "when they were in the conversation."
        )
    for row in rows:
        list_lost(row["text"], row["utterance_id"], found)
        if not any(map(str.isalnum, row["text"])) and not folded_name(row["text"]):
            found.append(("empty_text", row["utterance_id"], "the utterance has no text"))
    occurring = {row["label"] for row in rows} - {None}
    labels = tuple(sorted(occurring) if bins is None else (name for name in bins if name in occurring))
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
            "split_by": split_by,
            "split_note": split_note,
        },
        groupings=groupings,
    )


def _groupings(table: RawTable, rows: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """What groups utterances: ``group``, and every column that is none of a manifest's."""
    names = [name for name in table.rows[0][1] if name == "group" or name not in COLUMNS]
    cells = {name: [own[name].strip() for _, own in table.rows] for name in names}
    return {
        name: {
            row["utterance_id"]: cell
            for row, cell in zip(rows, cells[name], strict=True)
            if cell and cell not in MISSING
        }
        for name in names
    }
