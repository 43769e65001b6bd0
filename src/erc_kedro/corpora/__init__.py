"""Readers that turn a corpus's release layout into the utterance table; one module a reader."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from erc_kedro.errors import PlainError

UTTERANCE_COLUMNS = [
    "utterance_id",
    "dialogue_id",
    "position",
    "speaker",
    "text",
    "label",
    "split",
    "start_s",
    "end_s",
    "clip",
    "clip_start_s",
    "clip_end_s",
    "wav",
    "frame_side",
]


class CorpusError(PlainError, ValueError):
    """A corpus that cannot be read as it is; the message names the file, the row and how to fix it."""


@dataclass(frozen=True)
class Corpus:
    """What a reader returns.

    Attributes:
        utterances: the utterance table (``schemas.utterances``), in dialogue order.
        labels: the closed set of labels, in the order of probability columns.
        irregularities: one row each of what is odd in the release, with columns
            ``kind`` (a short snake_case name), ``where`` (file and row, or utterance id), ``detail``.
        facts: what a report must say of the corpus: ``name``, ``protocol``, ``synthetic``, ``raw``,
            ``notes`` (sentences), …
        recordings: utterance id to the recording on whose clock its times are, such as an episode of which
            several dialogues are; empty where a dialogue's times are its own, or its clip's.
        groupings: what folds may be made by: a column's name to utterance id to value, such as ``session``;
            utterances whose cell is empty are not in it.
    """

    utterances: pd.DataFrame
    labels: tuple[str, ...]
    irregularities: pd.DataFrame
    facts: dict[str, Any] = field(default_factory=dict)
    recordings: dict[str, str] = field(default_factory=dict)
    groupings: dict[str, dict[str, str]] = field(default_factory=dict)
