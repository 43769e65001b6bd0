"""Features that others published, joined to an utterance table.

Read are Parquet, npz, and the pickles that the community passes around. The latter's layouts, as the code
that loads them unpacks them:

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

A pickle can run any code when it is loaded. Here it is read by an unpickler that admits containers, numbers
and NumPy arrays, and refuses anything else by name.
"""

import hashlib
import pickle
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.iemocap import community
from erc_kedro.sentences import few

_MELD_OFFSETS = {"train": 0, "dev": 1039, "test": 1153}
_MELD_DIALOGUE = re.compile(r"(train|dev|test)_dia(\d+)")

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
_MEND = "convert it to Parquet with the columns utterance_id and vector"

# Words of a column's name that are of the corpus, of its raters or of a classifier, never of a measurement;
# and words that say nothing by themselves, beside one of those or alone.
_NO_FEATURE = re.compile(
    "(label|lbl|emotion|emo|sentiment|polarity|class|classe|category|target|gold|gt|truth|groundtruth"
    "|onehot|annotation"
    "|annotator|rater|rating|vote|valence|arousal|dominance|dom|pred|predicted|prediction|prob|proba"
    "|probability|probabilitie|logit|posterior|softmax|split|train|training|val|valid|validation|dev|test"
    "|fold|partition|subset|speaker|spk|gender|sex|male|female|age|group|subject|participant|actor|person"
    "|dialogue|dialog|dia|conversation|conv|utterance|utt|turn|position|session|sess|season|episode|scene"
    "|index|idx|id|uid|no|nr|num|number|row|line|unnamed|start|end|begin|stop|onset|offset|time|timestamp"
    "|frame|anger|angry|happy|happiness|joy|sad|sadness|neutral|fear|fearful|disgust|surprise|surprised"
    "|excited|excitement|frustrated|frustration|contempt|boredom)s?"
)
_FILLER = re.compile(
    "s|secs?|seconds?|ms|an?|the|of|is|has|in|at|by|and|or|not|p|y|set|codes?|encoded|enc|names?|values?"
    "|scores?|true|hot|one|level|mean|avg|std|pos|act|clip|video|text|audio|visual|face|sr"
    "|int|numeric|ground|majority|perceived|intended|confidence|file|wav"
)

# Columns that a message names.
_MOST_NAMES = 20

Vectors = dict[str, Any]
Field = str | int | Sequence[str] | None


class _Found(NamedTuple):
    """Vectors by utterance id; what part of the file they are; and of a table's columns, the names."""

    vectors: Vectors
    part: str
    columns: Sequence[str] = ()
    left_out: Sequence[str] = ()


