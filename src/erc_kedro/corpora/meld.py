"""MELD, read from its release as it is (Poria et al., ACL 2019; https://affective-meld.github.io/).

The CSVs are ``{train,dev,test}_sent_emo.csv``; the clips are ``dia{D}_utt{U}.mp4`` in ``train_splits``,
``dev_splits_complete`` and ``output_repeated_splits_test``. Releases nest and name these folders differently,
so that files are found by their own names and by the words train, dev or test in the folders above them.

In test there are also ``final_videos_testdia{D}_utt{U}.mp4``. Where both exist, the prefixed one is taken:
the README of UPC-AIDL-MER/multimodal_emotion_recognition reports that these hold what the annotations say,
and other public loaders call the plain files wrong. The maintainers say only that clips without a row can be
ignored (https://github.com/declare-lab/MELD/issues/22), so that each choice is recorded as ``two_clips``.
"""

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from erc_kedro.corpora import Corpus, CorpusError
from erc_kedro.corpora.delimited import csv_rows
from erc_kedro.corpora.tables import (
    MISSING,
    SAID,
    Found,
    irregularity_table,
    is_synthetic,
    list_lost,
    repair,
    roles,
    seconds,
    utterance_table,
)

LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")

_SPLITS = {"train": "train", "dev": "val", "test": "test"}
_MAIN = ("Chandler", "Joey", "Monica", "Phoebe", "Rachel", "Ross")
_COLUMNS = (
    "utterance",
    "speaker",
    "emotion",
    "dialogue_id",
    "utterance_id",
    "season",
    "episode",
    "starttime",
    "endtime",
)
_CLIP = re.compile(r"(?P<prefix>final_videos_test)?dia(?P<dialogue>\d+)_utt(?P<utterance>\d+)\.mp4", re.I)
_CSV_DEPTH = 3
_LONGEST_S = 60.0

_NOTE_1038 = (
    "Training has 1038 dialogues: their ids run from 0 to 1038 and id 60 is missing from the release, which "
    "is why some papers count 1039 (https://github.com/declare-lab/MELD/issues/25)."
)

ClipKey = tuple[str, int, int]


def read(raw: Path, encoding: str | None = None) -> Corpus:
    """Read MELD's annotations and find its clips.

    Args:
        raw: a folder that holds the release, at any nesting up to three folders for the CSVs.
        encoding: of CSVs that somebody saved anew. Without it they are UTF-8, and single other bytes cp1252,
            which the release is known to hold in places; each line with such is listed.

    Returns:
        13,708 utterances for the full release. ``start_s`` and ``end_s`` are seconds in the episode; the clip
        is the utterance, so that its span is null. Positions count from 0 in the order of Utterance_ID.

    Raises:
        CorpusError: a folder, CSV or column is missing, a CSV is empty or there twice with different content,
            a label is unknown, a number or time cannot be read, or an utterance is there twice.
    """
    if not raw.is_dir():
        raise CorpusError(f"{raw}: no such folder; set meld_raw to the folder that holds train_sent_emo.csv")
    csvs, clips, found = _find_files(raw)
    tables: dict[str, dict[str, int]] = {}
    rows = [row for split in _SPLITS for row in _read_csv(raw, csvs[split], split, encoding, found, tables)]
    rows.sort(key=lambda row: (list(_SPLITS).index(row["source"]), row["dialogue"], row["utterance"]))
    _refuse_duplicates(rows)
    _number_positions(rows, found)
    _attach_clips(rows, clips, raw, found)
    _compare_spans(rows, found)
    notes = []
    numbers = {row["dialogue"] for row in rows if row["source"] == "train"}
    if 60 not in numbers and numbers and max(numbers) == 1038 and len(numbers) == 1038:
        notes.append(_NOTE_1038)
    return Corpus(
        utterances=utterance_table(rows),
        labels=LABELS,
        irregularities=irregularity_table(found),
        facts={
            "name": "MELD",
            "protocol": "official",
            "synthetic": is_synthetic(raw),
            "raw": str(raw),
            "languages": ["en"],
            "speech": "acted",
            "notes": notes,
            "tables": tables,
            "groups": roles(rows, _MAIN),
        },
        # A span of minutes is wrongly cut, and would overlap with all that is said in them.
        recordings={
            row["utterance_id"]: "season {}, episode {}".format(*row["span"])
            for row in rows
            if row["end_s"] - row["start_s"] <= _LONGEST_S
        },
        groupings={
            "season": {row["utterance_id"]: row["span"][0] for row in rows if row["span"][0]},
            "episode": {
                row["utterance_id"]: "season {}, episode {}".format(*row["span"])
                for row in rows
                if all(row["span"][:2])
            },
        },
    )


