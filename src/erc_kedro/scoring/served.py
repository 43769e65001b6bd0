"""A registered model as MLflow loads and serves it: a table of utterances in, their timelines out.

Clips are named by clients, so that a server opens none unless its environment says below which folder they
lie, nor runs an extractor or network from outside of this package that its environment does not name.
"""

import logging
import os
from pathlib import Path
from threading import Lock

import pandas as pd

from erc_kedro.errors import PlainError
from erc_kedro.scoring import Model, load
from erc_kedro.scoring.confidence import ACCURACY
from erc_kedro.scoring.tables import utterances_of
from erc_kedro.tracking.models import BUNDLE
from erc_kedro.tracking.refusal import Refusal

logger = logging.getLogger(__name__)

# Environment: the folder of clips, and code that may run, as in score.allow, with commas between.
MEDIA, ALLOW = "ERC_SCORE_MEDIA", "ERC_SCORE_ALLOW"
# Of one request: utterances, those of one dialogue (a network takes .4 GB for these, and more than twice as
# much for twice as many), and characters of a cell.
LONGEST_TABLE, LONGEST_DIALOGUE, LONGEST_CELL = 20_000, 5_000, 20_000


def _load_pyfunc(path: str) -> "Served":
    """What MLflow calls with the model's folder."""
    allow = [name.strip() for name in os.environ.get(ALLOW, "").split(",") if name.strip()]
    return Served(load(Path(path) / BUNDLE, allow))


class Served:
    """A trained model that answers tables."""

    def __init__(self, model: Model) -> None:
        self._model = model
        # One request at a time: a second one would share its memory and cores, and gain nothing.
        self._turn = Lock()

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Who felt what (``schemas.timeline``), a row an utterance, in the table's order; None where nothing.

        Args:
            table: as ``scoring.Model.score`` has it; ``clip`` is a path below ``ERC_SCORE_MEDIA``.

        Raises:
            Refusal: the table cannot be scored, in one sentence.
        """
        try:
            asked = _checked(table)
            with self._turn:
                features = self._model.features(asked).tables
                made = self._model.timeline(asked, features, ACCURACY)
        except PlainError as error:
            raise Refusal(str(error)) from error
        except Exception as error:
            # MLflow would send the traceback.
            logger.exception("a request could not be answered")
            raise Refusal("the model failed on this table; the server's log says why", True) from error
        for name in made.columns[made.isna().any()]:
            # JSON has no NaN.
            made[name] = made[name].astype(object).where(made[name].notna(), None)
        return made


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    """A table's utterances (``schemas.recorded``), whose clips lie where this server opens some."""
    if len(table) > LONGEST_TABLE:
        raise PlainError(f"{len(table)} utterances are more than {LONGEST_TABLE} in one request; send fewer")
    table = table.reset_index(drop=True)
    for name in table.columns:
        for row, cell in enumerate(table[name]):
            if isinstance(cell, str) and len(cell) > LONGEST_CELL:
                raise PlainError(
                    f"row {row}, column {name}: {len(cell)} characters are more than {LONGEST_CELL}; split it"
                )
    try:
        utterances = utterances_of(table)
    except ValueError as error:
        raise PlainError(str(error)) from error
    longest = utterances["dialogue_id"].value_counts()
    if longest.iloc[0] > LONGEST_DIALOGUE:
        raise PlainError(
            f"dialogue {longest.index[0]!r}: {longest.iloc[0]} utterances are more than {LONGEST_DIALOGUE}; "
            "part it where the talk pauses"
        )
    clips = utterances["clip"]
    if clips.notna().any():
        below = [
            None if missing else _below(clip, row)
            for row, (clip, missing) in enumerate(zip(clips, clips.isna(), strict=True))
        ]
        utterances["clip"] = pd.Series(below, dtype="str")
    return utterances


def _below(clip: str, row: int) -> str:
    folder = os.environ.get(MEDIA)
    if not folder:
        raise PlainError(
            f"row {row}, column clip: this server opens no media; leave it empty, or start the server with "
            f"{MEDIA}=FOLDER, below which clips are"
        )
    root = Path(folder).resolve()
    try:
        path = (root / clip).resolve()
        if path.is_relative_to(root):
            return str(path)
    except (OSError, RuntimeError, ValueError):
        # A loop of links, a zero byte.
        pass
    raise PlainError(f"row {row}, column clip: no path below the folder that {MEDIA} names on the server")
