"""The timeline as tables that programs read: parquet, CSV, and whisperX's JSON."""

import json as jsonlib
from typing import Any

import pandas as pd

from erc_kedro.escaping import csv_text
from erc_kedro.schemas import MODALITIES


def parquet(timeline: pd.DataFrame) -> bytes:
    """The timeline as it is."""
    return timeline.to_parquet(index=False)


def csv(timeline: pd.DataFrame) -> bytes:
    """The timeline for spreadsheets: UTF-8, which Excel takes it for by its byte-order mark, six decimals."""
    return csv_text(timeline.round(6)).encode("utf-8-sig")


def json(timeline: pd.DataFrame, facts: dict[str, Any]) -> bytes:
    """Segments as whisperX writes them, each with what the timeline says of it; beside them the facts."""
    segments = [_segment(row) for row in timeline.to_dict("records")]
    made = {**facts, "language": facts.get("language"), "segments": segments}
    text = jsonlib.dumps(made, ensure_ascii=False, allow_nan=False, indent=1)
    # A file name may hold what is no character; escaped, it is found again.
    return text.encode("utf-8", "backslashreplace")


def _segment(row: dict[Any, Any]) -> dict[str, Any]:
    row = {name: None if pd.isna(value) else value for name, value in row.items()}
    return {
        "start": row["start_s"],
        "end": row["end_s"],
        "text": row["text"],
        "speaker": row["speaker"],
        **{name: row[name] for name in ("utterance_id", "turn", "emotion", "status", "confidence")},
        **{name: row[name] for name in ("runner_up", "disagreement")},
        "probabilities": {name[2:]: value for name, value in row.items() if name.startswith("p_")},
        "reasons": {modality: row[f"{modality}_reason"] for modality in MODALITIES},
        "distances": {modality: row[f"{modality}_distance"] for modality in MODALITIES},
        "far_from_training": [name for name in row["far_from_training"].split(", ") if name],
        "label": row["label"],
    }
