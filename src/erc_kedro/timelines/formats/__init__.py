"""A timeline in each format: what its file holds, which ``timelines.write`` writes."""

from pathlib import Path
from typing import Any

import pandas as pd

from erc_kedro.timelines.formats.eaf import eaf
from erc_kedro.timelines.formats.rttm import rttm
from erc_kedro.timelines.formats.spans import spans_of
from erc_kedro.timelines.formats.subtitles import srt, vtt
from erc_kedro.timelines.formats.tables import csv, json, parquet
from erc_kedro.timelines.formats.textgrid import textgrid


def contents(timeline: pd.DataFrame, facts: dict[str, Any], folder: Path) -> dict[str, bytes | None]:
    """What the file of each format holds, by the ending of its name; None where that needs times."""
    made: dict[str, bytes | None] = {
        "parquet": parquet(timeline),
        "csv": csv(timeline),
        "json": json(timeline, facts),
    }
    spans = spans_of(timeline)
    timed = {
        "vtt": lambda: vtt(spans, facts),
        "srt": lambda: srt(spans),
        "TextGrid": lambda: textgrid(spans, facts),
        "eaf": lambda: eaf(spans, facts, folder),
        "rttm": lambda: rttm(spans, facts),
    }
    return made | {suffix: content().encode() if spans else None for suffix, content in timed.items()}
