"""Vectors that a file names by dialogue and position alone."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.published.vectors import LONGEST_NAME, Vectors

_MELD_OFFSETS = {"train": 0, "dev": 1039, "test": 1153}
_MELD_DIALOGUE = re.compile(r"(train|dev|test)_dia(\d+)")


def by_position(
    path: Path, dialogues: Mapping[Any, Any], utterances: pd.DataFrame, orders: Mapping[str, str]
) -> Vectors:
    """Vectors by utterance id, of dialogues whose values come in the order of their utterances.

    Args:
        orders: dialogue to the last parts of its utterance ids, where a file has an order of its own.
    """
    by_name = {str(key): values for key, values in dialogues.items()}
    vectors: Vectors = {}
    table = utterances.sort_values(["dialogue_id", "position"])
    for dialogue_id, ids in table.groupby("dialogue_id")["utterance_id"]:
        key = _dialogue_key(str(dialogue_id), by_name)
        if key is None:
            continue
        names = ids.tolist()
        order = orders.get(str(dialogue_id), "").split()
        if len(order) == len(by_name[key]):
            names = [f"{dialogue_id}_{turn}" for turn in order]
        refuse_other_length(path, dialogue_id, len(by_name[key]), len(names), "the corpus")
        vectors.update(zip(names, by_name[key], strict=True))
    return vectors


def _dialogue_key(dialogue_id: str, keys: Mapping[str, Any]) -> str | None:
    """The key under which a file has a dialogue: its name, or MELD's running number."""
    if dialogue_id in keys:
        return dialogue_id
    match = _MELD_DIALOGUE.fullmatch(dialogue_id)
    number = str(_MELD_OFFSETS[match[1]] + int(match[2])) if match else ""
    return number if number in keys else None


def refuse_other_length(path: Path, dialogue: Any, there: int, here: int, whose: str) -> None:
    """Refuse to join a dialogue by position if it has more or fewer utterances in one of two places."""
    if there != here:
        raise CorpusError(
            f"{path}: dialogue {str(dialogue)[:LONGEST_NAME]} has {there} utterances in it and {here} in "
            f"{whose}; a join by position would mix them up. Use the protocol the file was "
            "made for, or a file with utterance ids"
        )
