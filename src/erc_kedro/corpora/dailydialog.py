"""DailyDialog, read from its release as it is (Li et al., IJCNLP 2017; http://yanran.li/dailydialog).

A line is a dialogue: in ``dialogues_train.txt`` its utterances, each with ``__eou__`` behind it, in
``dialogues_emotion_train.txt`` their emotions as numbers; likewise ``validation`` and ``test``, from the
release's three zips. Older copies call them ``dialogues.txt`` and ``dialogues_emotion.txt``, in folders of
the splits' names. The release's ``dialogues_text.txt`` and ``dialogues_emotion.txt`` hold all dialogues
without splits.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from erc_kedro.corpora import Corpus, CorpusError
from erc_kedro.corpora.encodings import text_lines
from erc_kedro.corpora.finding import files_by
from erc_kedro.corpora.tables import (
    Found,
    hashed_split,
    irregularity_table,
    is_synthetic,
    list_counts,
    said,
    utterance_table,
)

# By the release's numbers, 0 to 6.
LABELS = ("no emotion", "anger", "disgust", "fear", "happiness", "sadness", "surprise")

_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_FILE = re.compile(r"dialogues(?P<kind>_text|_emotion)?(?:_(?P<split>train|validation|test))?\.txt", re.I)
_END = "__eou__"
_ALL = "all"


def read(raw: Path, encoding: str | None = None) -> Corpus:
    """Read the splits' files, or, where none of these is there, the one of all dialogues.

    Args:
        raw: a folder that holds the release, its zips unpacked, at any nesting up to three folders.
        encoding: of files that somebody saved anew; without it they are UTF-8, single other bytes cp1252.

    Returns:
        102,979 utterances of 13,118 dialogues for the release. The first, third, … utterance of a dialogue is
        said by A, the others by B. Where a line has another number of emotions than of utterances, nobody
        knows which belong together: its dialogue is kept without labels, and listed.

    Raises:
        CorpusError: a folder or file is missing, a text and its emotions differ in their number of lines, or
            an emotion is none of the seven.
    """
    if not raw.is_dir():
        raise CorpusError(f"{raw}: no such folder; name the folder that holds dialogues_train.txt")
    files = files_by(raw, _kind_of)
    splits = [split for split in _SPLITS if (split, "text") in files or (split, "emotion") in files]
    wanted = list(_SPLITS) if splits or not files else [_ALL]
    for split in wanted:
        for kind in ("text", "emotion"):
            if (split, kind) not in files:
                name = "dialogues_" + ("" if kind == "text" else "emotion_") + f"{split}.txt"
                if split == _ALL:
                    name = f"dialogues_{kind}.txt"
                raise CorpusError(
                    f"{raw}: {name} is missing, up to three folders down; unpack train.zip, validation.zip "
                    "and test.zip of the release there"
                )
    found: Found = []
    tables: dict[str, dict[str, int]] = {}
    rows: list[dict[str, Any]] = []
    for split in wanted:
        rows += _read_split(
            raw, split, files[split, "text"], files[split, "emotion"], encoding, found, tables
        )
    if not rows:
        raise CorpusError(f"{files[wanted[0], 'text']}: no dialogue; fetch the file again")
    notes = ["A and B name places in a dialogue, not persons: A of one dialogue is somebody else in another."]
    if wanted == [_ALL]:
        notes.append(
            "The official splits are in train.zip, validation.zip and test.zip, which are not unpacked here: "
            "each dialogue was put by a hash of its number into train, val or test (70:15:15)."
        )
    return Corpus(
        utterances=utterance_table(rows),
        labels=LABELS,
        irregularities=irregularity_table(found),
        facts={
            "name": "DailyDialog",
            "protocol": "hashed splits" if wanted == [_ALL] else "official",
            "synthetic": is_synthetic(raw),
            "raw": str(raw),
            "languages": ["en"],
            "notes": notes,
            "tables": tables,
            # Papers score micro-F1 without it.
            "majority_label": LABELS[0],
        },
    )


def _kind_of(path: Path) -> tuple[str, str] | None:
    """Split and kind of a file, by its name or else by the folders above it."""
    match = _FILE.fullmatch(path.name)
    if not match:
        return None
    folders = [name for name in reversed(path.parent.parts) if name.lower() in _SPLITS]
    split = match["split"] or (folders[0] if folders else _ALL)
    # `dialogues.txt` is a split's text; `dialogues_text.txt` is that of all dialogues.
    if split == _ALL and not match["kind"]:
        return None
    return split.lower(), (match["kind"] or "_text").lower().removeprefix("_")


def _read_split(
    raw: Path,
    split: str,
    texts: Path,
    emotions: Path,
    encoding: str | None,
    found: Found,
    tables: dict[str, dict[str, int]],
) -> list[dict[str, Any]]:
    lines: dict[Path, list[str]] = {}
    for path in (texts, emotions):
        read, strays = text_lines(path, encoding, stray_cp1252=True)
        lines[path] = [line.strip() for line in read]
        while lines[path] and not lines[path][-1]:
            lines[path].pop()
        name = str(path.relative_to(raw))
        filled = sum(map(bool, lines[path]))
        tables[name] = {"lines": len(read), "header": 0, "rows": filled, "continued": 0}
        tables[name]["blank"] = len(read) - filled
        if strays:
            list_counts({}, {"cp1252_bytes": [f"row {number}" for number in strays]}, name, found)
    if len(lines[texts]) != len(lines[emotions]):
        raise CorpusError(
            f"{emotions}, row {len(lines[emotions])}: the last of its lines, but {texts.name} has "
            f"{len(lines[texts])}; line by line they belong together, so fetch both again"
        )
    where = str(texts.relative_to(raw))
    counts: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    for number, (line, codes) in enumerate(zip(lines[texts], lines[emotions], strict=True), 1):
        labels: list[str | None] = [_label(code, emotions, number) for code in codes.split()]
        sentences = line.removesuffix(_END).split(_END) if line else []
        if len(sentences) != len(labels):
            detail = f"{len(sentences)} utterances, {len(labels)} emotions; kept without labels"
            found.append(("emotions_do_not_match", f"{where}, row {number}", detail))
            labels = [None] * len(sentences)
        dialogue = f"{split}_{number}"
        for position, (sentence, label) in enumerate(zip(sentences, labels, strict=True)):
            rows.append(
                {
                    "utterance_id": f"{dialogue}_{position}",
                    "dialogue_id": dialogue,
                    "position": position,
                    "speaker": "AB"[position % 2],
                    "text": said(sentence, f"{where}, row {number}, utterance {position}", found, counts),
                    "label": label,
                    "split": hashed_split(dialogue) if split == _ALL else _SPLITS[split],
                }
            )
    list_counts(counts, {}, where, found)
    return rows


def _label(code: str, path: Path, number: int) -> str:
    if code not in {str(at) for at in range(len(LABELS))}:
        raise CorpusError(
            f"{path}, row {number}: {code[:40]!r} is no emotion; write a number from 0 (no emotion) to 6 "
            "(surprise) for each utterance"
        )
    return LABELS[int(code)]
