"""EmoryNLP's emotions in Friends, from its release or the CSVs that papers share (Zahiri & Choi, 2018).

The release (https://github.com/emorynlp/emotion-detection) has ``emotion-detection-{trn,dev,tst}.json``:
episodes hold scenes, these utterances. The CSVs ``emorynlp_{train,dev,test}_final.csv`` of
https://github.com/declare-lab/MELD hold the utterances that have a clip, about three quarters of them, and
times. Both have a scene as the dialogue, and the same numbers: ``s01_e02_c01_u003`` is the third utterance of
the first scene of an episode.
"""

import ast
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from erc_kedro.corpora import Corpus, CorpusError
from erc_kedro.corpora.delimited import csv_rows
from erc_kedro.corpora.encodings import text_lines
from erc_kedro.corpora.finding import files_by
from erc_kedro.corpora.tables import (
    Found,
    irregularity_table,
    is_synthetic,
    list_counts,
    roles,
    said,
    seconds,
    utterance_table,
)

# As the community's feature files have them (COSMIC).
LABELS = ("Joyful", "Mad", "Neutral", "Peaceful", "Powerful", "Sad", "Scared")

_RELEASE = {
    "train": "emotion-detection-trn.json",
    "val": "emotion-detection-dev.json",
    "test": "emotion-detection-tst.json",
}
_SHARED = {
    "train": "emorynlp_train_final.csv",
    "val": "emorynlp_dev_final.csv",
    "test": "emorynlp_test_final.csv",
}
_COLUMNS = ("utterance", "speaker", "emotion", "scene_id", "utterance_id", "season", "episode")
_MAIN = ("Chandler Bing", "Joey Tribbiani", "Monica Geller", "Phoebe Buffay", "Rachel Green", "Ross Geller")
_SCENE = re.compile(r"s(\d+)_e(\d+)_c(\d+)")
_NOBODY = "(nobody named)"


def read(raw: Path, encoding: str | None = None) -> Corpus:
    """Read either kind of files.

    Args:
        raw: a folder that holds the three of one kind, at any nesting up to three folders.
        encoding: of files that somebody saved anew; without it they are UTF-8, and in CSVs single other bytes
            cp1252.

    Returns:
        12,606 utterances of 897 scenes for the release. Positions count from 0 in the order of the file, or
        of the CSVs' numbers; several speakers of one utterance are one speaker of a joint name.

    Raises:
        CorpusError: a folder or file is missing, files of both kinds are there, one cannot be read, a label
            is unknown, or an utterance is there twice or its scene in two splits.
    """
    if not raw.is_dir():
        raise CorpusError(f"{raw}: no such folder; name the folder that holds {_RELEASE['train']}")
    known = {*_RELEASE.values(), *_SHARED.values()}
    there = files_by(raw, lambda path: path.name.lower() if path.name.lower() in known else None)
    kinds = [names for names in (_RELEASE, _SHARED) if set(names.values()) & set(there)]
    if len(kinds) == 2:
        raise CorpusError(
            f"{raw}: the release's JSON files and the CSVs made of it both lie there, and hold different "
            "utterances; move one kind away"
        )
    names = kinds[0] if kinds else _RELEASE
    for name in names.values():
        if name not in there:
            other = "" if kinds else f" (or {_SHARED['train']}, …)"
            raise CorpusError(
                f"{raw}: {name}{other} is missing, up to three folders down; fetch it again from "
                "github.com/emorynlp/emotion-detection"
                + (" (folder json)" if names is _RELEASE else " or github.com/declare-lab/MELD")
            )
    found: Found = []
    tables: dict[str, dict[str, int]] = {}
    rows: list[dict[str, Any]] = []
    for split, name in names.items():
        path = there[name]
        where = str(path.relative_to(raw))
        if names is _RELEASE:
            read_rows = _of_release(path, where, encoding, found)
        else:
            read_rows = _of_csv(path, where, encoding, found, tables)
        rows += [{**row, "split": split, "path": path} for row in read_rows]
    _refuse_twice(rows)
    _number_positions(rows, found)
    return Corpus(
        utterances=utterance_table(rows),
        labels=LABELS,
        irregularities=irregularity_table(found),
        facts={
            "name": "EmoryNLP",
            "protocol": "official" if names is _RELEASE else "official, utterances with clips",
            "synthetic": is_synthetic(raw),
            "raw": str(raw),
            "languages": ["en"],
            "speech": "acted",
            "notes": [
                "A scene is a dialogue; splits are by episode, and all share the main characters.",
                *([] if names is _RELEASE else [_NOTE_SHARED]),
            ],
            "tables": tables,
            "groups": roles(rows, _MAIN),
        },
        groupings={
            "season": {row["utterance_id"]: row["dialogue_id"][:3] for row in rows},
            "episode": {row["utterance_id"]: row["dialogue_id"][:7] for row in rows},
        },
    )


