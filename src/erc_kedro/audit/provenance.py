"""What made a table of features, as a record of its own that is bound to the table's content.

A table may be merged, filtered or written again; what its vectors learned from must not be lost on the way.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.folds import is_folded

Provenance = dict[str, Any]

_READ = (
    *("utterance_id", "dialogue_id", "position", "speaker", "text", "split"),
    *("clip_start_s", "clip_end_s", "frame_side"),
)


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
        "content": _content(table, utterances),
        "utterances": said(utterances),
    }


def described(metadata: Any, parameters: Any) -> dict[str, Any]:
    """What a record says of an extractor, from its metadata and its parameters."""
    return {
        "name": metadata.name,
        "version": metadata.version,
        "licence": metadata.licence,
        "settings": parameters.model_dump(mode="json"),
    }


def provenance_errors(
    records: Mapping[str, Mapping[str, Any]], tables: Mapping[str, pd.DataFrame], utterances: pd.DataFrame
) -> tuple[list[str], list[str]]:
    """What forbids tables of features, by modality, and what must be said beside the scores of all else.

    Forbidden are tables without a record, or whose record is of other utterances, splits or training vectors.
    Vectors of validation or test alone may have been changed, as in an experiment on what they decide.
    """
    now_said = said(utterances)
    again = "`kedro run --pipeline=features` makes both anew"
    errors, cautions = [], []
    for modality, table in tables.items():
        record = records.get(modality) or {}
        if not is_complete(record):
            errors.append(
                f"What made the {modality} features, and what it learned from, is not recorded; {again}."
            )
            continue
        if record["utterances"] != now_said:
            errors.append(
                f"The {modality} features were made from other utterances, splits or clips than the corpus "
                f"has now; {again}."
            )
            continue
        now = _content(table, utterances)
        changed = [split for split, digest in now.items() if record["content"].get(split) != digest]
        if "train" in changed:
            errors.append(f"The {modality} features are not those that were recorded when made; {again}.")
        elif changed:
            cautions.append(
                f"The {modality} features of {' and '.join(changed)} were changed after they were made: what "
                "they are is not known."
            )
    return errors, cautions


def facts(record: Provenance) -> dict[str, Any]:
    """What a comparison says of a table: ``digest``, ``extractor``, ``encoder`` and ``source``.

    The digest is of the vectors, so that equal ones have the same; an encoder is named without its dialogues.
    """
    encoder = record["encoder"]
    dialogues = {"trained_on", "selected_on"}
    return {
        "digest": _hashed(*sorted(record["content"].items())).hexdigest()[:8],
        "extractor": record["extractor"],
        "encoder": encoder and {key: value for key, value in encoder.items() if key not in dialogues},
        "source": record.get("source"),
    }


def briefly(made: Mapping[str, Any], scaled: str = "") -> str:
    """``facts`` in a few words: the extractor, what it pools and is shown, and the digest.

    Args:
        scaled: how training scales these vectors, where that is to be said.
    """
    extractor = made["extractor"]
    settings = extractor.get("settings") or {}
    name = str(extractor["name"])
    # A folder's name says enough, and is the same on another machine.
    words = [Path(name).name if Path(name).is_absolute() else name]
    if settings.get("extractor") == "transformers" and "pooling" in settings:
        poolings = settings["pooling"]
        words.append(" + ".join([poolings] if isinstance(poolings, str) else poolings).replace("_", " "))
        words += [f"{settings[key]} {key}" for key in ("context", "following") if settings.get(key)]
    words += [scaled] if scaled else []
    return f"{', '.join(words)} ({made['digest']})"


def is_complete(record: Any) -> bool:
    """Whether a record says what made its vectors and, of a fine-tuned encoder, what that learned from."""
    names = {"extractor", "encoder", "content", "utterances"}
    if not isinstance(record, Mapping) or not record.keys() >= names:
        return False
    if not isinstance(record["content"], Mapping):
        return False
    encoder = record["encoder"]
    return encoder is None or (
        isinstance(encoder, Mapping) and encoder.keys() >= {"corpus", "trained_on", "selected_on"}
    )


def _content(table: pd.DataFrame, utterances: pd.DataFrame) -> dict[str, str]:
    """SHA-256 of each split's rows, whatever their order."""
    split = table["utterance_id"].map(utterances.set_index("utterance_id")["split"])
    digests = {}
    for name, rows in table.groupby(split.to_numpy()):
        order = [name for name in ("utterance_id", "fold") if name in rows]
        rows = rows.sort_values(order)
        digest = _hashed(*(rows[name] for name in order), rows["reason"])
        digest.update(rows["present"].to_numpy(bool).tobytes())
        for vector in rows["vector"]:
            digest.update(np.asarray(vector, np.float32).tobytes())
        digests[str(name)] = digest.hexdigest()
    return digests


def said(utterances: pd.DataFrame) -> str:
    """SHA-256 of what was said, by whom, in which split and in which part of which file.

    That is all that an extractor reads or may be fitted on; folders are left out, since data may be moved.
    """
    rows = utterances.sort_values("utterance_id")
    files = (rows[name].map(lambda path: Path(path).name, na_action="ignore") for name in ("clip", "wav"))
    folds = [rows["fold"]] if is_folded(rows) else []
    return _hashed(*(rows[name] for name in _READ), *files, *folds).hexdigest()


def _hashed(*columns: Iterable[Any]) -> Any:
    digest = hashlib.sha256()
    for column in columns:
        # Joined with their lengths, so that no text can pass for two.
        for value in map(str, column):
            digest.update(f"{len(value)} {value}\n".encode("utf-8", "surrogatepass"))
    return digest
