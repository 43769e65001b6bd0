"""Vectors of the pickles that the community passes around.

Their layouts, as the code that loads them unpacks them:

=============================  ======  ====================================================================
file                           fields  order
=============================  ======  ====================================================================
DialogueRNN, MMGCN; IEMOCAP         9  ids, speakers, labels, text, audio, visual, sentences, train, test
DialogueRNN; MELD                    9  ids, speakers, labels, text, audio, sentences, train, test, labels
MMGCN, MM-DFN, M3Net; MELD          10  as the first, and labels of another task
COSMIC, M3Net; IEMOCAP              10  speakers, labels, text ×4, sentences, train, test, valid
COSMIC, M3Net; MELD                 11  ids, speakers, labels, text ×4, sentences, train, test, valid
SDT; IEMOCAP                        12  ids, speakers, labels, text ×4, audio, visual, sentences, train, test
SDT; MELD                           13  as the last, and one more
=============================  ======  ====================================================================

A dict alone is read as dialogue to vectors, as utterance to vector, or as modality to such a dict.

Each field is a dict from dialogue to the list of its utterances' values. IEMOCAP's dialogues go by their
names. MELD's go by numbers that run through the three splits: training d is d (60 is missing, as in the
release), dev d is 1039 + d, test d is 1153 + d; within a dialogue the utterances come in the order of the
release's rows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.corpora import CorpusError, pickles
from erc_kedro.corpora.iemocap import community
from erc_kedro.corpora.published.limits import allowed_bytes
from erc_kedro.corpora.published.positions import by_position, refuse_other_length
from erc_kedro.corpora.published.vectors import CONVERT, Field, Found, Vectors, shortened

# (number of fields, index of the sentences, index of each modality's vectors); the first that fits is taken.
_LAYOUTS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (9, 6, {"text": 3, "audio": 4, "visual": 5}),
    (9, 5, {"text": 3, "audio": 4}),
    (10, 6, {"text": 2}),
    (10, 6, {"text": 3, "audio": 4, "visual": 5}),
    (11, 7, {"text": 3}),
    (12, 9, {"text": 3, "audio": 7, "visual": 8}),
    (13, 9, {"text": 3, "audio": 7, "visual": 8}),
)
_MODALITY_KEYS = {
    "text": ("text", "t", "textual", "language"),
    "audio": ("audio", "a", "acoustic", "speech"),
    "visual": ("visual", "v", "video", "vision"),
}


def read_pickle(path: Path, utterances: pd.DataFrame, modality: str, field: Field) -> Found:
    content = _unpickle(path)
    name, part = _part(path, content, modality, field)
    return Found(_of_pickle(path, utterances, content, part, field), name)


def _unpickle(path: Path) -> Any:
    try:
        return pickles.loads(path.read_bytes(), allowed_bytes(path))
    except pickles.ForbiddenError as error:
        raise CorpusError(
            f"{path}: the pickle asks for {error}, which is neither a plain container nor an array of "
            f"numbers or text, and could run code. If you trust where it comes from, {CONVERT} yourself"
        ) from error
    except pickles.TooLargeError as error:
        raise CorpusError(
            f"{path}: {error}, more than features are. If you trust where it comes from, {CONVERT}"
        ) from error
    except pickles.BrokenError as error:
        raise CorpusError(f"{path}: corrupt or truncated pickle ({error}); fetch it again") from error


def _of_pickle(path: Path, utterances: pd.DataFrame, content: Any, part: Any, field: Field) -> Vectors:
    if not isinstance(part, Mapping):
        raise CorpusError(
            f"{path}: {'its content' if field is None else f'field {field!r}'} is a {_describe(part)}, not a "
            f"dict of vectors; it has {_list(content)}. Name another field"
        )
    known = set(utterances["utterance_id"])
    if any(key in known for key in part):
        return {str(key): value for key, value in part.items()}
    inner = {
        key: value
        for dialogue in part.values()
        if isinstance(dialogue, Mapping)
        for key, value in dialogue.items()
    }
    if any(key in known for key in inner):
        return {str(key): value for key, value in inner.items()}
    for key, turns in part.items():
        if not (isinstance(turns, Mapping) or _is_sequence(turns)):
            raise CorpusError(
                f"{path}: {shortened(key)} is a {_describe(turns)}, not a dialogue's vectors; {CONVERT}"
            )
    # A dialogue may be a dict from position to vector.
    dialogues = {key: _in_order(path, key, turns) for key, turns in part.items()}
    vectors: Vectors = {}
    ids = content[0] if isinstance(content, list | tuple) and content else None
    if isinstance(ids, Mapping) and ids.keys() >= part.keys() and _speak_of(ids, known):
        for dialogue, values in dialogues.items():
            names = ids[dialogue] if _is_sequence(ids[dialogue]) else []
            refuse_other_length(path, dialogue, len(values), len(names), "its list of ids")
            vectors.update(zip(map(str, names), values, strict=True))
        return vectors
    # IEMOCAP's feature files do not keep the order of start times everywhere, but one of their own.
    return by_position(path, dialogues, utterances, community()["order"])


def _in_order(path: Path, dialogue: Any, turns: Any) -> Any:
    if not isinstance(turns, Mapping):
        return turns
    try:
        return [turns[position] for position in sorted(turns)]
    except TypeError as error:
        raise CorpusError(
            f"{path}: dialogue {shortened(dialogue)} has positions of several kinds ({error}); {CONVERT}"
        ) from error


def _is_sequence(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _speak_of(ids: Mapping[Any, Any], known: set[str]) -> bool:
    lists = (names for names in ids.values() if isinstance(names, list | tuple))
    return any(isinstance(name, str) and name in known for names in lists for name in names)


def _part(path: Path, content: Any, modality: str, field: Field) -> tuple[str, Any]:
    """What is taken of a pickle, and that part."""
    if field is not None:
        try:
            return f"the field {field!r}", content[field]
        except (KeyError, IndexError, TypeError) as error:
            raise CorpusError(
                f"{path}: no field {field!r}; it has {_list(content)}. Name one of these"
            ) from error
    if isinstance(content, Mapping):
        keys = [key for key in _MODALITY_KEYS[modality] if isinstance(content.get(key), Mapping)]
        return (f"the field {keys[0]!r}", content[keys[0]]) if keys else ("all of it", content)
    if isinstance(content, list | tuple):
        for length, sentences, modalities in _LAYOUTS:
            fits = (
                len(content) == length
                and _first_value(content[sentences], str)
                and all(_first_value(content[index], None) for index in modalities.values())
            )
            if fits and modality in modalities:
                return f"the field {modalities[modality]}", content[modalities[modality]]
            if fits:
                break
    raise CorpusError(
        f"{path}: which of its fields holds {modality} is not known; it has {_list(content)}. Name one as "
        "the field"
    )


def _first_value(field: Any, kind: type | None) -> bool:
    """Whether a field's first utterance has a value of a kind, or, for None, a vector of numbers."""
    values = next(iter(field.values()), ()) if isinstance(field, Mapping) else ()
    first = next(iter(values), None) if _is_sequence(values) else None
    if kind is not None:
        return isinstance(first, kind)
    return first is not None and _is_sequence(first) and len(first) > 1 and not any(map(_is_sequence, first))


def _describe(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        inner = next(iter(value.values()))
        return f"dict of {len(value)} {type(inner).__name__}"
    counted = hasattr(value, "__len__") and getattr(value, "ndim", 1) > 0
    return f"{type(value).__name__} of {len(value)}" if counted else type(value).__name__


def _list(content: Any) -> str:
    """What a pickle holds, for a message."""
    if isinstance(content, Mapping):
        items = list(content.items())
    elif isinstance(content, list | tuple):
        items = list(enumerate(content))
    else:
        return f"a {type(content).__name__}"
    more = f", and {len(items) - 15} more" if len(items) > 15 else ""
    return ", ".join(f"{shortened(key)}: {_describe(value)}" for key, value in items[:15]) + more
