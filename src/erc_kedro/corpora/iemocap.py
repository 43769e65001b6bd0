"""IEMOCAP, read from its release as it is (Busso et al., 2008; https://sail.usc.edu/iemocap/).

Read are ``Session{1..5}/dialog/transcriptions/*.txt`` and ``dialog/EmoEvaluation/*.txt``; named, where they
exist, are ``sentences/wav/{dialogue}/{utterance}.wav`` and ``dialog/avi/DivX/{dialogue}.avi``.

**Protocols** (Session 5 is the test split, with the community's 12 validation dialogues, unless folds are
made). Of six classes there are two.
``release`` takes the release's majority labels: 7380 utterances. ``community`` adds 53 utterances as ``hap``
where the release says xxx: the 7433 that the DialogueRNN features (github.com/declare-lab/conv-emotion) and
all that followed them use. No rule over the raters' votes gives exactly these 53; ``iemocap_community.json``
lists them, the validation dialogues, and the order of utterances in the community's feature files.
``four`` is that of speech papers: the release's ang, hap with exc, neu and sad, 5531 utterances.

**Side of the frame.** Both actors stand in one frame. The letter in a dialogue's name (``Ses01F_…``) is that
of the actor who wears the markers, and this actor stands in the left half. Sources:

- AIM3-RUC/MEmoBert, ``preprocess/iemocap/cut_video.sh`` (commit 1174807): its comment puts "the one who
  where mocap" on the left; it crops the left half where the utterance's letter equals the dialogue's, and
  the right half otherwise;
- IoannisKansizoglou/Iemocap-preprocess, ``extractionmapCreator.py`` (commit 978f4ff), ``find_speaker``: in a
  dialogue named F the woman is on the left and the man on the right, in one named M the reverse.

Further crop scripts say the same and none was found that says otherwise, but neither source is the release's
own documentation: look at one F and one M dialogue of each session before relying on it.
"""

import json
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any, Literal

from erc_kedro.corpora import Corpus, CorpusError
from erc_kedro.corpora.encodings import text_lines
from erc_kedro.corpora.tables import (
    Found,
    irregularity_table,
    is_synthetic,
    list_lost,
    repair,
    utterance_table,
)

LABELS = ("hap", "sad", "neu", "ang", "exc", "fru")
FOUR = ("hap", "sad", "neu", "ang")

_OTHER_CODES = ("fea", "sur", "dis", "oth", "xxx")
_UTTERANCE = r"Ses\d\d[FM]_\w+_[FM]\w+"
_TURN = re.compile(rf"({_UTTERANCE})\s*\[\s*([\d.]+)\s*-\s*([\d.]+)\s*\]\s*:?(.*)")
_RATING = re.compile(rf"\[\s*([\d.]+)\s*-\s*([\d.]+)\s*\]\s+({_UTTERANCE})\s+(\S+)")
_SESSIONS = tuple(f"Session{number}" for number in range(1, 6))
_SAME_TIME_S = 0.01


@cache
def community() -> dict[str, Any]:
    """The community's choices, derived from its published feature files; ids only.

    Returns:
        ``validation`` (12 dialogue ids), ``hap_where_release_says_xxx`` (53 utterance ids) and ``order``
        (dialogue id to the last parts of its utterance ids in the feature files' order, space separated; in
        62 of the 151 dialogues this is not the order of start times).
    """
    facts: dict[str, Any] = json.loads(Path(__file__).with_name("iemocap_community.json").read_text("utf-8"))
    return facts


