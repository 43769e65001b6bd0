"""What only all rows of a manifest together show: what is there twice, named alike, shared, missing."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from erc_kedro import escaping
from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.manifest.cells import MOST_NAMED, in_rows
from erc_kedro.corpora.tables import Found, alike, are_ratings, folded_name, hashed_split
from erc_kedro.schemas import SPLITS
from erc_kedro.sentences import few

# Of the rows, in val and in test, where the manifest does not say.
_SHARE = 0.15
# Quotes, full stops, hyphens and underscores.
_POINTS = re.compile("['\"`´‘’“”._-]")


def list_missing_media(raw: Path, rows: list[dict[str, Any]], found: Found) -> None:
    """Lists the named files that do not exist; where none exists, the folder is wrong, not the files."""
    named = [(row, column) for row in rows for column in ("clip", "wav") if row.get(column)]
    absent = [(row, column) for row, column in named if not os.path.isfile(row[column])]
    if absent and len(absent) == len(named):
        first = [
            f"row {row['line']}, column {column}: {escaping.line(row[column], 300)}" for row, column in absent
        ]
        more = f"; and {len(first) - MOST_NAMED} more" if len(first) > MOST_NAMED else ""
        raise CorpusError(
            f"{raw}: none of the named files exists: {'; '.join(first[:MOST_NAMED])}{more}. "
            "Correct the paths, which start at the manifest's folder, or leave the cell empty where there is "
            "no file"
        )
    found += [
        ("missing_media", row["utterance_id"], f"{column}: {escaping.line(row[column], 300)}")
        for row, column in absent
    ]


def refuse_twice(raw: Path, rows: list[dict[str, Any]], column: str) -> None:
    """Refuse a value of a column that two rows have."""
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


def refuse_mixed_splits(raw: Path, rows: list[dict[str, Any]]) -> None:
    """Refuse a dialogue that lies in two splits."""
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        other = first.setdefault(row["dialogue_id"], row)
        if other["split"] != row["split"]:
            raise CorpusError(
                f"{raw}, row {row['line']}, column split: dialogue {row['dialogue_id']} is {row['split']} "
                "here and "
                f"{other['split']} in row {other['line']}; a dialogue lies in one split"
            )


def refuse_alike(raw: Path, rows: list[dict[str, Any]]) -> None:
    """One class under two names would be learned, and scored, as two."""
    labels = [(row["label"], row["line"]) for row in rows if row["label"]]
    # Of ratings, ingestion.bins makes classes or the audit says that they are none.
    numbers = [] if are_ratings({label for label, _ in labels}) else alike(labels, _number_written)
    for group in [*alike(labels), *numbers]:
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


def list_alike(rows: list[dict[str, Any]], found: Found) -> None:
    """Lists names that hardly differ, of dialogues, speakers, groups and labels."""
    for column, fold in (
        ("dialogue_id", folded_name),
        ("speaker", folded_name),
        ("group", folded_name),
        ("label", _unpunctuated),
    ):
        for group in alike(((row[column], row["line"]) for row in rows if row[column]), fold):
            detail = "; ".join(f"{name!r} {in_rows(lines)}" for name, lines in group)
            found.append(("names_alike", f"column {column}", detail))


def _unpunctuated(name: str) -> str:
    """``very-sad`` and ``"very sad".`` as verysad; names without a letter stay as they are."""
    return _POINTS.sub("", folded_name(name)) if any(map(str.isalpha, name)) else name


def recount(raw: Path, rows: list[dict[str, Any]], found: Found) -> None:
    """Makes positions of sorted rows count from 0 in each dialogue; lists where they did not."""
    dialogues = defaultdict(list)
    for row in rows:
        dialogues[row["dialogue_id"]].append(row)
    recounted = []
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
            recounted.append(f"{dialogue_id} ({len(turns)} from {given[0]} to {given[-1]})")
    if recounted:
        detail = f"in {len(recounted)} of {len(dialogues)} dialogues: {few(recounted)}"
        found.append(("positions_recounted", raw.name, detail))


def set_splits(rows: list[dict[str, Any]], alone: bool) -> tuple[str, str]:
    """Puts rows without a split into train, val and test; whole dialogues, and whole speakers if it can.

    Args:
        alone: each row is a dialogue of its own. Then speakers can be kept in one split, where there are
            three of them: in the order of a hash, they fill test, then val, up to 15 % of the rows, then
            train.

    Returns:
        what was kept together (``dialogue``, ``speaker`` or ``row``), and a sentence about it.
    """
    counts = Counter(row["speaker"] for row in rows)
    if not alone or len(counts) < 3:
        for row in rows:
            row["split"] = hashed_split(row["dialogue_id"])
        which = "row" if alone else "dialogue"
        return which, (
            f"No split column: each {which} was put by a hash of its id into train, val or test (70:15:15)."
        )
    waiting = sorted(counts, key=lambda name: hashlib.sha256(name.encode()).digest())
    split_of = dict.fromkeys(waiting, "train")
    for split, kept in (("test", 2), ("val", 1)):
        held = 0
        while held < _SHARE * len(rows) and len(waiting) > kept:
            speaker = waiting.pop()
            split_of[speaker] = split
            held += counts[speaker]
    for row in rows:
        row["split"] = split_of[row["speaker"]]
    said = ", ".join(f"{sum(of == split for of in split_of.values())} in {split}" for split in SPLITS)
    return "speaker", (
        "No split column: each speaker is in one split, by the order of a hash of the name, with about 15 % "
        f"of the utterances in val and in test (speakers: {said})."
    )


def groups_of(rows: list[dict[str, Any]], found: Found) -> dict[str, str]:
    """Speaker to group; one who is said to be in two is listed, and in none."""
    named: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["group"]:
            named[row["speaker"]].add(row["group"])
    for speaker, groups in named.items():
        if len(groups) > 1:
            found.append(("several_groups", speaker, f"in {', '.join(sorted(groups))}; counted in none"))
    return {speaker: groups.pop() for speaker, groups in sorted(named.items()) if len(groups) == 1}


def set_spans(rows: list[dict[str, Any]], found: Found) -> int:
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
