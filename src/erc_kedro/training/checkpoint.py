"""What a fit leaves on disk: a checkpoint while it runs, its result when it is done.

Both carry a key made from the data, the parameters, the seed and the code that trains, so that a result
is taken up only where a new fit would repeat it.
"""

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

from erc_kedro.parameters import TrainParameters
from erc_kedro.training.batches import Dialogues

CHECKPOINT = "checkpoint.pt"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PREDICTIONS = "predictions.parquet"
HISTORY = "history.parquet"


def key(data: Dialogues, parameters: TrainParameters, seed: int) -> str:
    """A SHA-256 over all that decides a fit's outcome; the number of seeds does not."""
    settings = parameters.model_dump_json(exclude={"seeds", "jobs"})
    parts = (data.fingerprint(), settings, str(seed), torch.__version__, code_version())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def code_version() -> str:
    """A SHA-256 over the sources of models/ and training/."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for path in sorted([*(package / "models").rglob("*.py"), *(package / "training").rglob("*.py")]):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def save(folder: Path, key: str, state: dict[str, Any]) -> None:
    """Replaces the folder's checkpoint, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / CHECKPOINT, lambda path: torch.save({"key": key, **state}, path))


def load(folder: Path, key: str) -> dict[str, Any] | None:
    """The checkpoint of a fit with this key, or None; one that cannot be read counts as none."""
    try:
        state = torch.load(folder / CHECKPOINT, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        return None
    return state if state.get("key") == key else None


def save_result(
    folder: Path,
    config: dict[str, Any],
    weights: dict[str, Tensor],
    predictions: pd.DataFrame,
    history: pd.DataFrame,
) -> None:
    """Writes a finished fit; the config comes last, and without it nothing counts as done."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    _replace(folder / PREDICTIONS, lambda path: predictions.to_parquet(path, index=False))
    _replace(folder / HISTORY, lambda path: history.to_parquet(path, index=False))
    tensors = {name: value.contiguous() for name, value in weights.items()}
    _replace(folder / WEIGHTS, lambda path: save_file(tensors, path))
    _replace(folder / CONFIG, lambda path: path.write_text(json.dumps(config, indent=2) + "\n"))
    (folder / CHECKPOINT).unlink(missing_ok=True)


def load_result(folder: Path, key: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Predictions and history of a finished fit with this key, or None."""
    try:
        if json.loads((folder / CONFIG).read_text())["key"] != key or not (folder / WEIGHTS).exists():
            return None
        return (
            pd.read_parquet(folder / PREDICTIONS),
            pd.read_parquet(folder / HISTORY),
        )
    except (OSError, ValueError, KeyError):
        return None


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    # One name beside each file, so that what a kill leaves there is written over, not collected.
    beside = path.with_name(f".{path.name}.part")
    write(beside)
    os.replace(beside, path)
