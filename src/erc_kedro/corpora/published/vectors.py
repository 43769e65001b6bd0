"""Vectors as a file has them, and as a table of features needs them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from erc_kedro.corpora import CorpusError

CONVERT = "convert it to Parquet with the columns utterance_id and vector"
# Columns that a message names.
MOST_NAMES = 20
LONGEST_NAME = 100
Vectors = dict[str, Any]
Field = str | int | Sequence[str] | None


class Found(NamedTuple):
    """Vectors by utterance id; what part of the file they are; and of a table's columns, the names."""

    vectors: Vectors
    part: str
    columns: Sequence[str] = ()
    left_out: Sequence[str] = ()


def align(path: Path, vectors: Vectors, utterances: pd.DataFrame) -> pd.DataFrame:
    """A row an utterance, in the table's order; zeros where a vector is absent or not finite."""
    ids = utterances["utterance_id"].tolist()
    joined = {name: _vector(path, name, vectors[name]) for name in ids if vectors.get(name) is not None}
    if not joined:
        example = ", ".join(map(shortened, list(vectors)[:3]))
        raise CorpusError(
            f"{path}: none of the {len(ids)} utterances is in it; it has {example or 'nothing'}, "
            f"the corpus has {ids[0]!r}. Name the file that belongs to this corpus"
        )
    lengths = {name: len(vector) for name, vector in joined.items()}
    length = next(iter(lengths.values()))
    odd = next((name for name in lengths if lengths[name] != length), None)
    if odd is not None:
        raise CorpusError(
            f"{path}: {next(iter(lengths))} has {length} values and {odd} {lengths[odd]}; "
            "all vectors of a modality have one length, write the file again"
        )
    nothing = np.zeros(length, np.float32)
    finite = {name: bool(np.isfinite(vector).all()) for name, vector in joined.items()}
    reasons = {True: "ok", False: "not_finite", None: "not_in_file"}
    return pd.DataFrame(
        {
            "utterance_id": utterances["utterance_id"].to_numpy(),
            "vector": [joined[name] if finite.get(name) else nothing for name in ids],
            "present": [finite.get(name, False) for name in ids],
            "reason": [reasons[finite.get(name)] for name in ids],
        }
    ).astype({"utterance_id": "str", "reason": "str"})


def _vector(path: Path, name: str, value: Any) -> np.ndarray:
    try:
        # A float64 beyond float32 becomes infinite here, and counts as not finite.
        with np.errstate(over="ignore"):
            vector = np.atleast_1d(np.asarray(value, dtype=np.float32).squeeze())
    except (TypeError, ValueError, OverflowError) as error:
        raise CorpusError(f"{path}: {name} is not a vector of numbers ({error}); {CONVERT}") from error
    if vector.ndim != 1:
        raise CorpusError(
            f"{path}: {name} has shape {vector.shape}, not one vector an utterance; pool it over time first"
        )
    return vector


def each_once(path: Path, names: list[str]) -> list[str]:
    """The same names, of which none may be there twice."""
    if len(set(names)) < len(names):
        twice = pd.Series(names)[pd.Series(names).duplicated()].iloc[0]
        raise CorpusError(f"{path}: {twice} is there twice; keep one row an utterance")
    return names


def shortened(key: Any) -> str:
    """A name that a file gives, for a message."""
    return repr(key if not isinstance(key, str | bytes) else key[:LONGEST_NAME])
