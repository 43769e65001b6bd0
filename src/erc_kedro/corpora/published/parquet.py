"""Vectors of a Parquet file."""

import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from pyarrow import types

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.published.columns import chosen_columns, is_number, within
from erc_kedro.corpora.published.limits import refuse_beyond
from erc_kedro.corpora.published.positions import by_position
from erc_kedro.corpora.published.vectors import CONVERT, MOST_NAMES, Field, Found, each_once
from erc_kedro.sentences import few

_LONGEST_ID = 1000
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 8}


def read_parquet(path: Path, utterances: pd.DataFrame, modality: str, field: Field) -> Found:
    try:
        return _of_parquet(path, utterances, modality, field)
    except (CorpusError, MemoryError):
        raise
    except Exception as error:  # a broken footer can fail in any way
        raise CorpusError(f"{path}: cannot be read as Parquet ({error}); fetch it again") from error


def _of_parquet(path: Path, utterances: pd.DataFrame, modality: str, field: Field) -> Found:
    with pyarrow.parquet.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
    refuse_beyond(path, _declared(schema, metadata))
    if len(set(schema.names)) < len(schema.names):
        raise CorpusError(f"{path}: two of its columns have one name; {few(schema.names, MOST_NAMES)}")
    unnamed = {str(name) for name in (schema.pandas_metadata or {}).get("index_columns", [])}
    kinds = {
        name: kind
        for name, kind in zip(schema.names, schema.types, strict=True)
        if not (name in unnamed and re.fullmatch(r"__index_level_\d+__", name))
    }
    keys = [name for name in ("utterance_id", "dialogue_id", "position") if name in kinds]
    numeric = [name for name, kind in kinds.items() if name not in keys and is_number(kind)]
    column = "vector" if field is None else str(field)
    chosen: list[str] = []
    if column in kinds and column not in numeric:
        leaf = within(kinds[column])[-1]
        if not (is_number(leaf) or types.is_decimal(leaf) or types.is_null(leaf)):
            raise CorpusError(
                f"{path}: the column {column} is not a vector of numbers, but {kinds[column]}; {CONVERT}"
            )
    else:
        chosen = chosen_columns(path, kinds, numeric, modality, field, utterances["label"])
    # Text that is there once and repeated a million times is so in memory only if it is decoded.
    texts = [name for name in keys if _is_text(kinds[name])]
    taken = [*keys, *(chosen or [column])]
    with pyarrow.parquet.ParquetFile(path, read_dictionary=texts) as file:
        table = file.read(columns=taken, use_pandas_metadata=False)
    ids = pd.DataFrame({name: _keys(path, name, table.column(name)) for name in keys})
    if chosen:
        part = f"{len(chosen)} columns"
        values = list(table.select(chosen).to_pandas(ignore_metadata=True).to_numpy())
    else:
        part = f"the column {column}"
        values = table.column(column).to_pandas(ignore_metadata=True).tolist()
    found = Found({}, part, chosen, [name for name in kinds if name not in taken])
    if "utterance_id" in keys:
        names = each_once(path, ids["utterance_id"].astype(str).tolist())
        return found._replace(vectors=dict(zip(names, values, strict=True)))
    if len(keys) < 2:
        there = f"it has the columns {few(kinds, MOST_NAMES)}"
        raise CorpusError(f"{path}: no utterance_id, nor dialogue_id and position; {there}. {CONVERT}")
    dialogues: dict[Any, list[Any]] = defaultdict(list)
    for row in ids.assign(value=pd.Series(values, dtype=object)).sort_values(keys).itertuples():
        dialogues[row.dialogue_id].append(row.value)
    return found._replace(vectors=by_position(path, dialogues, utterances, {}))


def _declared(schema: pyarrow.Schema, metadata: pyarrow.parquet.FileMetaData) -> int:
    """The bytes that a Parquet file's columns will take, as its footer says."""
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            width = _WIDTHS.get(chunk.physical_type) or max(1, metadata.schema.column(place).length)
            total += max(width * max(chunk.num_values, group.num_rows), chunk.total_uncompressed_size, 0)
    for kind in schema.types:
        # Of lists of one length, an absent one takes as much.
        sizes = [inner.list_size for inner in within(kind) if types.is_fixed_size_list(inner)]
        total = max(total, metadata.num_rows * math.prod(sizes))
    return max(total, 8 * metadata.num_rows * len(schema.names))


def _is_text(kind: pyarrow.DataType) -> bool:
    return types.is_string(kind) or types.is_large_string(kind)


def _keys(path: Path, name: str, column: pyarrow.ChunkedArray) -> pd.Series:
    """A column of ids or positions."""
    if types.is_dictionary(column.type):
        for chunk in column.chunks:
            texts = chunk.dictionary
            longest = pyarrow.compute.max(pyarrow.compute.binary_length(texts)).as_py() if len(texts) else 0
            if _is_text(texts.type) and (longest or 0) > _LONGEST_ID:
                raise CorpusError(
                    f"{path}: {name} has a value of {longest:,} bytes, and {_LONGEST_ID:,} are allowed; "
                    "name the utterances as the corpus does"
                )
        column = column.cast(column.type.value_type)
    if not (_is_text(column.type) or types.is_primitive(column.type) or types.is_null(column.type)):
        raise CorpusError(f"{path}: {name} is neither text nor a number, but {column.type}; {CONVERT}")
    return column.to_pandas(ignore_metadata=True)
