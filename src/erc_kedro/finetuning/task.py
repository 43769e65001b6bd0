"""One encoder to fine-tune, the key of all that decides what it learns, and what it leaves in its folder."""

import copy
import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save_file

from erc_kedro import files, sources
from erc_kedro.extractors.base import fingerprint
from erc_kedro.extractors.finetuned import FIT, HEAD, Fitted, Outcome
from erc_kedro.finetuning.classifier import Classifier
from erc_kedro.parameters import FinetuneParameters

# What decides how many encoders there are, how fast they learn, and what is read from them, or is in the key
# as what it comes to on this machine.
NOT_LEARNED = {"jobs", "processes", "precision", "folds", "seed", "pooling", "beside"}


@dataclass(frozen=True)
class FinetuningTask:
    """One encoder to fine-tune.

    Attributes:
        name: what the progress bar calls it.
        utterances: training and validation dialogues, no others.
        seed: of the head's first weights, of dropout and of batches.
        folder: where it is left.
        threads: of this process, on CPU.
        line: of the terminal, where its progress is shown.
    """

    name: str
    utterances: pd.DataFrame
    classes: tuple[str, ...]
    parameters: FinetuneParameters
    seed: int
    folder: Path
    threads: int = 1
    line: int = 0


def code_version() -> str:
    """A hash of the sources that decide what is learned."""
    return sources.version("finetuning/*.py", "extractors/windows.py", "extractors/text.py")


def finetuning_key(task: FinetuningTask, digest: str, *hardware: object) -> str:
    """A hash of all that decides what is learned.

    Args:
        digest: of the encoder's weights before.
        hardware: how many processes learn together, and in which precision.
    """
    import transformers

    columns = ["utterance_id", "dialogue_id", "position", "speaker", "text", "label", "split"]
    said = task.utterances[columns].sort_values(["dialogue_id", "position"])
    return fingerprint(
        said.to_json(orient="values"),
        task.classes,
        task.parameters.model_dump_json(exclude=NOT_LEARNED),
        task.seed,
        digest,
        hardware,
        torch.__version__,
        transformers.__version__,
        *(version(package) for package in ("accelerate", "peft")),
        code_version(),
    )


def save_encoder(network: Classifier, tokenizer: Any, folder: Path) -> None:
    """Leaves the encoder as ``transformers`` keeps one, and its head beside it."""
    encoder: Any = network.encoder
    if hasattr(encoder, "merge_and_unload"):
        # Training goes on with the adapters.
        encoder = copy.deepcopy(encoder).merge_and_unload()
    # What a killed process left half-written must not lie beside the whole.
    beside = folder / ".best"
    shutil.rmtree(beside, ignore_errors=True)
    encoder.save_pretrained(beside)
    tokenizer.save_pretrained(beside)
    head = {"weight": network.head.weight * network.length, "bias": network.head.bias}
    save_file({name: value.detach().cpu().contiguous() for name, value in head.items()}, beside / HEAD)
    for path in beside.iterdir():
        os.replace(path, folder / path.name)
    beside.rmdir()


def save_outcome(folder: Path, fitted: Fitted, digest: str, licence: str, resumed: str) -> None:
    """Says in the folder that its encoder is finished, and how it came about."""
    with files.replacing(folder / FIT) as path:
        path.write_text(Outcome(fitted, digest, licence, resumed).text, "utf-8")
