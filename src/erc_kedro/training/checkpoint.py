"""What training leaves on disk: a checkpoint while it runs, a model and its results when it is done.

Both carry a key made from the data, the parameters, the seed and the code that trains, so that a model
is reused only where a new training would repeat it.
"""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import sklearn
import torch
from safetensors.torch import save_file
from torch import Tensor

from erc_kedro import files, sources
from erc_kedro.models.architectures import network_class, resolved
from erc_kedro.models.base import ClosedForm
from erc_kedro.parameters import ARCHITECTURES, TrainParameters
from erc_kedro.schemas import MODALITIES
from erc_kedro.training.batches import Dialogues

CHECKPOINT = "checkpoint.pt"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PREDICTIONS = "predictions.parquet"
HISTORY = "history.parquet"


def training_key(data: Dialogues, parameters: TrainParameters, seed: int, start: Path | None = None) -> str:
    """A SHA-256 over all that decides a trained model; the number of seeds does not.

    Nor does the name of the experiment, nor a modality that training has no features of.

    Args:
        start: the folder of the finished model whose weights training starts from, if not at random.
    """
    parameters = effective(parameters, data, start)
    architecture = parameters.model.architecture
    settings = parameters.model_dump_json(exclude={"seeds", "jobs", "in_fold"})
    parts = [data.only(parameters.model.modalities).fingerprint, settings, str(seed)]
    parts += [torch.__version__, code_version(architecture)]
    if issubclass(network_class(architecture), ClosedForm):
        parts.append(sklearn.__version__)
    if start is not None:
        parts.append(str(_config(start)["key"]))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def effective(parameters: TrainParameters, data: Dialogues, start: Path | None = None) -> TrainParameters:
    """The parameters as a model of this data has them: what is not there is neither used nor withheld.

    Settings of somebody's own network are all there, those that are nowhere written as its class has them.

    A network is built, saved and keyed by these, so that one key is one structure. One that starts from
    another's weights has its structure, whatever its own training utterances lack.

    Raises:
        ArchitectureError: there is no such network, or it has no such setting.
        ValueError: training utterances have features of none of the modalities.
        FileNotFoundError: ``start`` holds no finished model.
    """
    there = data.modalities if start is None else _config(start)["parameters"]["model"]["modalities"]
    modalities = tuple(name for name in MODALITIES if name in parameters.model.modalities and name in there)
    withhold = tuple(name for name in modalities if name in parameters.withhold)
    if modalities == withhold:
        raise ValueError(
            f"no training utterance has {' or '.join(parameters.shown)} features, and nothing else is to be "
            "seen; the corpus's audit in 08_reporting/audit says why"
        )
    model = resolved(parameters.model).model_copy(update={"modalities": modalities})
    return parameters.model_copy(update={"model": model, "withhold": withhold})


def weights_key(data: Dialogues, parameters: TrainParameters, seed: int, start: Path | None = None) -> str:
    """The key of the model whose weights a model with these parameters has."""
    return training_key(data, parameters.model_copy(update={"withhold": ()}), seed, start)


def _config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / CONFIG).read_text("utf-8"))
    return found


def code_version(architecture: str) -> str:
    """A SHA-256 over what the sources of training/, models/ and this architecture do, comments aside."""
    # What finds and tries a network, or says which are trained, decides nothing of what one learns.
    shared = ("models/*.py", "training/*.py")
    without = ("models/architectures.py", "training/seeds.py", "training/candidates.py")
    where = ARCHITECTURES.get(architecture)
    if where is None:
        network_class(architecture)
        own = sources.version_of_module(architecture.partition(":")[0])
        return hashlib.sha256(f"{sources.version(*shared, without=without)} {own}".encode()).hexdigest()
    path = Path(where.partition(":")[0].removeprefix("erc_kedro.").replace(".", "/"))
    return sources.version(*shared, f"{path.parent}/base.py", f"{path}.py", without=without)


def save(folder: Path, key: str, state: dict[str, Any]) -> None:
    """Replaces the folder's checkpoint, whole or not at all."""
    # To a path, torch would write past the end of a full disk and speak of its own position.
    with files.replacing(folder / CHECKPOINT) as path, path.open("wb") as file:
        torch.save({"key": key, **state}, file)


def load(folder: Path, key: str) -> dict[str, Any] | None:
    """The checkpoint of a training with this key, or None; one that cannot be read counts as none."""
    try:
        state = torch.load(folder / CHECKPOINT, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        return None
    return state if state.get("key") == key else None


def save_result(
    folder: Path,
    config: dict[str, Any],
    weights: dict[str, Tensor] | Path,
    predictions: pd.DataFrame,
    history: pd.DataFrame,
) -> None:
    """Writes a finished model; the config goes first and comes last, and without it nothing counts as done.

    Args:
        weights: a state dict, or another model's file of weights, which is shared rather than copied.
    """
    (folder / CONFIG).unlink(missing_ok=True)
    with files.replacing(folder / PREDICTIONS) as path:
        predictions.to_parquet(path, index=False)
    with files.replacing(folder / HISTORY) as path:
        history.to_parquet(path, index=False)
    with files.replacing(folder / WEIGHTS) as path:
        _write_weights(weights, path)
    with files.replacing(folder / CONFIG) as path:
        path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _write_weights(weights: dict[str, Tensor] | Path, path: Path) -> None:
    if isinstance(weights, Path):
        files.share(weights, path)
    else:
        save_file({name: value.contiguous() for name, value in weights.items()}, path)


def load_result(folder: Path, key: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Predictions and history of a finished model with this key, or None."""
    try:
        if finished(folder) != key or not (folder / WEIGHTS).exists():
            return None
        found = pd.read_parquet(folder / PREDICTIONS), pd.read_parquet(folder / HISTORY)
        # Another run may have begun to replace them meanwhile.
        return found if finished(folder) == key else None
    except (OSError, ValueError):
        return None


def finished(folder: Path) -> str | None:
    """The key of the finished model that a folder holds, unlike every other's; None without one."""
    try:
        return json.loads((folder / CONFIG).read_text("utf-8"))["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find(root: Path, key: str) -> tuple[Path, pd.DataFrame, pd.DataFrame] | None:
    """A finished model with this key below ``root``, whatever experiment it was made for.

    Returns:
        Its folder, predictions and history.
    """
    for config in sorted(root.rglob(CONFIG)):
        found = load_result(config.parent, key)
        if found is not None:
            return config.parent, *found
    return None