def _walk(raw: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders below raw with their files, hidden ones left out; links are followed, each folder once."""
    seen = set()
    for folder, folders, files in os.walk(raw, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), sorted(name for name in files if not name.startswith("."))


def _split_of(folder: Path, raw: Path) -> str | None:
    """The split that the nearest folder name speaks of, below raw."""
    for name in reversed(folder.relative_to(raw).parts):
        words = [split for split in _SPLITS if split in name.lower()]
        if len(words) == 1:
            return words[0]
    return None


def _find_files(raw: Path) -> tuple[dict[str, Path], dict[ClipKey, Path], Found]:
    """The CSV of each split and the clips by (split, dialogue, utterance)."""
    candidates: dict[str, list[Path]] = {split: [] for split in _SPLITS}
    plain: dict[ClipKey, list[Path]] = defaultdict(list)
    prefixed: dict[ClipKey, list[Path]] = defaultdict(list)
    found: Found = []
    for folder, files in _walk(raw):
        split = _split_of(folder, raw)
        for name in files:
            path = folder / name
            for csv_split, paths in candidates.items():
                depth = len(folder.relative_to(raw).parts)
                if name.lower() == f"{csv_split}_sent_emo.csv" and depth <= _CSV_DEPTH:
                    paths.append(path)
            if not name.lower().endswith(".mp4"):
                continue
            match = _CLIP.fullmatch(name)
            if split is None or match is None:
                why = (
                    "no folder above it says train, dev or test"
                    if match
                    else "its name is not dia{D}_utt{U}.mp4"
                )
                found.append(("clip_unplaced", str(path.relative_to(raw)), f"not used: {why}"))
                continue
            shelf = prefixed if match["prefix"] else plain
            shelf[split, int(match["dialogue"]), int(match["utterance"])].append(path)

    csvs = {}
    for split, paths in candidates.items():
        if not paths:
            raise CorpusError(
                f"{raw}: {split}_sent_emo.csv is missing (looked up to {_CSV_DEPTH} folders down); "
                "take it from the release or from github.com/declare-lab/MELD/tree/master/data/MELD"
            )
        paths.sort(key=lambda path: (len(path.parts), path))
        for other in paths[1:]:
            if other.read_bytes() != paths[0].read_bytes():
                raise CorpusError(
                    f"{paths[0]} and {other} differ; keep the one that is meant, move the other away"
                )
        csvs[split] = paths[0]

    clips = {}
    for key in sorted(plain.keys() | prefixed.keys()):
        used, *unused = prefixed[key] + plain[key]
        clips[key] = used
        where = "{}_dia{}_utt{}".format(*key)
        if prefixed[key] and plain[key]:
            detail = f"used {used.relative_to(raw)}, not {plain[key][0].relative_to(raw)}"
            found.append(("two_clips", where, detail))
            unused.remove(plain[key][0])
        for path in unused:
            detail = f"used {used.relative_to(raw)}, not {path.relative_to(raw)}"
            found.append(("clip_found_twice", where, detail))
    return csvs, clips, found


def _integer(cell: str, path: Path, line: int, column: str) -> int:
    try:
        # Python reads 1_5 as 15.
        return int(cell.replace("_", "."))
    except ValueError as error:
        raise CorpusError(
            f"{path}, row {line}, column {column}: {cell!r} is not a whole number; "
            "restore the cell from the release"
        ) from error


def _read_csv(
    raw: Path,
    path: Path,
    split: str,
    encoding: str | None,
    found: Found,
    tables: dict[str, dict[str, int]],
) -> list[dict[str, Any]]:
    """One split's rows, with what the later checks need beside the columns of the table."""
    table = csv_rows(path, _COLUMNS, "utterance_id", encoding, stray_cp1252=True)
    name = str(path.relative_to(raw))
    tables[name] = table.counts
    for line in table.odd.get("cp1252_bytes", []):
        found.append(("cp1252_bytes", f"{name}, row {line}", "bytes that are not UTF-8 were read as cp1252"))
    for line in table.odd.get("backslash_quotes", []):
        found.append(
            ("backslash_quotes", f"{name}, row {line}", 'a backslash before " or another one was left out')
        )
    rows = []
    counts: dict[str, int] = defaultdict(int)
    for line, cells in table.rows:
        where = f"{name}, row {line}"
        text, repairs = repair(cells["utterance"])
        list_lost(text, where, found)
        if text in MISSING:
            kind = "missing_value_as_text" if text in SAID else "missing_value"
            found.append((kind, where, f"the utterance is {text!r}"))
            text = text if text in SAID else ""
        speaker, speaker_repairs = repair(cells["speaker"])
        if not speaker or speaker in MISSING:
            raise CorpusError(
                f"{path}, row {line}, column Speaker: {cells['speaker']!r} names nobody; restore the cell "
                "from the release"
            )
        for kind in sorted({*repairs, *speaker_repairs}):
            if kind == "curly_quotes":
                counts[kind] += 1
            else:
                found.append((kind, where, "wrongly decoded characters were repaired"))
        if not text:
            found.append(("empty_text", where, "the utterance has no text"))
        label = cells["emotion"].strip().lower()
        if label not in LABELS:
            raise CorpusError(
                f"{path}, row {line}, column Emotion: unknown label {cells['emotion']!r}; "
                f"write one of {', '.join(LABELS)}"
            )
        dialogue = _integer(cells["dialogue_id"], path, line, "Dialogue_ID")
        utterance = _integer(cells["utterance_id"], path, line, "Utterance_ID")
        start = seconds(cells["starttime"], f"{path}, row {line}, column StartTime")
        end = seconds(cells["endtime"], f"{path}, row {line}, column EndTime")
        times = (cells["starttime"].strip(), cells["endtime"].strip())
        counts["hour_of_one_digit"] += any(time[1:2] == ":" for time in times)
        if any(not re.fullmatch(r"\d+:\d\d:\d\d,\d{3}", time) for time in times):
            found.append(("odd_time", where, f"{times[0]} to {times[1]} read as {start:.3f} to {end:.3f} s"))
        if end < start:
            found.append(("end_before_start", where, f"{times[0]} to {times[1]}"))
        elif end == start:
            found.append(("zero_duration", where, f"{times[0]} to {times[1]}"))
        elif end - start > _LONGEST_S:
            found.append(("implausibly_long", where, f"{end - start:.1f} s"))
        rows.append(
            {
                "utterance_id": f"{split}_dia{dialogue}_utt{utterance}",
                "dialogue_id": f"{split}_dia{dialogue}",
                "speaker": speaker,
                "text": text,
                "label": label,
                "split": _SPLITS[split],
                "start_s": start,
                "end_s": end,
                "source": split,
                "dialogue": dialogue,
                "utterance": utterance,
                "span": (cells["season"].strip(), cells["episode"].strip(), start, end),
                "path": path,
                "line": line,
            }
        )
    if counts["curly_quotes"]:
        found.append(("curly_quotes", name, f"straightened in {counts['curly_quotes']} rows"))
    if counts["hour_of_one_digit"]:
        detail = f"{counts['hour_of_one_digit']} rows write the hour with one digit, as in 0:13:42,477"
        found.append(("hour_of_one_digit", name, detail))
    return rows


def _refuse_duplicates(rows: list[dict[str, Any]]) -> None:
    for first, second in itertools.pairwise(rows):
        if first["utterance_id"] == second["utterance_id"]:
            raise CorpusError(
                f"{second['path']}, row {second['line']}: dialogue {second['dialogue']}, utterance "
                f"{second['utterance']} is already in row {first['line']}; remove one of the two rows"
            )


def _by_dialogue(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    dialogues = defaultdict(list)
    for row in rows:
        dialogues[row["dialogue_id"]].append(row)
    return dialogues


def _number_positions(rows: list[dict[str, Any]], found: Found) -> None:
    numbers: dict[str, set[int]] = defaultdict(set)
    for dialogue_id, turns in _by_dialogue(rows).items():
        numbers[turns[0]["source"]].add(turns[0]["dialogue"])
        for position, row in enumerate(turns):
            row["position"] = position
        absent = sorted(set(range(turns[-1]["utterance"] + 1)) - {row["utterance"] for row in turns})
        if absent:
            detail = f"no utterance {', '.join(map(str, absent))} among 0 to {turns[-1]['utterance']}"
            found.append(("numbering_gap", dialogue_id, detail))
    for split, present in numbers.items():
        for missing in sorted(set(range(max(present) + 1)) - present):
            detail = (
                f"ids run from 0 to {max(present)} without it, so that there are {len(present)} dialogues"
            )
            found.append(("missing_dialogue_id", f"{split}_dia{missing}", detail))


def _attach_clips(rows: list[dict[str, Any]], clips: dict[ClipKey, Path], raw: Path, found: Found) -> None:
    if not clips:
        found.append(("no_clips", str(raw), f"no clip was found for any of the {len(rows)} utterances"))
        return
    unclaimed = dict(clips)
    for row in rows:
        clip = unclaimed.pop((row["source"], row["dialogue"], row["utterance"]), None)
        row["clip"] = str(clip) if clip else None
    for split in _SPLITS:
        bare = [row for row in rows if row["source"] == split and row["clip"] is None]
        if bare and not any(key[0] == split for key in clips):
            found.append(("no_clips", split, f"no clip was found for any of its {len(bare)} utterances"))
        else:
            found.extend(("row_without_clip", row["utterance_id"], "there is no clip of it") for row in bare)
    for path in unclaimed.values():
        found.append(("clip_without_row", str(path.relative_to(raw)), "not used: no row speaks of it"))


def _compare_spans(rows: list[dict[str, Any]], found: Found) -> None:
    spans = defaultdict(list)
    for row in rows:
        spans[row["dialogue_id"], row["span"]].append(row["utterance_id"])
    for (_, (season, episode, start, end)), same in spans.items():
        if len(same) > 1:
            detail = f"season {season}, episode {episode}, {start:.3f} to {end:.3f} s"
            found.append(("same_span", " = ".join(same), detail))