def read(
    raw: Path,
    protocol: Literal["community", "release", "four"] = "community",
    keep_unlabelled: bool = False,
    encoding: str | None = None,
) -> Corpus:
    """Read IEMOCAP's transcripts and majority labels, and name its media.

    Args:
        raw: the folder that holds Session1 to Session5, or the one above it.
        protocol: whose labels, see the module.
        keep_unlabelled: keep the utterances outside the classes with a null label, instead of leaving them
            out.
        encoding: of text files that somebody saved anew. Without it they are UTF-8, and single other bytes
            cp1252, as the release was typed on Windows; each line with such is listed.

    Returns:
        7433, 7380 or 5531 utterances for the full release, 10,039 with the unlabelled ones. Positions
        follow the start time, then the end time, then the id. ``start_s`` and ``end_s`` are seconds in the
        dialogue's recording; ``clip`` is the dialogue's video and the utterance a span of it. Turns that were
        not evaluated are left out.

    Raises:
        CorpusError: there is no session, a session lacks its folders, a line cannot be read, an emotion code
            is unknown, an utterance is there twice, or nothing is left.
    """
    if protocol not in ("community", "release", "four"):
        raise CorpusError(f"iemocap.protocol is {protocol!r}; write community, release or four")
    labels = FOUR if protocol == "four" else LABELS
    root = _root(raw)
    found: Found = []
    sessions = [root / name for name in _SESSIONS if (root / name).is_dir()]
    for name in _SESSIONS:
        if not (root / name).is_dir():
            found.append(("missing_session", name, "the folder is not there; its dialogues are left out"))
    ratings: dict[str, dict[str, Any]] = {}
    turns: dict[str, dict[str, Any]] = {}
    for session in sessions:
        for path in _texts(session / "dialog" / "EmoEvaluation", root, found):
            _read_evaluation(path, root, encoding, ratings, found)
        for path in _texts(session / "dialog" / "transcriptions", root, found):
            _read_transcript(path, root, encoding, turns, found)

    synthetic = is_synthetic(raw) or is_synthetic(root)
    rows = _join(ratings, turns, found)
    # A generated corpus borrows dialogue names, not the utterances that the community's list is about.
    if protocol == "community" and not synthetic:
        _relabel(rows, {path.name for path in sessions}, found)
    if protocol == "four":
        for row in rows:
            row["label"] = "hap" if row["label"] == "exc" else row["label"]
    rows = _keep(rows, labels, keep_unlabelled, found)
    if not rows:
        raise CorpusError(
            f"{root}: no utterance with one of the labels {', '.join(labels)}; is it the full release?"
        )
    rows.sort(key=lambda row: (row["dialogue_id"], row["start_s"], row["end_s"], row["utterance_id"]))
    _number_positions(rows, found)
    _attach_media(rows, root, sessions, found)
    notes = [
        "Four-way labels of the release, excitement counted as happiness."
        if protocol == "four"
        else f"Six-way labels by the {protocol} protocol.",
        "As the corpus comes, Session 5 is the test split and 12 listed dialogues are validation.",
        "The half of the frame in which a speaker stands rests on third parties' crop scripts, not on the "
        "release's "
        "documentation: look at one F and one M dialogue of each session.",
    ]
    if keep_unlabelled:
        notes.append("Utterances outside the classes stay as unlabelled context.")
    return Corpus(
        utterances=utterance_table(rows),
        labels=labels,
        groupings={"session": {row["utterance_id"]: row["utterance_id"][:5] for row in rows}},
        irregularities=irregularity_table(found),
        facts={
            "name": "IEMOCAP",
            "protocol": protocol,
            "synthetic": synthetic,
            "raw": str(raw),
            "languages": ["en"],
            "speech": "acted",
            "notes": notes,
            "groups": {
                "name": "speaker's sex",
                "of": {
                    speaker: "female" if speaker.endswith("F") else "male"
                    for speaker in sorted({row["speaker"] for row in rows})
                },
            },
        },
    )


def _root(raw: Path) -> Path:
    """The folder that holds the sessions: raw itself, or the one folder in it that does."""
    if not raw.is_dir():
        raise CorpusError(
            f"{raw}: no such folder; set iemocap_raw to the folder that holds Session1 to Session5"
        )
    below = sorted(path for path in raw.iterdir() if path.is_dir() and not path.name.startswith("."))
    holders = [path for path in [raw, *below] if any((path / name).is_dir() for name in _SESSIONS)]
    if raw in holders:
        return raw
    if len(holders) != 1:
        raise CorpusError(
            f"{raw}: {'several folders hold' if holders else 'no'} Session1 to Session5 in it; "
            "set iemocap_raw to the folder that holds the sessions"
        )
    return holders[0]


def _texts(folder: Path, root: Path, found: Found) -> list[Path]:
    """The dialogues' text files; Categorical/, Attribute/ and Self-evaluation/ are folders and so left
    out."""
    if not folder.is_dir():
        raise CorpusError(f"{folder}: the folder is missing; unpack the session again")
    _count_hidden(folder, root, found)
    return sorted(path for path in folder.glob("Ses*.txt") if path.is_file())


