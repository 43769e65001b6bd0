"""Folds: each dialogue is tested once, and what is chosen, other dialogues choose."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

# A tenth of the folds validate, and one at least: of many small ones, a single one chooses badly.
_FOLDS_PER_VALIDATION = 10


@dataclass(frozen=True)
class View:
    """A corpus as one fold's models see it.

    Attributes:
        name: of the fold that is test; empty where the splits are fixed.
        utterances: ``schemas.utterances``, whose ``split`` is this fold's.
    """

    name: str
    utterances: pd.DataFrame

    @property
    def folder(self) -> str:
        """Where this fold's models lie below the experiment's folder; in that where there is one view."""
        return folder_of(self.name)


def folder_of(name: str) -> str:
    """The folder of what is one fold's, beside those of the others; the one above where there are none."""
    return f"fold_{name}" if name else "."


def name_of(folder: str) -> str:
    """The fold whose folder it is."""
    return folder.removeprefix("fold_")


def is_folded(utterances: pd.DataFrame) -> bool:
    """Whether every dialogue is tested, by models that have not seen its fold."""
    return "fold" in utterances and bool(utterances["fold"].notna().any())


def views(utterances: pd.DataFrame) -> list[View]:
    """One view a fold: it is test, the next in order validation, and the rest training.

    Of 15 folds or more, the next tenth of them validate. Dialogues without a fold train in every view. Where
    splits are fixed, the only view is the table as it is.

    Args:
        utterances: ``schemas.utterances``.
    """
    if not is_folded(utterances):
        return [View("", utterances)]
    names = sorted(utterances["fold"].dropna().unique(), key=_natural)
    choosing = max(1, round(len(names) / _FOLDS_PER_VALIDATION))
    found = []
    for at, name in enumerate(names):
        role = {name: "test"}
        role |= {names[(at + step) % len(names)]: "val" for step in range(1, choosing + 1)}
        split = utterances["fold"].map(role).fillna("train").astype("str")
        found.append(View(str(name), utterances.assign(split=split)))
    return found


def of_view(table: pd.DataFrame, view: View) -> pd.DataFrame:
    """The rows of a table of features that a fold's models read: all, where nothing was fitted by fold.

    Args:
        table: ``schemas.features``.
    """
    if "fold" not in table:
        return table
    return table[table["fold"] == view.name].drop(columns="fold").reset_index(drop=True)


def pooled(utterances: pd.DataFrame) -> pd.DataFrame:
    """The table as pooled predictions see it: whatever has a fold is test."""
    if not is_folded(utterances):
        return utterances
    split = utterances["fold"].notna().map({True: "test", False: "train"}).astype("str")
    return utterances.assign(split=split)


def pooled_rows(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of what the models of each fold say of its test and validation; of one part, that part.

    An utterance that validates in several folds is in it once, as the first of them has it.

    Args:
        parts: tables with the columns utterance_id and split, and head where there are several.
    """
    if len(parts) == 1:
        return parts[0]
    rows = pd.concat([part[part["split"] == split] for split in ("test", "val") for part in parts])
    keys = [name for name in ("seed", "head", "utterance_id", "split") if name in rows]
    return rows.drop_duplicates(keys).reset_index(drop=True)


def _natural(name: str) -> list[tuple[int, str]]:
    """So that fold 10 comes after fold 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
