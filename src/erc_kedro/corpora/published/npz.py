"""Vectors of an npz file of NumPy."""

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from erc_kedro.corpora import CorpusError, pickles
from erc_kedro.corpora.published.limits import refuse_beyond
from erc_kedro.corpora.published.vectors import CONVERT, MOST_NAMES, Field, Found, each_once
from erc_kedro.sentences import few

_MOST_ARRAYS = 200_000
_LONGEST_HEADER = 10_000
_HEADER = re.compile(
    r"\{'descr': '([<>=|]\w+)', 'fortran_order': (True|False), 'shape': \(((?:\d{1,12}L?,? ?){0,9})\), ?\}\s*"
)


def read_npz(path: Path, utterances: pd.DataFrame, modality: str, field: Field) -> Found:
    del modality  # an npz names its utterances
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(path, archive)
            if "utterance_id" not in members:
                wanted = set(utterances["utterance_id"])
                # Of the others, only the names are needed.
                vectors = {
                    name: _member(archive, member) if name in wanted else None
                    for name, member in members.items()
                }
                return Found(vectors, "arrays named by utterances")
            column = "vectors" if field is None else str(field)
            if column not in members:
                raise CorpusError(f"{path}: no array {column!r}; it has {few(members, MOST_NAMES)}")
            names = _member(archive, members["utterance_id"]).astype(str).tolist()
            values = _member(archive, members[column])
    except (
        OSError,
        EOFError,
        ValueError,
        pickles.BrokenError,
        pickles.ForbiddenError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if isinstance(error, CorpusError):
            raise
        raise CorpusError(
            f"{path}: cannot be read as an npz of plain arrays ({error}); write it with np.savez "
            "from arrays of numbers and strings"
        ) from error
    if not isinstance(names, list) or values.ndim < 1 or len(names) != len(values):
        raise CorpusError(
            f"{path}: utterance ids of the shape {np.shape(names)} and vectors of {values.shape}; write the "
            "file again with one vector an id"
        )
    vectors = dict(zip(each_once(path, names), values, strict=True))
    left_out = [name for name in members if name not in ("utterance_id", column)]
    return Found(vectors, f"the array {column}", (), left_out)


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """An archive's arrays by their names, which are names only and no paths."""
    members = archive.infolist()
    refuse_beyond(path, sum(member.file_size for member in members))
    if len(members) > _MOST_ARRAYS:
        raise CorpusError(
            f"{path}: it has {len(members):,} arrays, and {_MOST_ARRAYS:,} are allowed; {CONVERT}"
        )
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename!r} is packed in a way that NumPy does not write")
    each_once(path, [member.filename for member in members])
    return {member.filename.removesuffix(".npy"): member for member in members}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array, of exactly as many bytes as follow its header."""
    with archive.open(member) as file:
        magic = file.read(8)
        length = int.from_bytes(file.read(2 if magic[6:7] == b"\x01" else 4), "little")
        header = _HEADER.fullmatch(file.read(min(length, _LONGEST_HEADER)).decode("latin1"))
        if not magic.startswith(b"\x93NUMPY") or header is None:
            raise ValueError(f"{member.filename!r} is not an array of numbers or text")
        data = file.read()
    shape = [int(number) for number in re.findall(r"\d+", header[3])]
    return pickles.array(header[1], shape, data, "F" if header[2] == "True" else "C")
