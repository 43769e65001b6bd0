"""Kedro's datasets, made to appear whole or not at all, and to say what is missing.

Each class is a dataset of kedro-datasets that saves beside its file first and then renames, so that
a crash leaves the earlier version, never a part of the new one.
"""

from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from kedro_datasets.partitions import PartitionedDataset
from kedro_datasets.plotly import JSONDataset as PlotlyDataset
from kedro_datasets.text import TextDataset

from erc_kedro import files

# Set by a hook while a node that can do without loads its inputs.
missing_is_none: ContextVar[bool] = ContextVar("missing_is_none", default=False)


class _Whole:
    """Atomic ``save``; an absent file is an error that says how to make it, or None for nodes that accept it.

    The catalog's ``metadata`` may name in ``made_by`` the pipeline that makes the file.
    """

    _filepath: Any
    metadata: dict[str, Any] | None

    def save(self, data: Any) -> None:
        target = Path(self._filepath)
        try:
            with files.replacing(target) as beside:
                self._filepath = type(self._filepath)(beside)
                super().save(data)  # type: ignore[misc]
        finally:
            self._filepath = type(self._filepath)(target)

    def load(self) -> Any:
        metadata = self.metadata or {}
        if not Path(self._filepath).exists():
            if missing_is_none.get():
                return None
            fix = f"`kedro run --pipeline={metadata['made_by']}` makes it" if "made_by" in metadata else ""
            raise DatasetError(
                f"{self._filepath} does not exist yet. {fix} (add --env=demo for the embedded corpora)."
            )
        return super().load()  # type: ignore[misc]


class Table(_Whole, ParquetDataset):
    """A pandas table in Parquet; columns of equally long float vectors become fixed-size lists."""

    def save(self, data: pd.DataFrame) -> None:
        schema = pa.Schema.from_pandas(data, preserve_index=False)
        for index, column in enumerate(schema):
            if pa.types.is_list(column.type):
                lengths = data[column.name].map(len).unique()
                if len(lengths) == 1:
                    fixed = pa.list_(column.type.value_type, int(lengths[0]))
                    schema = schema.set(index, pa.field(column.name, fixed))
        self._save_args: dict[str, Any] = {**self._save_args, "schema": schema, "index": False}
        super().save(data)

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows, with a vector as its first numbers: Kedro-Viz writes JSON."""
        table = pd.read_parquet(self._filepath).head(nrows).astype(object)
        return table.map(_printed).to_dict(orient="split")


def _printed(cell: Any) -> Any:
    if isinstance(cell, np.ndarray):
        return ", ".join(f"{number:.3g}" for number in cell[:4]) + (
            f", … ({len(cell)})" if len(cell) > 4 else ""
        )
    return None if pd.isna(cell) else cell


# Else in the machine's own encoding, which may lack most characters.
_UTF8 = {
    "open_args_save": {"mode": "w", "encoding": "utf-8"},
    "open_args_load": {"mode": "r", "encoding": "utf-8"},
}


class Json(_Whole, JSONDataset):
    """A JSON document."""

    DEFAULT_FS_ARGS: ClassVar[dict[str, Any]] = _UTF8


class Text(_Whole, TextDataset):
    """A page of text: Markdown or HTML."""

    DEFAULT_FS_ARGS: ClassVar[dict[str, Any]] = _UTF8


class Texts(PartitionedDataset):
    """A folder of texts by file name, each of them whole; what it no longer holds is removed."""

    def __init__(self, path: str, filename_suffix: str = "", metadata: dict[str, Any] | None = None) -> None:
        super().__init__(path=path, dataset=Text, filename_suffix=filename_suffix, metadata=metadata)

    def save(self, data: dict[str, str]) -> None:
        super().save(data)
        folder = Path(self._path)
        kept = {f"{name}{self._filename_suffix}" for name in data}
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_file() and path.name not in kept:
                path.unlink(missing_ok=True)


class Figure(_Whole, PlotlyDataset):
    """A Plotly figure as JSON, which Kedro-Viz shows on its node."""


class Folder(AbstractDataset[Path, Path]):
    """A folder that a node fills itself, for work that must survive a crash halfway. Loads as its path.

    The node that fills it may return the path, so that Kedro runs those that read it afterwards.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        self._filepath.mkdir(parents=True, exist_ok=True)
        return self._filepath

    def save(self, data: Path) -> None:
        if data != self._filepath:
            raise DatasetError(f"{self._filepath} is filled by the node itself, which returned {data}")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}

    def _exists(self) -> bool:
        return self._filepath.exists()