def _count_hidden(folder: Path, root: Path, found: Found) -> None:
    hidden = sum(path.name.startswith(".") for path in folder.iterdir())
    if hidden:
        found.append(("hidden_file", str(folder.relative_to(root)), f"{hidden} hidden files were left out"))


def _lines(path: Path, root: Path, encoding: str | None, found: Found) -> list[tuple[int, str]]:
    lines, strays = text_lines(path, encoding, stray_cp1252=True)
    for number in strays:
        where = f"{path.relative_to(root)}, row {number}"
        found.append(("cp1252_bytes", where, "bytes that are not UTF-8 were read as cp1252"))
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def _span(start: str, end: str, path: Path, number: int) -> tuple[float, float]:
    try:
        return float(start), float(end)
    except ValueError as error:
        raise CorpusError(
            f"{path}, row {number}, times: {start!r} or {end!r} is not a number of seconds; "
            "restore the line from the release"
        ) from error


def _add(
    shelf: dict[str, dict[str, Any]], utterance_id: str, entry: dict[str, Any], path: Path, number: int
) -> None:
    if utterance_id in shelf:
        earlier = shelf[utterance_id]
        raise CorpusError(
            f"{path}, row {number}: utterance {utterance_id} is already in {earlier['path'].name}, "
            f"row {earlier['number']}; remove one of the two"
        )
    shelf[utterance_id] = {**entry, "path": path, "number": number}


def _read_evaluation(
    path: Path, root: Path, encoding: str | None, ratings: dict[str, dict[str, Any]], found: Found
) -> None:
    for number, line in _lines(path, root, encoding, found):
        if not line.startswith("["):
            continue  # the header, and the raters' own lines
        match = _RATING.match(line)
        if not match:
            raise CorpusError(
                f"{path}, row {number}: not an evaluation line ([start - end] utterance emotion [V, A, D]); "
                "restore it from the release"
            )
        start, end, utterance_id, code = match.groups()
        if code not in LABELS + _OTHER_CODES:
            raise CorpusError(
                f"{path}, row {number}, emotion: unknown code {code!r}; "
                f"write one of {', '.join(LABELS + _OTHER_CODES)}"
            )
        span = _span(start, end, path, number)
        if utterance_id.rsplit("_", 1)[0] != path.stem:
            found.append(
                ("utterance_in_foreign_file", f"{path.relative_to(root)}, row {number}", utterance_id)
            )
        _add(ratings, utterance_id, {"span": span, "code": code}, path, number)


def _read_transcript(
    path: Path, root: Path, encoding: str | None, turns: dict[str, dict[str, Any]], found: Found
) -> None:
    for number, line in _lines(path, root, encoding, found):
        where = f"{path.relative_to(root)}, row {number}"
        match = _TURN.match(line)
        if not match:
            start_of_line = line.split(":")[0][:20] + ":" if ":" in line[:21] else "no colon"
            found.append(
                ("not_an_utterance", where, f"no utterance id and times; the line starts {start_of_line!r}")
            )
            continue
        utterance_id, start, end, sentence = match.groups()
        text, repairs = repair(sentence)
        found.extend((kind, where, "characters were repaired") for kind in repairs)
        if not text:
            found.append(("empty_text", where, "the utterance has no text"))
        list_lost(text, where, found)
        _add(turns, utterance_id, {"span": _span(start, end, path, number), "text": text}, path, number)


def _join(
    ratings: dict[str, dict[str, Any]], turns: dict[str, dict[str, Any]], found: Found
) -> list[dict[str, Any]]:
    """One row an evaluated utterance, with the release's code."""
    validation = set(community()["validation"])
    rows = []
    for utterance_id, rating in ratings.items():
        dialogue_id, turn_name = utterance_id.rsplit("_", 1)
        start, end = rating["span"]
        turn = turns.get(utterance_id)
        if turn is None:
            found.append(("evaluated_without_transcript", utterance_id, "kept with an empty text"))
        elif max(abs(start - turn["span"][0]), abs(end - turn["span"][1])) > _SAME_TIME_S:
            detail = "evaluation {:.4f} to {:.4f} s (used), transcript {:.4f} to {:.4f} s"
            found.append(("time_mismatch", utterance_id, detail.format(start, end, *turn["span"])))
        if end <= start:
            found.append(("end_before_start", utterance_id, f"{start:.4f} to {end:.4f} s"))
        test = dialogue_id.startswith("Ses05")
        rows.append(
            {
                "utterance_id": utterance_id,
                "dialogue_id": dialogue_id,
                # Not from the dialogue's name, whose letter is that of the marker wearer.
                "speaker": f"{utterance_id[:5]}_{turn_name[0]}",
                "text": turn["text"] if turn else "",
                "label": rating["code"],
                "split": "test" if test else "val" if dialogue_id in validation else "train",
                "start_s": start,
                "end_s": end,
            }
        )
    for utterance_id in sorted(turns.keys() - ratings.keys()):
        found.append(("transcript_without_evaluation", utterance_id, "left out: nobody evaluated it"))
    return rows