_NOTE_SHARED = (
    "Of the release's 12,606 utterances, these files hold those that have a clip; scores on the release are "
    "of others. Their times come from subtitles, and often are of the neighbouring utterance."
)


def _of_release(path: Path, where: str, encoding: str | None, found: Found) -> list[dict[str, Any]]:
    try:
        release = json.loads("".join(text_lines(path, encoding)[0]).removeprefix("\ufeff"))
    except ValueError as error:
        if isinstance(error, CorpusError):
            raise
        line = getattr(error, "lineno", 1)
        raise CorpusError(f"{path}, row {line}: no JSON ({error}); fetch the file again") from error
    except RecursionError as error:
        raise CorpusError(f"{path}: JSON that is nested too deeply; fetch the file again") from error
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    listed: dict[str, list[str]] = defaultdict(list)
    for episode in _list(release, "episodes", path, "the file"):
        for scene in _list(episode, "scenes", path, _named(episode, "episode_id", "an episode")):
            scene_id = _text(scene, "scene_id", path, "a scene")
            if not _SCENE.fullmatch(scene_id):
                raise CorpusError(f"{path}, scene {scene_id!r}: write its id as in s01_e02_c03")
            for utterance in _list(scene, "utterances", path, scene_id):
                name = _text(utterance, "utterance_id", path, f"an utterance of {scene_id}")
                place = f"{where}, {name}"
                speakers = _list(utterance, "speakers", path, name)
                if not all(isinstance(speaker, str) for speaker in speakers):
                    raise CorpusError(f"{path}, {name}: speakers must be a list of names; restore it")
                label = utterance.get("emotion")
                rows.append(
                    {
                        "utterance_id": name,
                        "dialogue_id": scene_id,
                        "speaker": _speaker(speakers, name, listed),
                        "text": said(_text(utterance, "transcript", path, name), place, found, counts),
                        "label": None if label in (None, "") else _label(label, f"{path}, {name}"),
                        "line": name,
                        "number": int(match[1]) if (match := re.search(r"_u(\d+)\Z", name)) else None,
                    }
                )
                if rows[-1]["label"] is None:
                    listed["no_label"].append(name)
    if not rows:
        raise CorpusError(f"{path}: no utterances; an empty split cannot be used, fetch the file again")
    list_counts(counts, listed, where, found)
    return rows


def _of_csv(
    path: Path, where: str, encoding: str | None, found: Found, tables: dict[str, dict[str, int]]
) -> list[dict[str, Any]]:
    table = csv_rows(path, _COLUMNS, "utterance_id", encoding, stray_cp1252=True)
    tables[where] = table.counts
    counts: Counter[str] = Counter()
    listed: dict[str, list[str]] = defaultdict(list)
    for kind, lines in table.odd.items():
        listed[kind] += [f"row {line}" for line in lines]
    rows = []
    for line, cells in table.rows:
        place, at = f"{where}, row {line}", f"{path}, row {line}"
        season, episode, scene, number = (
            _number(cells[name], f"{at}, column {name}")
            for name in ("season", "episode", "scene_id", "utterance_id")
        )
        dialogue = f"s{season:02d}_e{episode:02d}_c{scene:02d}"
        name = f"{dialogue}_u{number:03d}"
        times = {}
        for column, time in (("start_s", "start_time"), ("end_s", "end_time")):
            if cells.get(time, "").strip():
                times[column] = seconds(cells[time], f"{at}, column {time}")
        if len(times) == 2 and times["end_s"] <= times["start_s"]:
            kind = "end_before_start" if times["end_s"] < times["start_s"] else "zero_duration"
            listed[kind].append(name)
        rows.append(
            {
                "utterance_id": name,
                "dialogue_id": dialogue,
                "speaker": _speaker(_names(cells["speaker"], f"{at}, column speaker"), name, listed),
                "text": said(cells["utterance"], place, found, counts),
                "label": _label(cells["emotion"].strip(), f"{at}, column emotion"),
                **times,
                "line": f"row {line}",
                "number": number,
            }
        )
    rows.sort(key=lambda row: (row["dialogue_id"], row["number"]))
    list_counts(counts, listed, where, found)
    return rows


