"""Parameters of the ingestion stage."""

from typing import Literal

from pydantic import field_validator

from erc_kedro.parameters.base import Parameters


class IngestionParameters(Parameters):
    """Where a corpus lies and how it is read."""

    reader: Literal["meld", "iemocap", "emorynlp", "dailydialog", "manifest"]
    raw: str
    # IEMOCAP only (docs/corpora.md): 7433 or 7380 utterances.
    protocol: Literal["community", "release"]
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
