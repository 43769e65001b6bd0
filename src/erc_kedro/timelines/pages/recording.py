"""A recording's page: the player, who felt what when, the transcript, and what was not heard or seen."""

import hashlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from erc_kedro.escaping import csv_text, line, visible
from erc_kedro.evaluation.metrics import class_names
from erc_kedro.recordings.remarks import MEANINGS
from erc_kedro.schemas import MODALITIES
from erc_kedro.timelines.pages import summaries
from erc_kedro.timelines.pages.look import LONGEST, clock, looks, percent
from erc_kedro.timelines.pages.page import address, inline, model_facts, parts, template

_SCRIPTS = ("start.js", "lanes.js", "transcript.js", "corrections.js")
# Lanes that are drawn; whoever speaks least shares the last one.
MOST_LANES = 24
_FACTS = (
    *("recording", "media", "transcript", "format", "language", "seconds", "sample_rate", "video", "model"),
    *("accuracy", "threshold", "answered", "scaling", "scores", "remarks", "notes"),
)
_SCORES = {
    "accuracy": "accuracy",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "uar": "UAR",
    "ece": "ECE",
    "accuracy_of_decided": "accuracy of the decided ones",
}


def recording_page(timeline: pd.DataFrame, facts: Mapping[str, Any], folder: Path) -> str:
    """The page as HTML, with style, script and data inside it.

    Args:
        timeline: ``schemas.timeline``, in order.
        facts: of the recording, the model and the counts, as scoring makes them; all can be written as JSON.
        folder: where the page will lie; it names the media file by its path from there.
    """
    timeline = timeline.reset_index(drop=True)
    facts = {**dict.fromkeys(_FACTS), **facts}
    labels = class_names(timeline)
    shown = [
        {"name": line(label, LONGEST), **look} for label, look in zip(labels, looks(labels), strict=True)
    ]
    look_of = dict(zip(labels, shown, strict=True))
    timed = summaries.is_timed(timeline)
    media = facts["media"]
    return template("recording.html.jinja").render(
        **parts(_SCRIPTS),
        facts=facts,
        model=model_facts(facts),
        notes=facts["notes"] or [],
        remarks=[
            {"count": None, "detail": "", **remark, "meaning": MEANINGS.get(remark["kind"], "")}
            for remark in facts["remarks"] or []
        ],
        scores=[
            (name, facts["scores"][key]) for key, name in _SCORES.items() if key in (facts["scores"] or {})
        ],
        counts={**summaries.counts(timeline), "speakers": timeline["speaker"].nunique()},
        length=facts["seconds"] or (float(timeline["end_s"].max()) if timed else None),
        language=facts["language"],
        timed=timed,
        media={"src": address(media, folder), "name": Path(media).name, "video": bool(facts["video"])}
        if media
        else None,
        labels=shown,
        rows=_rows(timeline, look_of, facts),
        speaking=_speaking(timeline, look_of),
        changes=_changes(timeline, look_of),
        missed=[{**one, "reason": summaries.reason(one["reason"])} for one in summaries.missed(timeline)],
        far=summaries.far(timeline),
        disagreement=timeline["disagreement"].mean(),
        amount=clock if timed else lambda value: f"{value:g}",
        moment=_moments(timeline).__getitem__,
        clock=clock,
        percent=percent,
        data=inline(_data(timeline, labels, shown, facts, timed)),
    )


def _name(speaker: str) -> str:
    return line(speaker, LONGEST)


def _text(text: str) -> str:
    """What is said, as the transcript shows it: whole, with its line ends."""
    return visible(re.sub(r"\r\n?", "\n", text))


def _moments(timeline: pd.DataFrame) -> list[str]:
    """Where utterances are: their times, else their numbers."""
    return [
        str(position + 1) if math.isnan(start) else clock(start)
        for position, start in zip(timeline["position"], timeline["start_s"], strict=True)
    ]


