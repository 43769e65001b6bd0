"""Parameters of the ingestion stage."""

import math
from itertools import combinations
from typing import Literal

from pydantic import Field, FiniteFloat, field_validator, model_validator

from erc_kedro import dotted
from erc_kedro.parameters.base import Parameters

READERS = ("meld", "iemocap", "emorynlp", "dailydialog", "manifest")


class ProtocolParameters(Parameters):
    """What is scored, and on whom it is chosen and tested (docs/corpora.md#folds)."""

    # IEMOCAP only (docs/corpora.md): 7433 or 7380 utterances of six classes, or 5531 of four.
    classes: Literal["community", "release", "four"]
    # A fold for each value of this column, no speaker in two of them: session, speaker, dialogue, or a column
    # of the corpus. Null: the splits that the corpus comes with, or `folds`.
    leave_one_out: str | None
    # So many folds, dealt out by dialogue or by a column's values.
    folds: int | None = Field(ge=3)
    by: str

    @property
    def makes_folds(self) -> bool:
        """Whether dialogues are tested in turn, not by fixed splits."""
        return bool(self.leave_one_out or self.folds)

    @model_validator(mode="after")
    def _one_way(self) -> "ProtocolParameters":
        if self.leave_one_out and self.folds:
            raise ValueError("leave_one_out and folds are two ways to make folds; set one of them to null")
        return self


class IngestionParameters(Parameters):
    """Where a corpus lies and how it is read."""

    # One of READERS, or one's own as package.module:function (docs/corpora.md).
    reader: str
    raw: str
    # Or `community` in short for `{classes: community}`.
    protocol: ProtocolParameters
    # IEMOCAP only: keep utterances outside the classes as unlabelled context.
    keep_unlabelled: bool
    # Leave out of train what val or test hold too, of val what test holds: the same recording, not the same
    # script (docs/decisions/0011-repeated-material.md).
    drop_leaks: bool
    # Of text files that are neither UTF-8 nor have a byte-order mark; as Python calls it, such as gbk.
    encoding: str | None
    # Manifests only: classes of labels that are ratings, by name: a number, or two ends (null is open).
    bins: dict[str, FiniteFloat | tuple[FiniteFloat | None, FiniteFloat | None]] | None

    @field_validator("reader")
    @classmethod
    def _known_reader(cls, name: str) -> str:
        return dotted.known(name, READERS, "reader", "function")

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str | None) -> str | None:
        try:
            b"a".decode(name or "utf-8")
        except UnicodeError:
            pass  # one byte is not a whole character of every encoding
        except (LookupError, ValueError) as error:
            raise ValueError(f"{name!r} is no encoding of text that Python knows") from error
        return name

    @model_validator(mode="after")
    def _bins_apart(self) -> "IngestionParameters":
        if self.bins is None:
            return self
        if self.reader != "manifest":
            raise ValueError(f"bins is for manifests; reader: {self.reader} has classes of its own")
        ranges = {
            name: (-math.inf if ends[0] is None else ends[0], math.inf if ends[1] is None else ends[1])
            for name, ends in self.bins.items()
            if isinstance(ends, tuple)
        }
        for name, (low, high) in ranges.items():
            if low >= high:
                raise ValueError(f"bins: {name} ends where it begins or before; write [low, high]")
        for (one, a), (other, b) in combinations(ranges.items(), 2):
            if max(a[0], b[0]) < min(a[1], b[1]):
                raise ValueError(f"bins: {one} and {other} overlap; let one begin where the other ends")
        numbers = {name: number for name, number in self.bins.items() if not isinstance(number, tuple)}
        for one, other in combinations(numbers, 2):
            if numbers[one] == numbers[other]:
                raise ValueError(f"bins: {one} and {other} are the same number; name each once")
        if not self.bins:
            raise ValueError("bins names no class; write {negative: [-3, 0], positive: [0, 3]}, or null")
        return self
