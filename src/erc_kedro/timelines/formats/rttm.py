"""RTTM: who speaks when, for tools of diarization."""

import re
from typing import Any

from erc_kedro.sentences import unused_name
from erc_kedro.timelines.formats.spans import Span


def rttm(spans: list[Span], facts: dict[str, Any]) -> str:
    """A SPEAKER line an utterance, of NIST's ten fields; names have underscores for spaces, and stay apart.

    Source: NIST, The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan, appendix A.
    """
    names: dict[str, str] = {}
    for span in spans:
        if span.speaker not in names:
            names[span.speaker] = unused_name(_word(span.speaker), names.values())
    recording = _word(facts["recording"])
    return "".join(
        f"SPEAKER {recording} 1 {span.start / 1000:.3f} {(span.end - span.start) / 1000:.3f}"
        f" <NA> <NA> {names[span.speaker]} <NA> <NA>\n"
        for span in spans
    )


def _word(text: str) -> str:
    return re.sub(r"\s", "_", text)