def _rows(
    timeline: pd.DataFrame, look_of: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The transcript's rows as the template prints them."""
    seeds = model_facts(facts)["seeds"]
    # What is so of every utterance is said once, below.
    once = {name: {"ok", "not_used"} for name in MODALITIES}
    for name in MODALITIES:
        if timeline[f"{name}_reason"].nunique() == 1:
            once[name].add(str(timeline[f"{name}_reason"].iloc[0]))
    made, moments = [], _moments(timeline)
    for number, row in enumerate(timeline.to_dict("records")):
        emotion, label = row["emotion"], row["label"]
        notes = []
        if row["status"] != "empty":
            if isinstance(row["runner_up"], str):
                share = row.get(f"p_{row['runner_up']}")
                notes.append(f"or {line(row['runner_up'], LONGEST)} {percent(share)}")
            if row["disagreement"] > 0:
                notes.append(_differing(row["disagreement"], seeds))
        for name in MODALITIES:
            if row[f"{name}_reason"] not in once[name]:
                notes.append(f"{name}: {summaries.reason(row[f'{name}_reason'])}")
        if row["far_from_training"]:
            notes.append(f"unlike training: {row['far_from_training']}")
        if isinstance(label, str):
            agrees = "as annotated" if label == emotion else f"annotated as {line(label, LONGEST)}"
            notes.append(agrees)
        made.append(
            {
                "moment": moments[number],
                "speaker": _name(row["speaker"]),
                "text": _text(row["text"]),
                "status": row["status"],
                "look": look_of.get(emotion) if row["status"] != "empty" else None,
                "confidence": percent(row["confidence"]),
                "notes": notes,
            }
        )
    return made


def _differing(share: float, seeds: int | None) -> str:
    if not seeds:
        return f"{percent(share)} of the seeds differ"
    return f"{round(share * seeds)} of {seeds} seeds differ"


def _speaking(timeline: pd.DataFrame, look_of: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Speakers with the cells of their row, and the parts of their bar as shares of their own total."""
    made = []
    for one in summaries.speaking(timeline):
        total = one["total"] or 1.0
        parts_of_bar = [
            {"look": look_of[label], "unsure": status == "unsure", "share": one[status][label] / total}
            for status in ("decided", "unsure")
            for label in look_of
            if one[status][label]
        ]
        cells = [{"decided": one["decided"][label], "unsure": one["unsure"][label]} for label in look_of]
        name = _name(one["speaker"])
        made.append(
            {**one, "speaker": name, "cells": cells, "bar": parts_of_bar, "nothing": one["empty"] / total}
        )
    return made


def _changes(timeline: pd.DataFrame, look_of: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **change,
            "speaker": _name(change["speaker"]),
            "before": look_of[change["before"]],
            "after": look_of[change["after"]],
            "text": line(timeline.at[change["row"], "text"], 160),
        }
        for change in summaries.changes(timeline)
    ]


def _data(
    timeline: pd.DataFrame,
    labels: Sequence[str],
    shown: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    timed: bool,
) -> dict[str, Any]:
    """What the script draws; the texts are in the transcript. A null is a gap, and stays one.

    Returns:
        by column, a value an utterance: ``position``, ``start``, ``end`` (s), ``lane`` (of ``lanes``),
        ``emotion`` (of ``labels``, -1: none), ``unsure``, ``far`` (0 or 1), ``differ`` (whether seeds do),
        ``p`` (by label, null where there is none); and ``key``, under which corrections are kept: another
        transcript has another.
    """
    names = pd.Index(labels)
    spoken = timeline["speaker"].value_counts()
    lanes = list(dict.fromkeys(timeline["speaker"]))
    if len(lanes) > MOST_LANES:
        lanes = [name for name in lanes if name in set(spoken.index[: MOST_LANES - 1])]
    lane = pd.Index(lanes).get_indexer(pd.Index(timeline["speaker"]))
    others = ["others"] if (lane < 0).any() else []
    said = timeline[["utterance_id", "speaker", "text"]].to_json(orient="values")
    model = str(model_facts(facts)["name"])
    return {
        "name": str(facts["recording"] or ""),
        "key": hashlib.sha256(json.dumps([model, labels, said]).encode()).hexdigest()[:24],
        "timed": timed,
        "seconds": facts["seconds"],
        "labels": list(shown),
        "lanes": [_name(name) for name in lanes] + others,
        "position": timeline["position"].tolist(),
        "start": _numbers(timeline["start_s"], 3),
        "end": _numbers(timeline["end_s"], 3),
        "lane": [int(at) if at >= 0 else len(lanes) for at in lane],
        "emotion": names.get_indexer(pd.Index(timeline["emotion"].astype(object))).tolist(),
        "unsure": (timeline["status"] == "unsure").astype(int).tolist(),
        "far": (timeline["far_from_training"] != "").astype(int).tolist(),
        "differ": (timeline["disagreement"].fillna(0) > 0).astype(int).tolist(),
        "p": [_numbers(timeline[f"p_{label}"], 3) for label in labels],
        "manifest": _manifest(timeline, labels, facts),
    }


def _numbers(column: pd.Series, digits: int) -> list[float | None]:
    return [None if pd.isna(value) else round(float(value), digits) for value in column]


def _manifest(timeline: pd.DataFrame, labels: Sequence[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Cells of the manifest that corrections are saved as, defused where they would be formulas.

    Returns:
        ``dialogue_id`` and ``clip``; ``labels`` in order; by row number ``annotated``, the transcript's own
        labels, and ``speaker`` and ``text`` where the cells differ from what the page shows.
    """
    once = _defused([str(facts["recording"] or ""), str(facts["media"] or ""), *labels])
    made: dict[str, Any] = {"dialogue_id": once[0], "clip": once[1], "labels": once[2:]}
    annotated = timeline["label"].dropna()
    made["annotated"] = {
        str(row): cell for row, cell in zip(annotated.index, _defused(annotated), strict=True)
    }
    for column, shown in (("speaker", _name), ("text", _text)):
        made[column] = {
            str(row): cell
            for row, (cell, value) in enumerate(
                zip(_defused(timeline[column]), timeline[column], strict=True)
            )
            if cell != shown(value)
        }
    return made


def _defused(values: Sequence[str] | pd.Series) -> list[str]:
    """The values as ``csv_text`` writes them."""
    table = pd.DataFrame({"row": range(len(values)), "cell": list(values)}, dtype=object)
    read = pd.read_csv(io.StringIO(csv_text(table)), dtype=str, keep_default_na=False)
    return read["cell"].tolist()