def read(path: Path, utterances: pd.DataFrame, modality: str, field: Field = None) -> pd.DataFrame:
    """Read one modality's published vectors.

    Args:
        path: ``.parquet`` (utterance_id, or dialogue_id and position, beside a ``vector`` list column or
            numeric columns), ``.npz`` (arrays named by utterance ids, or the arrays ``utterance_id`` and
            ``vectors``), or a pickle (see the module).
        utterances: the utterance table to join to.
        modality: text, audio or visual; says which part of a pickle is meant.
        field: the list column of a Parquet file, or its numeric columns by names and patterns (``mfcc*``);
            the array of an npz beside ``utterance_id``; or the element of a pickled tuple or dict. Null for
            the usual one; of a Parquet file without it, all numeric columns.

    Returns:
        a row an utterance, in the table's order: ``utterance_id``, ``vector`` (float32, all of one length;
        zeros where absent), ``present``, ``reason`` (ok, not_in_file, not_finite). Its ``attrs`` say in
        ``part`` what of the file was taken, in ``columns`` the name of each number, where numbers have
        names, and in ``left_out`` a table's other columns.

    Raises:
        CorpusError: the file cannot be read, holds a class that is not admitted or no such field, its vectors
            differ in length, a dialogue's length differs from the table's, no utterance is in it, or a
            column of numbers is by its name no feature, and was not asked for by this very name.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such file; correct the path of the published {modality} features")
    readers: dict[str, Callable[..., _Found]] = {".parquet": _read_parquet, ".npz": _read_npz}
    suffix = path.suffix.lower()
    if suffix in (".pkl", ".pickle", ".p"):
        readers[suffix] = _read_pickle
    if suffix not in readers:
        raise CorpusError(f"{path}: {suffix or 'no suffix'} is not .parquet, .npz or .pkl; {_MEND}")
    found = readers[suffix](path, utterances, modality, field)
    table = _align(path, found.vectors, utterances)
    table.attrs |= {"part": found.part, "columns": [*found.columns], "left_out": [*found.left_out]}
    return table


def fingerprint(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256, which stand for its version."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _align(path: Path, vectors: Vectors, utterances: pd.DataFrame) -> pd.DataFrame:
    ids = utterances["utterance_id"].tolist()
    joined = {name: _vector(path, name, vectors[name]) for name in ids if name in vectors}
    if not joined:
        example = ", ".join(map(repr, list(vectors)[:3]))
        raise CorpusError(
            f"{path}: none of the {len(ids)} utterances is in it; it has {example or 'nothing'}, "
            f"the corpus has {ids[0]!r}. Name the file that belongs to this corpus"
        )
    lengths = {name: len(vector) for name, vector in joined.items()}
    length = next(iter(lengths.values()))
    odd = next((name for name in lengths if lengths[name] != length), None)
    if odd is not None:
        raise CorpusError(
            f"{path}: {next(iter(lengths))} has {length} numbers and {odd} {lengths[odd]}; "
            "all vectors of a modality have one length, write the file again"
        )
    nothing = np.zeros(length, np.float32)
    finite = {name: bool(np.isfinite(vector).all()) for name, vector in joined.items()}
    reasons = {True: "ok", False: "not_finite", None: "not_in_file"}
    return pd.DataFrame(
        {
            "utterance_id": utterances["utterance_id"].to_numpy(),
            "vector": [joined[name] if finite.get(name) else nothing for name in ids],
            "present": [finite.get(name, False) for name in ids],
            "reason": [reasons[finite.get(name)] for name in ids],
        }
    ).astype({"utterance_id": "str", "reason": "str"})


def _vector(path: Path, name: str, value: Any) -> np.ndarray:
    try:
        # A float64 beyond float32 becomes infinite here, and counts as not finite.
        with np.errstate(over="ignore"):
            vector = np.atleast_1d(np.asarray(value, dtype=np.float32).squeeze())
    except (TypeError, ValueError) as error:
        raise CorpusError(f"{path}: {name} is not a vector of numbers ({error}); {_MEND}") from error
    if vector.ndim != 1:
        raise CorpusError(
            f"{path}: {name} has shape {vector.shape}, not one vector an utterance; pool it over time first"
        )
    return vector


def _names(path: Path, names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        twice = pd.Series(names)[pd.Series(names).duplicated()].iloc[0]
        raise CorpusError(f"{path}: {twice} is there twice; keep one row an utterance")
    return names


# Parquet and npz


def _read_parquet(path: Path, utterances: pd.DataFrame, modality: str, field: Field) -> _Found:
    try:
        table = pd.read_parquet(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise CorpusError(f"{path}: cannot be read as Parquet ({error}); fetch it again") from error
    if any(table.index.names):
        table = table.reset_index()
    table.columns = table.columns.map(str)
    there = f"it has the columns {few(table.columns, _MOST_NAMES)}"
    keys = [name for name in ("utterance_id", "dialogue_id", "position") if name in table.columns]
    numeric = [name for name in table.columns.drop(keys) if is_numeric_dtype(table[name])]
    column = "vector" if field is None else str(field)
    chosen: list[str] = []
    if column in table.columns and column not in numeric:
        part, values = f"the column {column}", table[column].tolist()
    else:
        chosen = _chosen(path, table, numeric, modality, field, utterances["label"])
        part, values = f"{len(chosen)} columns", list(table[chosen].to_numpy())
    taken = {*keys, *(chosen or [column])}
    found = _Found({}, part, chosen, [name for name in table.columns if name not in taken])
    if "utterance_id" in keys:
        names = _names(path, table["utterance_id"].astype(str).tolist())
        return found._replace(vectors=dict(zip(names, values, strict=True)))
    if len(keys) < 2:
        raise CorpusError(f"{path}: no utterance_id, nor dialogue_id and position; {there}. {_MEND}")
    dialogues: dict[Any, list[Any]] = defaultdict(list)
    rows = table[keys].assign(value=pd.Series(values, index=table.index, dtype=object))
    for row in rows.sort_values(keys).itertuples():
        dialogues[row.dialogue_id].append(row.value)
    return found._replace(vectors=_by_position(path, dialogues, utterances, {}))


def _chosen(
    path: Path, table: pd.DataFrame, numeric: list[str], modality: str, field: Field, labels: pd.Series
) -> list[str]:
    """The numeric columns that are features: those asked for, or all, but none that is something else."""
    mend = f"features.{modality}.field"
    there = f"it has the columns {few(table.columns, _MOST_NAMES)}"
    patterns = [str(name) for name in ([field] if isinstance(field, str | int) else field or ())]
    for pattern in patterns:
        if not any(_matches(name, [pattern]) for name in numeric):
            raise CorpusError(
                f"{path}: no column {pattern!r} of numbers; {there}. Name one of these in {mend}, or "
                "several, or patterns such as mfcc*"
            )
    if field is None:
        firsts = {name: next(iter(table[name]), None) for name in table.columns}
        lists = [name for name, first in firsts.items() if isinstance(first, list | tuple | np.ndarray)]
        if lists:
            raise CorpusError(
                f"{path}: no column vector, but lists in {few(lists, _MOST_NAMES)}; name it in {mend}"
            )
        chosen = [name for name in numeric if not is_bool_dtype(table[name])]
    else:
        chosen = [name for name in numeric if _matches(name, patterns)]
    if not chosen:
        raise CorpusError(f"{path}: neither a column vector nor numeric columns; {there}. {_MEND}")
    of_classes = {word for name in labels.dropna().unique() for word in _words(str(name))}
    odd = [name for name in chosen if name not in patterns and _is_no_feature(name, of_classes)]
    if odd:
        others = [name for name in chosen if name not in odd]
        raise CorpusError(
            f"{path}: no features by their names, but of the corpus or its labels: {few(odd, _MOST_NAMES)}. "
            f"Name the columns that are features, or patterns of their names, in {mend}, such as "
            f"[{', '.join(others[:2]) or 'mfcc*'}], or take the others out of the file"
            + (f". Its other numbers are {few(others, _MOST_NAMES)}" if others else "")
        )
    return chosen


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def _is_no_feature(name: str, of_classes: set[str]) -> bool:
    words = [word for word in _words(name) if not _FILLER.fullmatch(word)]
    if not words:
        return name.strip().lower() in ("y", "y_true", "ytrue")
    # F0 is no class F; p_F is.
    numbered = any(char.isdigit() for char in name)
    return all(
        _NO_FEATURE.fullmatch(word) or (word in of_classes and not (numbered and len(word) == 1))
        for word in words
    )


def _words(name: str) -> list[str]:
    """``Emotion_ID 2`` as emotion and id."""
    found = re.findall(r"[A-Z]{2,}(?![a-z])|[A-Z]?[^\WA-Z\d_]+|[A-Z]", name)
    return [word.lower() for word in found]


def _read_npz(path: Path, utterances: pd.DataFrame, modality: str, field: Field) -> _Found:
    del utterances, modality  # an npz names its utterances
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "utterance_id" not in archive:
                vectors = {name: archive[name] for name in archive.files}
                return _Found(vectors, "arrays named by utterances")
            column = "vectors" if field is None else str(field)
            if column not in archive:
                raise CorpusError(f"{path}: no array {column!r}; it has {', '.join(archive.files)}")
            names, values = archive["utterance_id"].astype(str).tolist(), archive[column]
            left_out = [name for name in archive.files if name not in ("utterance_id", column)]
    except CorpusError:
        raise
    except Exception as error:  # zip, zlib, header and object-array errors are of many kinds
        raise CorpusError(
            f"{path}: cannot be read as an npz of plain arrays ({error}); write it with np.savez "
            "from arrays of numbers and strings"
        ) from error
    if len(names) != len(values):
        raise CorpusError(
            f"{path}: {len(names)} utterance ids and {len(values)} vectors; write the file again"
        )
    vectors = dict(zip(_names(path, names), values, strict=True))
    return _Found(vectors, f"the array {column}", (), left_out)


# Community pickles


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """``_codecs.encode`` as old pickles of bytes call it, for the encoding that they name."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


