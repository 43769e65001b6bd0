"""A plain table of utterances, such as a client of the served model sends, as a recording's."""

import math
from typing import Any

import numpy as np
import pandas as pd
from pandera.errors import SchemaError

from erc_kedro import schemas
from erc_kedro.tracking.models import OPTIONAL, REQUIRED


def utterances_of(table: pd.DataFrame) -> pd.DataFrame:
    """The utterances (``schemas.recorded``) of a plain table, in its order.

    Args:
        table: dialogue_id, speaker and text; position, if not in order; clip, start_s and end_s (seconds in
            the clip; without them the clip is the utterance), channel and frame_side. Cells of these may be
            empty.

    Raises:
        ValueError: naming the column, or the row's number from 0 and the column, that cannot be used.
    """
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise ValueError(f"column {twice[0]} is there twice; keep one of them")
    missing = [name for name in REQUIRED if name not in table]
    if missing:
        raise ValueError(
            f"column {', '.join(missing)} is missing; a row needs {', '.join(REQUIRED)}, and may have "
            f"{', '.join(OPTIONAL)}"
        )
    unknown = [str(name) for name in table if name not in (*REQUIRED, *OPTIONAL)]
    if unknown:
        raise ValueError(
            f"column {', '.join(unknown)} is not known; there are {', '.join((*REQUIRED, *OPTIONAL))}"
        )
    if table.empty:
        raise ValueError("no row; a conversation has at least one utterance")
    made = pd.DataFrame(index=range(len(table)))
    for name in REQUIRED:
        made[name] = [_text(cell, row, name) for row, cell in enumerate(table[name])]
    made["position"] = made.groupby("dialogue_id").cumcount()
    if "position" in table:
        asked = pd.Series([_number(cell, row, "position") for row, cell in enumerate(table["position"])])
        if (
            asked.isna().any()
            or asked.groupby(made["dialogue_id"]).apply(lambda one: one.duplicated().any()).any()
        ):
            raise ValueError("column position: every utterance of a dialogue needs its own")
        made["position"] = asked.groupby(made["dialogue_id"]).rank(method="first").astype("int64") - 1
    for name in ("start_s", "end_s"):
        cells = table.get(name, pd.Series([None] * len(table)))
        made[f"clip_{name}"] = [_number(cell, row, name) for row, cell in enumerate(cells)]
    for name in ("clip", "channel", "frame_side"):
        cells = table.get(name, pd.Series([None] * len(table)))
        made[name] = pd.Series(
            [_text(cell, row, name, empty=True) for row, cell in enumerate(cells)], dtype="str"
        )
    one_given = made["clip_start_s"].isna() != made["clip_end_s"].isna()
    wrong = one_given | (made["clip_end_s"] <= made["clip_start_s"]) | (made["clip_start_s"] < 0)
    if wrong.any():
        raise ValueError(
            f"row {int(wrong.to_numpy().argmax())}: start_s and end_s must both be there, from 0, "
            "the end after the start"
        )
    made["utterance_id"] = made["dialogue_id"] + "_" + made["position"].astype("str")
    made["turn"] = made["position"]
    made["split"] = "test"
    made["start_s"], made["end_s"] = made["clip_start_s"], made["clip_end_s"]
    for name in ("label", "wav"):
        made[name] = pd.Series(None, made.index, dtype="str")
    try:
        return schemas.recorded.validate(made[[name for name in schemas.recorded.columns if name in made]])
    except SchemaError as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _text(cell: Any, row: int, name: str, empty: bool = False) -> str | None:
    missing = cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))
    if missing or (isinstance(cell, str) and not (cell if name == "text" else cell.strip())):
        if empty or name == "text":
            return None if empty else ""
        raise ValueError(f"row {row}, column {name}: the cell is empty; fill it")
    if not isinstance(cell, str | int | np.integer):
        raise ValueError(f"row {row}, column {name}: {cell!r} is no text")
    try:
        return str(cell).encode().decode()
    except UnicodeEncodeError:
        raise ValueError(f"row {row}, column {name}: {cell!r} has half of a character") from None


def _number(cell: Any, row: int, name: str) -> float:
    if cell is None or cell is pd.NA:
        return math.nan
    if isinstance(cell, bool | str) or not hasattr(cell, "__float__"):
        raise ValueError(f"row {row}, column {name}: {cell!r} is not a number")
    number = float(cell)
    if math.isinf(number):
        raise ValueError(f"row {row}, column {name}: {cell!r} is not a number")
    return number
