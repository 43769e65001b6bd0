"""A user's own corpus, from one CSV or Parquet manifest with a row an utterance."""

from pathlib import Path

from erc_kedro.corpora import Corpus
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
)
from erc_kedro.corpora.tables import (
    Found,
    folded_name,
    irregularity_table,
    is_synthetic,
    list_lost,
    utterance_table,
)


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
        times, the times are their spans in it; otherwise the clip is the utterance. Labels are sorted.

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
    for column in [name for name in columns if name not in COLUMNS]:
        cells = sum(bool(cells[column].strip()) for _, cells in table.rows)
        detail = f"not read: a manifest has no such column; {cells} of {len(rows)} cells say something"
        found.append(("unused_column", column or "column 1, without a name", detail))
    for kind, numbers in table.odd.items():
        found.append((kind, raw.name, in_rows(numbers)))
    refuse_alike(raw, rows)
    list_alike(rows, found)
    if "split" not in columns:
        notes.append(
            "No split column: each dialogue was put by a hash of its id into train, val or test (70:15:15)."
        )
    list_missing_media(raw, rows, found)
    refuse_twice(raw, rows, "utterance_id")
    refuse_mixed_splits(raw, rows)
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