def _relabel(rows: list[dict[str, Any]], sessions: set[str], found: Found) -> None:
    by_id = {row["utterance_id"]: row for row in rows}
    for utterance_id in community()["hap_where_release_says_xxx"]:
        row = by_id.get(utterance_id)
        if row is None:
            if f"Session{int(utterance_id[3:5])}" in sessions:
                detail = "the community's list has it, this copy has not"
                found.append(("community_id_absent", utterance_id, detail))
        elif row["label"] == "xxx":
            row["label"] = "hap"
            found.append(
                ("community_relabelled", utterance_id, "xxx in the release, hap in the community's list")
            )


def _keep(
    rows: list[dict[str, Any]], labels: tuple[str, ...], keep_unlabelled: bool, found: Found
) -> list[dict[str, Any]]:
    outside = Counter(row["label"] for row in rows if row["label"] not in labels)
    fate = "kept as unlabelled context" if keep_unlabelled else "left out"
    for code, count in sorted(outside.items()):
        found.append(("label_outside_classes", code, f"{count} utterances, {fate}"))
    if keep_unlabelled:
        return [{**row, "label": row["label"] if row["label"] in labels else None} for row in rows]
    return [row for row in rows if row["label"] in labels]


def _number_positions(rows: list[dict[str, Any]], found: Found) -> None:
    positions: dict[str, int] = defaultdict(int)
    latest: dict[str, float] = {}
    overlapping = 0
    for row in rows:
        dialogue_id = row["dialogue_id"]
        row["position"] = positions[dialogue_id]
        positions[dialogue_id] += 1
        overlapping += row["start_s"] < latest.get(dialogue_id, row["start_s"])
        latest[dialogue_id] = max(row["end_s"], latest.get(dialogue_id, row["end_s"]))
    if overlapping:
        detail = f"{overlapping} of {len(rows)} utterances start before an earlier one has ended"
        found.append(("overlapping_turns", "all dialogues", detail))


def _attach_media(rows: list[dict[str, Any]], root: Path, sessions: list[Path], found: Found) -> None:
    wavs: dict[str, Path] = {}
    avis: dict[str, Path] = {}
    for session in sessions:
        avi_folder, wav_folder = session / "dialog" / "avi" / "DivX", session / "sentences" / "wav"
        folders = [(avi_folder, avis)]
        if wav_folder.is_dir():
            folders += [(path, wavs) for path in sorted(wav_folder.iterdir()) if path.is_dir()]
        for folder, shelf in folders:
            if folder.is_dir() and not folder.name.startswith("."):
                _count_hidden(folder, root, found)
                suffix = ".avi" if shelf is avis else ".wav"
                shelf.update((p.stem, p) for p in folder.glob("Ses*") if p.suffix.lower() == suffix)
    for row in rows:
        wav, avi = wavs.get(row["utterance_id"]), avis.get(row["dialogue_id"])
        row["wav"] = str(wav) if wav else None
        if wavs and not wav:
            found.append(("missing_wav", row["utterance_id"], "there is no wav of it"))
        if avi:
            wears_markers = row["speaker"][-1] == row["dialogue_id"][5]
            row |= {
                "clip": str(avi),
                "clip_start_s": row["start_s"],
                "clip_end_s": row["end_s"],
                "frame_side": "left" if wears_markers else "right",
            }
    dialogues = dict.fromkeys(row["dialogue_id"] for row in rows)
    if avis:
        found.extend(
            ("missing_avi", name, "there is no video of it") for name in dialogues if name not in avis
        )
    else:
        found.append(("no_avi", str(root), f"no video was found for any of the {len(dialogues)} dialogues"))
    if not wavs:
        found.append(("no_wav", str(root), f"no wav was found for any of the {len(rows)} utterances"))