def _names(cell: str, at: str) -> list[str]:
    """The names in a cell that prints a list, ``['Monica Geller']``, or is a name itself."""
    if not cell.strip().startswith("["):
        return [cell]
    try:
        names = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise CorpusError(f"{at}: {cell!r} is no list of names; write it as ['Monica Geller']") from error
    if not all(isinstance(name, str) for name in names):
        raise CorpusError(f"{at}: {cell!r} is no list of names; write it as ['Monica Geller']")
    return list(names)


def _speaker(names: list[str], utterance: str, listed: dict[str, list[str]]) -> str:
    named = [name.strip() for name in names if name.strip()]
    if not named:
        listed["no_speaker"].append(utterance)
    elif len(named) > 1:
        listed["several_speakers"].append(utterance)
    return " & ".join(named) or _NOBODY


def _label(said_label: Any, at: str) -> str:
    for label in LABELS:
        if isinstance(said_label, str) and said_label.strip().lower() == label.lower():
            return label
    raise CorpusError(f"{at}: unknown emotion {said_label!r}; write one of {', '.join(LABELS)}")


def _number(cell: str, at: str) -> int:
    if not re.fullmatch(r"\d{1,6}", cell.strip(), re.ASCII):
        raise CorpusError(f"{at}: {cell!r} is not a whole number; restore the cell")
    return int(cell)


def _list(holder: Any, key: str, path: Path, where: str) -> list[Any]:
    held = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(held, list):
        raise CorpusError(f"{path}: {where} has no list `{key}`; restore it from the release")
    return held


def _text(holder: Any, key: str, path: Path, where: str) -> str:
    held = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(held, str):
        raise CorpusError(f"{path}: {where} has no text `{key}`; restore it from the release")
    return held


def _named(holder: Any, key: str, otherwise: str) -> str:
    return str(holder.get(key, otherwise)) if isinstance(holder, dict) else otherwise


def _refuse_twice(rows: list[dict[str, Any]]) -> None:
    first: dict[str, dict[str, Any]] = {}
    scenes: dict[str, dict[str, Any]] = {}
    for row in rows:
        other = first.setdefault(row["utterance_id"], row)
        if other is not row:
            raise CorpusError(
                f"{row['path']}, {row['line']}: utterance {row['utterance_id']} is already in "
                f"{other['path'].name}, {other['line']}; remove one of the two"
            )
        other = scenes.setdefault(row["dialogue_id"], row)
        if other["split"] != row["split"]:
            raise CorpusError(
                f"{row['path']}, {row['line']}: scene {row['dialogue_id']} is in {other['path'].name}, too; "
                "a scene lies in one split"
            )


def _number_positions(rows: list[dict[str, Any]], found: Found) -> None:
    scenes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        row["position"] = len(scenes[row["dialogue_id"]])
        scenes[row["dialogue_id"]].append(row)
    gaps: dict[Path, list[str]] = defaultdict(list)
    for name, turns in scenes.items():
        numbers = [row["number"] for row in turns]
        if numbers != list(range(1, len(turns) + 1)):
            gaps[turns[0]["path"]].append(name)
    for path, names in gaps.items():
        shown = ", ".join(names[:5])
        detail = f"{len(names)} scenes, of {len(scenes)} in all: {shown}{', …' if len(names) > 5 else ''}"
        found.append(("numbering_gap", path.name, detail))
