"""What made a table of features, as a record of its own that is bound to the table's content.

A table may be merged, filtered or written again; what its vectors learned from must not be lost on the way.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

Provenance = dict[str, Any]

_READ = ["utterance_id", "dialogue_id", "position", "speaker", "text", "split"]


def provenance(
    table: pd.DataFrame,
    utterances: pd.DataFrame,
    extractor: Mapping[str, Any],
    encoder: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
) -> Provenance:
    """The record of a table of features.

    Args:
        table: ``schemas.features``.
        utterances: that it was made from.
        extractor: name, version, licence and settings of what made it.
        encoder: of a fine-tuned text encoder, what it learned from (``extractors.finetuned``).
        source: of vectors that were joined from a file, its ``part``, ``columns`` and those ``left_out``.
    """
    return {
        "extractor": dict(extractor),
        "encoder": None if encoder is None else dict(encoder),
        "source": None if source is None else dict(source),
        "content": _content(table),
        "utterances": _said(utterances),
    }


def provenance_errors(
    records: Mapping[str, Mapping[str, Any]], tables: Mapping[str, pd.DataFrame], utterances: pd.DataFrame
) -> list[str]:
    """What forbids tables of features, by modality: no record, or one of other vectors or utterances."""
    said = _said(utterances)
    again = "`kedro run --pipeline=features` makes both anew"
    errors = []
    for modality, table in tables.items():
        record = records.get(modality) or {}
        if not _complete(record):
            errors.append(
                f"What made the {modality} features, and what it learned from, is not recorded; {again}."
            )
        elif record["content"] != _content(table):
            errors.append(f"The {modality} features are not those that were recorded when made; {again}.")
        elif record["utterances"] != said:
            errors.append(
                f"The {modality} features were made from other utterances or splits than the corpus has now; "
                f"{again}."
            )
    return errors


def _complete(record: Any) -> bool:
    """Whether a record says what made its vectors and, of a fine-tuned encoder, what that learned from."""
    names = {"extractor", "encoder", "content", "utterances"}
    if not isinstance(record, Mapping) or not record.keys() >= names:
        return False
    encoder = record["encoder"]
    return encoder is None or (
        isinstance(encoder, Mapping) and encoder.keys() >= {"corpus", "trained_on", "selected_on"}
    )


def _content(table: pd.DataFrame) -> str:
    """SHA-256 of the rows, whatever their order."""
    rows = table.sort_values("utterance_id")
    digest = _hashed(rows["utterance_id"], rows["reason"])
    digest.update(rows["present"].to_numpy(bool).tobytes())
    for vector in rows["vector"]:
        digest.update(np.asarray(vector, np.float32).tobytes())
    return digest.hexdigest()


def _said(utterances: pd.DataFrame) -> str:
    """SHA-256 of what was said, by whom and in which split: all that an extractor may be fitted on."""
    rows = utterances.sort_values("utterance_id")
    return _hashed(*(rows[name] for name in _READ)).hexdigest()


def _hashed(*columns: Iterable[Any]) -> Any:
    digest = hashlib.sha256()
    for column in columns:
        # Joined with their lengths, so that no text can pass for two.
        for value in map(str, column):
            digest.update(f"{len(value)} {value}\n".encode("utf-8", "surrogatepass"))
    return digest
