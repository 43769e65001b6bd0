"""Parameters of the ingestion stage."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from erc_kedro.parameters.base import Parameters


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

    @model_validator(mode="after")
    def _one_way(self) -> "ProtocolParameters":
        if self.leave_one_out and self.folds:
            raise ValueError("leave_one_out and folds are two ways to make folds; set one of them to null")
        return self


class IngestionParameters(Parameters):
    """Where a corpus lies and how it is read."""

    reader: Literal["meld", "iemocap", "manifest"]
    raw: str
    # Or `community` in short for `{classes: community}`.
    protocol: ProtocolParameters
    # IEMOCAP only: keep utterances outside the six classes as unlabelled context.
    keep_unlabelled: bool
    # Leave out of train what val or test hold too, of val what test holds: the same recording, not the same
    # script (docs/decisions/0011-repeated-material.md).
    drop_leaks: bool
    # Of text files that are neither UTF-8 nor have a byte-order mark; as Python calls it, such as gbk.
    encoding: str | None

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
