"""Who felt what when in a recording, in the files that people's tools read, and on pages."""

from pathlib import Path
from typing import Any

import pandas as pd

from erc_kedro.files import replacing
from erc_kedro.timelines.formats import contents


def write(timeline: pd.DataFrame, facts: dict[str, Any], folder: Path) -> list[Path]:
    """Write a timeline as parquet, CSV, JSON, WebVTT, SRT, TextGrid, EAF and RTTM: ``timeline.parquet``, …

    Where the transcript has no times, only the first three are written, and what an earlier run left of the
    others is removed.

    Args:
        timeline: as ``schemas.timeline``.
        facts: what is known of the recording and of the model, as JSON may hold it; read of it are
            ``recording``, ``media``, ``seconds``, ``notes``, and the model's ``name`` and ``labels``.
        folder: where the files go; made if it is not there.

    Returns:
        the files' paths.

    Raises:
        PlainError: there is no space, or no permission.
    """
    written = []
    for suffix, content in contents(timeline, facts, folder).items():
        path = folder / f"timeline.{suffix}"
        if content is None:
            path.unlink(missing_ok=True)
            continue
        with replacing(path) as beside:
            beside.write_bytes(content)
        written.append(path)
    return written
