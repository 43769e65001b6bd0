"""A small corpus and its features, as readers and extractors make them."""

from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.corpora.tables import irregularity_table, utterance_table

DESCRIPTION = {"name": "Talk", "protocol": "own", "synthetic": False, "notes": ["A note."]}
NOTHING = irregularity_table([])


def corpus(**changes: dict[int, Any]) -> pd.DataFrame:
    """Six dialogues of two turns, two a split, labels glad and calm in each; changes: column to row to
    value."""
    rows = [
        {
            "utterance_id": f"d{dialogue}_{turn}",
            "dialogue_id": f"d{dialogue}",
            "position": turn,
            "speaker": "ann" if turn else f"guest {dialogue}",
            "text": f"Sentence {dialogue} {turn}.",
            "label": ("glad", "calm")[turn],
            "split": ("train", "val", "test")[dialogue // 2],
        }
        for dialogue in range(6)
        for turn in (0, 1)
    ]
    for column, values in changes.items():
        for row, value in values.items():
            rows[row][column] = value
    return utterance_table(rows)


def long_corpus(labels: list[str | None]) -> pd.DataFrame:
    """Dialogues of ten turns with these labels; of ten dialogues seven are train, one val, two test."""
    rows = [
        {
            "utterance_id": f"u{number}",
            "dialogue_id": f"d{number // 10}",
            "position": number % 10,
            "speaker": "ann",
            "text": f"Sentence {number}.",
            "label": label,
            "split": (*["train"] * 7, "val", "test", "test")[number // 10 % 10],
        }
        for number, label in enumerate(labels)
    ]
    return utterance_table(rows)


def features(table: pd.DataFrame, matrix: np.ndarray, absent: tuple[int, ...] = ()) -> pd.DataFrame:
    present = ~np.isin(np.arange(len(table)), absent)
    return pd.DataFrame(
        {
            "utterance_id": table["utterance_id"],
            "vector": list(matrix.astype(np.float32)),
            "present": present,
            "reason": np.where(present, "ok", "no_media"),
        }
    )
