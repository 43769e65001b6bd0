"""A timeline to write, and what other programs read of what was written."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import pandas as pd
import parselmouth
import pympi
import webvtt
from parselmouth.praat import call

from erc_kedro import schemas

LABELS = ("joy", "anger", "neutral")


def timeline(*rows: dict[str, Any], labels: tuple[str, ...] = LABELS) -> pd.DataFrame:
    """A row an utterance: what the test is about, and of the rest what is usual."""
    made = []
    for at, row in enumerate(rows):
        status = row.get("status", "decided")
        empty = status == "empty"
        emotion = row.get("emotion", labels[0])
        confidence = row.get("confidence", 0.82)
        shares = {label: (1 - confidence) / (len(labels) - 1) for label in labels} | {emotion: confidence}
        made.append(
            {
                "recording": "talk",
                "turn": at,
                "utterance_id": f"talk_{at}",
                "position": at,
                "speaker": row.get("speaker", "Ann"),
                "start_s": row.get("start_s"),
                "end_s": row.get("end_s"),
                "text": row.get("text", "What a day!"),
                "emotion": None if empty else emotion,
                "status": status,
                "confidence": None if empty else confidence,
                "runner_up": None if empty else next(label for label in labels if label != emotion),
                "disagreement": None if empty else 0.2,
                **{f"p_{label}": None if empty else share for label, share in shares.items()},
                "text_reason": "no_text" if empty else "ok",
                "audio_reason": "silent",
                "visual_reason": "not_used",
                "text_distance": None if empty else 0.5,
                "audio_distance": None,
                "visual_distance": None,
                "far_from_training": row.get("far_from_training", ""),
                "label": row.get("label"),
            }
        )
    table = pd.DataFrame(made)
    floats = [name for name in table if re.match("p_|confidence|disagreement|.*_(s|distance)$", name)]
    texts = ["emotion", "runner_up", "label"]
    table = table.astype(dict.fromkeys(floats, "float64") | dict.fromkeys(texts, "str"))
    return schemas.timeline.validate(table)


def facts(labels: tuple[str, ...] = LABELS, **other: Any) -> dict[str, Any]:
    """Of the recording ``talk``, scored by ``meld/full``."""
    made = {"recording": "talk", "media": None, "language": "en", "seconds": 60.0, "notes": []}
    return made | {"model": {"name": "meld/full", "labels": list(labels)}} | other


class Seen(NamedTuple):
    """An utterance as another program has it; ``said`` is all that it shows for it."""

    start: int
    end: int
    speaker: str
    said: str


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def by_webvtt(folder: Path) -> list[Seen]:
    return [
        Seen(_ms(cue.start_time), _ms(cue.end_time), html.unescape(cue.voice), html.unescape(cue.text))
        for cue in webvtt.read(folder / "timeline.vtt", strict=True)
    ]


def by_webvtt_of_srt(folder: Path) -> list[Seen]:
    return [
        Seen(_ms(cue.start_time), _ms(cue.end_time), *cue.text.split(": ", 1))
        for cue in webvtt.from_srt(folder / "timeline.srt")
    ]


def _ms(time: Any) -> int:
    return time.in_milliseconds()


def by_ffmpeg(folder: Path, suffix: str) -> list[tuple[int, int, str]]:
    """Cues as ffmpeg hands them to a player: start, end, payload."""
    found = []
    with av.open(str(folder / f"timeline.{suffix}")) as container:
        for packet in container.demux(subtitles=0):
            if packet.size:
                base = packet.time_base * 1000
                end = packet.pts + packet.duration
                found.append((int(packet.pts * base), int(end * base), bytes(packet).decode()))
    return found


def by_praat(folder: Path) -> dict[str, list[tuple[int, int, str]]]:
    """All intervals of each tier of a TextGrid, as Praat itself reads it."""
    grid = parselmouth.read(str(folder / "timeline.TextGrid"))
    tiers = {}
    for tier in range(1, call(grid, "Get number of tiers") + 1):
        assert call(grid, "Is interval tier", tier)
        name = call(grid, "Get tier name", tier)
        assert name not in tiers
        tiers[name] = [
            (
                milliseconds(call(grid, "Get start time of interval", tier, at)),
                milliseconds(call(grid, "Get end time of interval", tier, at)),
                call(grid, "Get label of interval", tier, at),
            )
            for at in range(1, call(grid, "Get number of intervals", tier) + 1)
        ]
    return tiers


def by_pympi(folder: Path) -> pympi.Eaf:
    return pympi.Eaf(str(folder / "timeline.eaf"))


def _utterances_of_textgrid(folder: Path) -> list[Seen]:
    return sorted(
        Seen(start, end, name, text)
        for name, intervals in by_praat(folder).items()
        if not name.startswith(("emotion@", "confidence@", "label@"))
        for start, end, text in intervals
        if text
    )


def _utterances_of_eaf(folder: Path) -> list[Seen]:
    read = by_pympi(folder)
    return sorted(
        Seen(start, end, attributes["PARTICIPANT"], text)
        for name, (_, _, attributes, _) in read.tiers.items()
        if "PARENT_REF" not in attributes
        for start, end, text, *_ in read.get_annotation_data_for_tier(name)
    )


def _utterances_of_rttm(folder: Path) -> list[Seen]:
    found = []
    for row in (folder / "timeline.rttm").read_text("utf-8").splitlines():
        kind, _, channel, start, duration, *_, name, _, _ = row.split(" ")
        assert (kind, channel) == ("SPEAKER", "1")
        first = milliseconds(float(start))
        found.append(Seen(first, first + milliseconds(float(duration)), name, ""))
    return found


def _utterances_of_json(folder: Path) -> list[Seen]:
    return [
        Seen(milliseconds(row["start"]), milliseconds(row["end"]), row["speaker"], row["text"])
        for row in json.loads((folder / "timeline.json").read_bytes())["segments"]
    ]


def _utterances_of_csv(folder: Path) -> list[Seen]:
    table = pd.read_csv(folder / "timeline.csv", keep_default_na=False)
    return [
        Seen(milliseconds(row.start_s), milliseconds(row.end_s), row.speaker, row.text)
        for row in table.itertuples()
    ]


# The utterances of each format, in order of time.
READERS: dict[str, Callable[[Path], list[Seen]]] = {
    "vtt": by_webvtt,
    "srt": by_webvtt_of_srt,
    "TextGrid": _utterances_of_textgrid,
    "eaf": _utterances_of_eaf,
    "rttm": _utterances_of_rttm,
    "json": _utterances_of_json,
    "csv": _utterances_of_csv,
}