def _admitted() -> dict[tuple[str, str], Any]:
    multiarray = np._core.multiarray  # type: ignore[attr-defined]
    numeric = np._core.numeric  # type: ignore[attr-defined]
    plain = (
        set,
        frozenset,
        bytearray,
        complex,
        slice,
        range,
        list,
        dict,
        tuple,
        int,
        float,
        bool,
        str,
        bytes,
    )
    admitted: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("collections", "OrderedDict"): OrderedDict,
        ("collections", "defaultdict"): defaultdict,
        ("_codecs", "encode"): _encode,
        ("__builtin__", "unicode"): str,
        ("__builtin__", "long"): int,
        ("__builtin__", "xrange"): range,
    }
    for module in ("builtins", "__builtin__"):
        admitted |= {(module, kind.__name__): kind for kind in plain}
    for package in ("numpy.core", "numpy._core"):
        admitted[f"{package}.multiarray", "_reconstruct"] = multiarray._reconstruct
        admitted[f"{package}.multiarray", "scalar"] = multiarray.scalar
        admitted[f"{package}.numeric", "_frombuffer"] = numeric._frombuffer
    return admitted


class _Unpickler(pickle.Unpickler):
    """An unpickler that hands out what a fixed list names, and imports nothing."""

    admitted = _admitted()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.admitted[module, name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None


class _ForbiddenError(pickle.UnpicklingError):
    pass


def _unpickle(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return _Unpickler(file, encoding="latin1").load()
    except _ForbiddenError as error:
        raise CorpusError(
            f"{path}: the pickle asks for {error}, which is neither a plain container nor a NumPy array, "
            "and could "
            f"run code. If you trust where it comes from, {_MEND} yourself"
        ) from error
    except Exception as error:  # a broken pickle can fail in any way
        raise CorpusError(f"{path}: corrupt or truncated pickle ({error}); fetch it again") from error


def _read_pickle(path: Path, utterances: pd.DataFrame, modality: str, field: Field) -> _Found:
    content = _unpickle(path)
    name, part = _part(path, content, modality, field)
    return _Found(_of_pickle(path, utterances, content, part, field), name)


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
        if not isinstance(turns, Mapping | list | tuple | np.ndarray):
            raise CorpusError(f"{path}: {key!r} is a {_describe(turns)}, not a dialogue's vectors; {_MEND}")
    vectors: Vectors = {}
    ids = content[0] if isinstance(content, list | tuple) and content else None
    if isinstance(ids, Mapping) and ids.keys() >= part.keys() and _speak_of(ids, known):
        for dialogue, values in part.items():
            _same_length(path, dialogue, len(values), len(ids[dialogue]), "its list of ids")
            vectors.update(zip(map(str, ids[dialogue]), values, strict=True))
        return vectors
    # A dialogue as a dict from position to vector.
    dialogues = {
        key: [turns[position] for position in sorted(turns)] if isinstance(turns, Mapping) else turns
        for key, turns in part.items()
    }
    # IEMOCAP's feature files do not keep the order of start times everywhere, but one of their own.
    return _by_position(path, dialogues, utterances, community()["order"])


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
    first = next(iter(values), None) if isinstance(values, list | tuple | np.ndarray) else None
    if kind is not None:
        return isinstance(first, kind)
    return isinstance(first, list | tuple | np.ndarray) and np.ndim(first) == 1 and np.size(first) > 1


def _describe(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        inner = next(iter(value.values()))
        return f"dict of {len(value)} {type(inner).__name__}"
    return f"{type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else type(value).__name__


def _list(content: Any) -> str:
    """What a pickle holds, for a message."""
    if isinstance(content, Mapping):
        items = list(content.items())
    elif isinstance(content, list | tuple):
        items = list(enumerate(content))
    else:
        return f"a {type(content).__name__}"
    more = f", and {len(items) - 15} more" if len(items) > 15 else ""
    return ", ".join(f"{key!r}: {_describe(value)}" for key, value in items[:15]) + more


# The join by dialogue and position


def _same_length(path: Path, dialogue: Any, there: int, here: int, whose: str) -> None:
    if there != here:
        raise CorpusError(
            f"{path}: dialogue {dialogue} has {there} utterances in it and {here} in {whose}; a join by "
            "position "
            "would mix them up. Use the protocol the file was made for, or a file with utterance ids"
        )


def _dialogue_key(dialogue_id: str, keys: Mapping[str, Any]) -> str | None:
    """The key under which a file has a dialogue: its name, or MELD's running number."""
    if dialogue_id in keys:
        return dialogue_id
    match = _MELD_DIALOGUE.fullmatch(dialogue_id)
    number = str(_MELD_OFFSETS[match[1]] + int(match[2])) if match else ""
    return number if number in keys else None


def _by_position(
    path: Path, dialogues: Mapping[Any, Any], utterances: pd.DataFrame, orders: Mapping[str, str]
) -> Vectors:
    by_name = {str(key): values for key, values in dialogues.items()}
    vectors: Vectors = {}
    table = utterances.sort_values(["dialogue_id", "position"])
    for dialogue_id, ids in table.groupby("dialogue_id")["utterance_id"]:
        key = _dialogue_key(str(dialogue_id), by_name)
        if key is None:
            continue
        names = ids.tolist()
        order = orders.get(str(dialogue_id), "").split()
        if len(order) == len(by_name[key]):
            names = [f"{dialogue_id}_{turn}" for turn in order]
        _same_length(path, dialogue_id, len(by_name[key]), len(names), "the corpus")
        vectors.update(zip(names, by_name[key], strict=True))
    return vectors
