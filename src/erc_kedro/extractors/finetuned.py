"""What fine-tuning leaves on disk, and which of its encoders makes which utterance's vector.

The folder is a model of ``transformers`` fitted on all training dialogues; ``fold0``, ``fold1``, … in it,
if there are any, are fitted without the dialogues whose vectors they make. ``erc_encoder.json`` says all
of it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from erc_kedro.extractors.base import ExtractionError, fingerprint
from erc_kedro.folds import folder_of
from erc_kedro.parameters import TextParameters
from erc_kedro.parameters.finetune import NOT_DECIDING

RECORD = "erc_encoder.json"
HEAD = "head.safetensors"
# What one fit leaves in its folder, beside its weights.
FIT = "fit.json"


class Fitted(BaseModel):
    """One encoder of the folder.

    Attributes:
        seed: of its fit.
        trained_on: each training dialogue and a hash of what is said in it.
        selected_on: the same of the dialogues that its epoch was chosen on.
        history: a row an epoch: epoch, train_loss, val_loss, val_weighted_f1, val_accuracy, seconds, and
            selected (1 for the epoch that was kept).
    """

    model_config = ConfigDict(extra="forbid")

    key: str
    seed: int
    trained_on: dict[str, str]
    selected_on: dict[str, str]
    history: list[dict[str, float]]

    @property
    def without_dialogues(self) -> "Fitted":
        """The same, without the names of the dialogues that it learned from."""
        return self.model_copy(update={"trained_on": {}, "selected_on": {}})

    @property
    def weighted_f1(self) -> float:
        """Of the epoch that was kept, on validation."""
        return max(row["val_weighted_f1"] for row in self.history)

    @property
    def epoch(self) -> int:
        """The one that was kept."""
        return int(next(row["epoch"] for row in self.history if row["selected"]))


@dataclass(frozen=True)
class Outcome:
    """A finished fit, as its folder describes it."""

    fitted: Fitted
    digest: str
    licence: str
    resumed: str

    @property
    def text(self) -> str:
        """As ``FIT`` holds it."""
        return json.dumps({**vars(self), "fitted": self.fitted.model_dump()}) + "\n"


def outcome(folder: Path) -> Outcome | None:
    """The finished fit in a folder, or None."""
    try:
        facts = json.loads((folder / FIT).read_text("utf-8"))
        return Outcome(Fitted(**facts["fitted"]), facts["digest"], facts["licence"], facts["resumed"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


class EncoderRecord(BaseModel):
    """A fine-tuned encoder as its folder describes it.

    Attributes:
        corpus, protocol, split_fingerprint: what it was fitted on.
        classes: what its head tells apart, in order.
        encoder, licence, digest: what it started from.
        settings: how it is shown an utterance, and its vectors are pooled, as fields of ``TextParameters``;
            the head reads the last layer in any case.
        read: where the head reads it: ``own``, the mean over an utterance's own tokens, or ``mask``.
        parameters: of the fine-tuning, as configured.
        run: the MLflow run that fitted it, if it was tracked.
        fitted: by subfolder; "" is the folder itself.
        beside: subfolders with other encoders, whose vectors follow this one's, and what they must be
            (``identity``).
        versions: of the libraries and the project's code.
    """

    model_config = ConfigDict(extra="forbid")

    corpus: str
    protocol: str | None
    split_fingerprint: str
    classes: list[str]
    encoder: str
    licence: str
    digest: str
    settings: dict[str, Any]
    read: Literal["own", "mask"] = "own"
    parameters: dict[str, Any]
    run: str | None
    fitted: dict[str, Fitted]
    beside: dict[str, str] = {}
    versions: dict[str, str]

    @property
    def identity(self) -> str:
        """A hash of all that decides its vectors."""
        return fingerprint(
            self.read, self.settings, *(f"{name} {one.key}" for name, one in self.fitted.items())
        )

    @property
    def for_recordings(self) -> "EncoderRecord":
        """The record of a folder with the encoder of all training dialogues alone, which it does not name.

        What a fold is for, a vector of a training dialogue, no recording needs.
        """
        return self.model_copy(update={"fitted": {"": self.fitted[""].without_dialogues}})


@dataclass(frozen=True)
class FineTuned:
    """A folder that fine-tuning made, and those beside it."""

    folder: Path
    record: EncoderRecord
    beside: tuple["FineTuned", ...] = ()

    @property
    def every(self) -> tuple["FineTuned", ...]:
        """Itself, and those beside it: whose vectors are put together, in order."""
        return (self, *self.beside)

    @property
    def learned(self) -> list[dict[str, Any]]:
        """How each of them was fine-tuned, as ``FinetuneParameters.learned`` has it."""
        each = (one.record.parameters for one in self.every)
        return [{key: value for key, value in one.items() if key not in NOT_DECIDING} for one in each]

    @property
    def name(self) -> str:
        """As the audit and the report name it, without those beside it."""
        return f"{self.record.encoder} fine-tuned on {self.record.corpus}"

    @property
    def encoders(self) -> str:
        """What all whose vectors are put together started from."""
        return " + ".join(one.record.encoder for one in self.every)

    @property
    def together(self) -> str:
        """The name of all whose vectors are put together."""
        return f"{self.encoders} fine-tuned on {self.record.corpus}"

    @property
    def shown(self) -> str:
        """What its encoders read of an utterance, in words."""
        said = []
        for one in self.every:
            settings = one.record.settings
            asked = (
                f"asked {settings['question']!r}" if one.record.read == "mask" else "read by its own words"
            )
            counts = ((settings["context"], "before"), (settings["following"], "after"))
            around = " and ".join(f"{count} {where} it" for count, where in counts if count)
            said.append(f"{asked}, with {around}" if around else f"{asked}, alone")
        return "; beside it ".join(said)

    def settings(self, parameters: TextParameters, folder: Path) -> TextParameters:
        """The parameters with the encoder in ``folder``, and shown utterances as it was in training."""
        # A record from before there were questions says nothing of them.
        usual = {"template": "{speaker}: {text}", "question": None}
        shown = {**usual, **self.record.settings, "encoder": str(folder)}
        # A list in JSON is a tuple here.
        return TextParameters.model_validate({**parameters.model_dump(), **shown})

    def surroundings(self, parameters: TextParameters) -> TextParameters:
        """The settings, with as much context as any of its encoders is shown."""
        each = [one.settings(parameters, one.folder) for one in self.every]
        most = {name: max(getattr(one, name) for one in each) for name in ("context", "following")}
        return each[0].model_copy(update=most)

    def shares(self, utterances: pd.DataFrame) -> list[tuple[Path, np.ndarray]]:
        """Each encoder's folder, and the utterances [N] whose vectors it makes.

        An encoder fitted without some training dialogues makes theirs; the one fitted on all makes the rest.
        """
        whole = self.record.fitted[""].trained_on
        dialogue = utterances["dialogue_id"]
        rest = np.ones(len(utterances), bool)
        shares = []
        for name, fitted in self.record.fitted.items():
            held_out = set(whole) - set(fitted.trained_on) if name else set()
            own = dialogue.isin(held_out).to_numpy() & rest
            if own.any():
                shares.append((self.folder / name, own))
                rest &= ~own
        return [(self.folder, rest), *shares] if rest.any() else shares

    def predictions(self, utterances: pd.DataFrame, read: np.ndarray) -> pd.DataFrame:
        """What each utterance's encoder predicts alone, with its own head (``shares``).

        Args:
            read: ``text.Extracted.read``.

        Returns:
            The predictions table (``schemas.predictions``) of the head "t".
        """
        table = np.zeros((len(utterances), len(self.record.classes)), np.float32)
        for folder, own in self.shares(utterances):
            table[own] = np.exp(log_probabilities(folder, read[own]))
        frame = utterances[["utterance_id", "split", "label"]].reset_index(drop=True)
        frame.insert(0, "seed", self.record.fitted[""].seed)
        frame.insert(3, "head", "t")
        return frame.assign(**{f"p_{name}": table[:, at] for at, name in enumerate(self.record.classes)})

    @property
    def facts(self) -> dict[str, Any]:
        """What the audit and the training runs need to know, JSON-able."""
        whole = self.record.fitted[""]
        return {
            "corpus": self.record.corpus,
            "encoder": self.encoders,
            "shown": self.shown,
            "folds": len(self.record.fitted) - 1,
            "val_weighted_f1": whole.weighted_f1,
            "run": self.record.run,
            "trained_on": whole.trained_on,
            "selected_on": whole.selected_on,
        }


def of_folds(encoder: str, own: Path, folds: Sequence[str]) -> "dict[str, FineTuned | None]":
    """:func:`find` for each fold of a corpus, by its name; for "" where it has none.

    Fine-tuning leaves a fold's encoder in a folder of its own. One that is named by its folder is the same
    for all.

    Args:
        folds: their names; none where the splits are fixed.
    """
    return {name: find(encoder, own / folder_of(name)) for name in folds or [""]}


def find(encoder: str, own: Path) -> FineTuned | None:
    """The fine-tuned encoder that ``features.text.encoder`` stands for, or None if that is another one.

    Args:
        own: where fine-tuning writes this corpus's.
    Raises:
        ExtractionError: it is asked for and is not there, or its record is missing, cannot be read, or
            describes other fits than the folder holds.
    """
    folder = own if encoder == "finetuned" else Path(encoder)
    path = folder / RECORD
    if not path.is_file():
        if encoder == "finetuned":
            raise ExtractionError(
                f"features.text.encoder: finetuned, but {folder} holds no finished one; "
                "`kedro run --pipeline=finetune` makes it"
            )
        if any((folder / name).is_file() for name in (FIT, HEAD)):
            raise ExtractionError(
                f"features.text.encoder: {folder} was fine-tuned, but no {RECORD} in it says on what; name "
                "the folder that holds it, or finish it with `kedro run --pipeline=finetune`"
            )
        return None
    try:
        record = EncoderRecord.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValidationError) as error:
        raise ExtractionError(
            f"{path} is not the record of a fine-tuned encoder ({str(error).splitlines()[0]}); "
            "make it anew with `kedro run --pipeline=finetune`"
        ) from error
    if "" not in record.fitted:
        raise ExtractionError(f"{path}: no encoder is fitted on all training dialogues")
    for name, fitted in record.fitted.items():
        found = outcome(folder / name)
        if found is None or found.fitted != fitted:
            raise ExtractionError(
                f"{folder / name} is not the encoder that {path} describes, since fitting it anew was "
                "interrupted; `kedro run --pipeline=finetune` goes on"
            )
    beside = []
    for name, identity in record.beside.items():
        other = find(str(folder / name), own)
        learned = other and (other.record.fitted[""].trained_on, other.record.fitted[""].selected_on)
        if (
            other is None
            or other.record.identity != identity
            or learned
            != (
                record.fitted[""].trained_on,
                record.fitted[""].selected_on,
            )
        ):
            raise ExtractionError(
                f"{folder / name} is not the encoder that {path} puts beside its own, since fitting it anew "
                "was interrupted; `kedro run --pipeline=finetune` goes on"
            )
        beside.append(other)
    return FineTuned(folder, record, tuple(beside))


def log_probabilities(folder: Path, vectors: np.ndarray) -> np.ndarray:
    """What the head in ``folder`` makes of the vectors that it reads [N, H]: float32 [N, C]."""
    import torch
    from safetensors.torch import load_file

    head = load_file(folder / HEAD)
    return (torch.from_numpy(vectors) @ head["weight"].T + head["bias"]).log_softmax(-1).numpy()
