"""One modality's vectors from a file, joined to an utterance table."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.published.community import read_pickle
from erc_kedro.corpora.published.limits import refuse_beyond
from erc_kedro.corpora.published.npz import read_npz
from erc_kedro.corpora.published.parquet import read_parquet
from erc_kedro.corpora.published.vectors import CONVERT, Field, Found, align
from erc_kedro.files import sha256


def read(path: Path, utterances: pd.DataFrame, modality: str, field: Field = None) -> pd.DataFrame:
    """Read one modality's published vectors.

    Args:
        path: ``.parquet`` (utterance_id, or dialogue_id and position, beside a ``vector`` list column or
            numeric columns), ``.npz`` (arrays named by utterance ids, or the arrays ``utterance_id`` and
            ``vectors``), or a pickle (see the module).
        utterances: the utterance table to join to.
        modality: text, audio or visual; says which part of a pickle is meant.
        field: the list column of a Parquet file, or its numeric columns by names and patterns (``mfcc*``);
            the array of an npz beside ``utterance_id``; or the element of a pickled tuple or dict. Null for
            the usual one; of a Parquet file without it, all numeric columns.

    Returns:
        a row an utterance, in the table's order: ``utterance_id``, ``vector`` (float32, all of one length;
        zeros where absent), ``present``, ``reason`` (ok, not_in_file, not_finite). Its ``attrs`` say in
        ``part`` what of the file was taken, in ``columns`` the name of each feature, where features have
        names, and in ``left_out`` a table's other columns.

    Raises:
        CorpusError: the file cannot be read, asks for a class that is not allowed or has no such field, its
            vectors differ in length, a dialogue's length differs from the table's, no utterance is in it, or
            a column of numbers is by its name no feature, and was not asked for by this very name.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such file; correct the path of the published {modality} features")
    readers: dict[str, Callable[..., Found]] = {".parquet": read_parquet, ".npz": read_npz}
    suffix = path.suffix.lower()
    if suffix in (".pkl", ".pickle", ".p"):
        readers[suffix] = read_pickle
    if suffix not in readers:
        raise CorpusError(f"{path}: {suffix or 'no suffix'} is not .parquet, .npz or .pkl; {CONVERT}")
    refuse_beyond(path, path.stat().st_size, "has")
    found = readers[suffix](path, utterances, modality, field)
    table = align(path, found.vectors, utterances)
    table.attrs |= {"part": found.part, "columns": [*found.columns], "left_out": [*found.left_out]}
    return table


def fingerprint(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256, which stand for its version."""
    return sha256(path)[:16]
