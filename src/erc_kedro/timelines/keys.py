"""What decides a recording's results, so that what is scored is not scored again."""

import hashlib
import os
from pathlib import Path

import pandas as pd

from erc_kedro import sources
from erc_kedro.parameters import ScoreParameters
from erc_kedro.recordings import Source
from erc_kedro.scoring import Model


def key_of(source: Source, model: Model, parameters: ScoreParameters) -> str:
    """A hash of all that decides a recording's results; files count by their place, size and time."""
    files = [source.media, source.transcript, source.rttm]
    rows = ""
    if source.rows is not None:
        rows = source.rows.to_json(orient="split")
        files += map(Path, media_of(source.rows))
    if isinstance(parameters.labels, str):
        files.append(Path(parameters.labels))
    parts = [
        model.card.digest,
        parameters.model_dump_json(exclude={"runner", "allow"}),
        rows,
        *(f"{path} {_status(path)}" for path in files if path is not None),
        repr((source.notes, source.others)),
        sources.version("scoring/*.py", "timelines/**/*.py", "recordings/**/*.py"),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def media_of(utterances: pd.DataFrame) -> list[str]:
    """The files of utterances, each once."""
    return sorted({*utterances["clip"].dropna(), *utterances["wav"].dropna()})


def _status(path: Path) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return "absent"
    return f"{found.st_size} {found.st_mtime_ns}"
