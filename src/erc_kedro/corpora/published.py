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

A pickle can run any code when it is loaded. Here it is read by a machine of our own (``pickles``) that makes
containers, numbers and arrays, and refuses anything else by name. Of all kinds of files, what they say that
they hold is compared with what is allowed before it is read.
"""

import contextlib
import hashlib
import math
import os
import re
import signal
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psutil
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from pyarrow import types

from erc_kedro.corpora import CorpusError, pickles
from erc_kedro.corpora.iemocap import community
from erc_kedro.processes import end_with
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

# The most that a file may hold once read: 14,000 utterances with 75,000 numbers each.
_MOST_BYTES = 2**32
# And what a smaller file may: no features are so much smaller packed than they are.
_MOST_BYTES_OF_A_SMALL_FILE, _MOST_PACKED = 2**28, 32
# What else than the content takes memory; and how long it may take, beside what so many bytes do.
_MEMORY, _SECONDS, _BYTES_A_SECOND = 2**29, 120.0, 2**20
# Arrow, the C library and OpenBLAS reserve by far more than they use, a thread or a core each.
_FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"}
_MOST_ARRAYS = 200_000
_LONGEST_ID = 1000
_LONGEST_HEADER = 10_000
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 8}
_HEADER = re.compile(
    r"\{'descr': '([<>=|]\w+)', 'fortran_order': (True|False), 'shape': \(((?:\d{1,12}L?,? ?){0,9})\), ?\}\s*"
)

# Columns that a message names.
_MOST_NAMES = 20
_LONGEST_NAME = 100

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
    _allow(path, path.stat().st_size, "has")
    found = readers[suffix](path, utterances, modality, field)
    table = _align(path, found.vectors, utterances)
    table.attrs |= {"part": found.part, "columns": [*found.columns], "left_out": [*found.left_out]}
    return table


def read_apart(path: Path, utterances: pd.DataFrame, modality: str, field: Field = None) -> pd.DataFrame:
    """``read`` in a process of its own, which is limited in memory and time.

    What a file does to whoever reads it, it does to that process: what a footer does not declare, and faults
    of the libraries that read it.

    Raises:
        CorpusError: as ``read``; or the process ran out of memory or time, or crashed.
    """
    from joblib.externals.loky.backend import get_context

    needed = utterances[["utterance_id", "dialogue_id", "position", "label"]]
    size = path.stat().st_size if path.is_file() else 0
    seconds = _SECONDS + size / _BYTES_A_SECOND
    context = get_context("loky")  # which does not import the main module
    ours, theirs = context.Pipe(duplex=False)
    memory = _MEMORY + 2 * _allowed(path) if size else _MEMORY
    reader = context.Process(
        target=_send,
        args=(theirs, os.getpid(), memory, path, needed, modality, field),
        env=_FRUGAL,
        daemon=True,
    )
    reader.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            raise CorpusError(f"{path}: not read within {seconds:.0f} s; {_MEND}")
        table, refusal = ours.recv()
    except (EOFError, OSError):
        reader.join()
        raise CorpusError(
            f"{path}: the process that read it crashed (exit code {reader.exitcode}); fetch "
            f"it again, or {_MEND}"
        ) from None
    finally:
        reader.terminate()
        reader.join()
    if refusal:
        raise CorpusError(refusal)
    return table


def _send(answer: Any, parent: int, memory: int, path: Path, *arguments: Any) -> None:
    """Read, and send the table or why not."""
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever waits for the answer ends this process
    pyarrow.set_cpu_count(1)
    with contextlib.suppress(ImportError, ValueError, OSError):  # where there is no such limit
        import resource

        used = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        answer.send((read(path, *arguments), ""))
    except CorpusError as error:
        answer.send((None, str(error)))
    except MemoryError:
        short = f"{path}: reading it takes more than {memory:,} bytes of memory, or than there are; {_MEND}"
        answer.send((None, short))


def fingerprint(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256, which stand for its version."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _allowed(path: Path) -> int:
    """The bytes that a file's content may take; ones that are refused are more than features are."""
    return min(_MOST_BYTES, _MOST_BYTES_OF_A_SMALL_FILE + _MOST_PACKED * path.stat().st_size)


def _allow(path: Path, declared: int, verb: str = "says that it holds") -> None:
    if declared > _allowed(path):
        raise CorpusError(
            f"{path}: it {verb} {declared:,} bytes, and {_allowed(path):,} are allowed for a file of "
            f"{path.stat().st_size:,}. Write it again with one vector an utterance, unpacked, and without "
            "what is no feature of this modality"
        )


def _align(path: Path, vectors: Vectors, utterances: pd.DataFrame) -> pd.DataFrame:
    ids = utterances["utterance_id"].tolist()
    joined = {name: _vector(path, name, vectors[name]) for name in ids if vectors.get(name) is not None}
    if not joined:
        example = ", ".join(map(_short, list(vectors)[:3]))
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
    except (TypeError, ValueError, OverflowError) as error:
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
        return _of_parquet(path, utterances, modality, field)
    except (CorpusError, MemoryError):
        raise
    except Exception as error:  # a broken footer can fail in any way
        raise CorpusError(f"{path}: cannot be read as Parquet ({error}); fetch it again") from error


def _of_parquet(path: Path, utterances: pd.DataFrame, modality: str, field: Field) -> _Found:
    with pyarrow.parquet.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
    _allow(path, _declared(schema, metadata))
    if len(set(schema.names)) < len(schema.names):
        raise CorpusError(f"{path}: two of its columns have one name; {few(schema.names, _MOST_NAMES)}")
    unnamed = {str(name) for name in (schema.pandas_metadata or {}).get("index_columns", [])}
    kinds = {
        name: kind
        for name, kind in zip(schema.names, schema.types, strict=True)
        if not (name in unnamed and re.fullmatch(r"__index_level_\d+__", name))
    }
    keys = [name for name in ("utterance_id", "dialogue_id", "position") if name in kinds]
    numeric = [name for name, kind in kinds.items() if name not in keys and _is_number(kind)]
    column = "vector" if field is None else str(field)
    chosen: list[str] = []
    if column in kinds and column not in numeric:
        leaf = _within(kinds[column])[-1]
        if not (_is_number(leaf) or types.is_decimal(leaf) or types.is_null(leaf)):
            raise CorpusError(
                f"{path}: the column {column} is not a vector of numbers, but {kinds[column]}; {_MEND}"
            )
    else:
        chosen = _chosen(path, kinds, numeric, modality, field, utterances["label"])
    # Text that is there once and repeated a million times is so in memory only if it is decoded.
    texts = [name for name in keys if _is_text(kinds[name])]
    taken = [*keys, *(chosen or [column])]
    with pyarrow.parquet.ParquetFile(path, read_dictionary=texts) as file:
        table = file.read(columns=taken, use_pandas_metadata=False)
    ids = pd.DataFrame({name: _keys(path, name, table.column(name)) for name in keys})
    if chosen:
        part = f"{len(chosen)} columns"
        values = list(table.select(chosen).to_pandas(ignore_metadata=True).to_numpy())
    else:
        part = f"the column {column}"
        values = table.column(column).to_pandas(ignore_metadata=True).tolist()
    found = _Found({}, part, chosen, [name for name in kinds if name not in taken])
    if "utterance_id" in keys:
        names = _names(path, ids["utterance_id"].astype(str).tolist())
        return found._replace(vectors=dict(zip(names, values, strict=True)))
    if len(keys) < 2:
        there = f"it has the columns {few(kinds, _MOST_NAMES)}"
        raise CorpusError(f"{path}: no utterance_id, nor dialogue_id and position; {there}. {_MEND}")
    dialogues: dict[Any, list[Any]] = defaultdict(list)
    for row in ids.assign(value=pd.Series(values, dtype=object)).sort_values(keys).itertuples():
        dialogues[row.dialogue_id].append(row.value)
    return found._replace(vectors=_by_position(path, dialogues, utterances, {}))


def _within(kind: pyarrow.DataType) -> list[pyarrow.DataType]:
    """A kind of column, what it is a list of, what that is a list of, and so on."""
    kinds = [kind]
    while True:
        kind = kinds[-1]
        if isinstance(kind, pyarrow.BaseExtensionType):
            kinds.append(kind.storage_type)
        elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            kinds.append(kind.value_type)
        else:
            return kinds


def _declared(schema: pyarrow.Schema, metadata: pyarrow.parquet.FileMetaData) -> int:
    """The bytes that a Parquet file's columns will take, as its footer says."""
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            width = _WIDTHS.get(chunk.physical_type) or max(1, metadata.schema.column(place).length)
            total += max(width * max(chunk.num_values, group.num_rows), chunk.total_uncompressed_size, 0)
    for kind in schema.types:
        # Of lists of one length, an absent one takes as much.
        sizes = [inner.list_size for inner in _within(kind) if types.is_fixed_size_list(inner)]
        total = max(total, metadata.num_rows * math.prod(sizes))
    return max(total, 8 * metadata.num_rows * len(schema.names))


def _is_number(kind: pyarrow.DataType) -> bool:
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _is_text(kind: pyarrow.DataType) -> bool:
    return types.is_string(kind) or types.is_large_string(kind)


def _keys(path: Path, name: str, column: pyarrow.ChunkedArray) -> pd.Series:
    """A column of ids or positions."""
    if types.is_dictionary(column.type):
        for chunk in column.chunks:
            texts = chunk.dictionary
            longest = pyarrow.compute.max(pyarrow.compute.binary_length(texts)).as_py() if len(texts) else 0
            if _is_text(texts.type) and (longest or 0) > _LONGEST_ID:
                raise CorpusError(
                    f"{path}: {name} has a value of {longest:,} bytes, and {_LONGEST_ID:,} are allowed; "
                    "name the utterances as the corpus does"
                )
        column = column.cast(column.type.value_type)
    if not (_is_text(column.type) or types.is_primitive(column.type) or types.is_null(column.type)):
        raise CorpusError(f"{path}: {name} is neither text nor a number, but {column.type}; {_MEND}")
    return column.to_pandas(ignore_metadata=True)


def _chosen(
    path: Path,
    kinds: Mapping[str, pyarrow.DataType],
    numeric: list[str],
    modality: str,
    field: Field,
    labels: pd.Series,
) -> list[str]:
    """The numeric columns that are features: those asked for, or all, but none that is something else."""
    mend = f"features.{modality}.field"
    there = f"it has the columns {few(kinds, _MOST_NAMES)}"
    patterns = [str(name) for name in ([field] if isinstance(field, str | int) else field or ())]
    for pattern in patterns:
        if not any(_matches(name, [pattern]) for name in numeric):
            raise CorpusError(
                f"{path}: no column {pattern!r} of numbers; {there}. Name one of these in {mend}, or "
                "several, or patterns such as mfcc*"
            )
    if field is None:
        lists = [name for name, kind in kinds.items() if len(_within(kind)) > 1]
        if lists:
            raise CorpusError(
                f"{path}: no column vector, but lists in {few(lists, _MOST_NAMES)}; name it in {mend}"
            )
        chosen = [name for name in numeric if not types.is_boolean(kinds[name])]
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
    del modality  # an npz names its utterances
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(path, archive)
            if "utterance_id" not in members:
                wanted = set(utterances["utterance_id"])
                # Of the others, only the names are told.
                vectors = {
                    name: _member(archive, member) if name in wanted else None
                    for name, member in members.items()
                }
                return _Found(vectors, "arrays named by utterances")
            column = "vectors" if field is None else str(field)
            if column not in members:
                raise CorpusError(f"{path}: no array {column!r}; it has {few(members, _MOST_NAMES)}")
            names = _member(archive, members["utterance_id"]).astype(str).tolist()
            values = _member(archive, members[column])
    except (
        OSError,
        EOFError,
        ValueError,
        pickles.BrokenError,
        pickles.ForbiddenError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if isinstance(error, CorpusError):
            raise
        raise CorpusError(
            f"{path}: cannot be read as an npz of plain arrays ({error}); write it with np.savez "
            "from arrays of numbers and strings"
        ) from error
    if not isinstance(names, list) or values.ndim < 1 or len(names) != len(values):
        raise CorpusError(
            f"{path}: utterance ids of the shape {np.shape(names)} and vectors of {values.shape}; write the "
            "file again with one vector an id"
        )
    vectors = dict(zip(_names(path, names), values, strict=True))
    left_out = [name for name in members if name not in ("utterance_id", column)]
    return _Found(vectors, f"the array {column}", (), left_out)


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """An archive's arrays by their names, which are names only and no paths."""
    members = archive.infolist()
    _allow(path, sum(member.file_size for member in members))
    if len(members) > _MOST_ARRAYS:
        raise CorpusError(
            f"{path}: it has {len(members):,} arrays, and {_MOST_ARRAYS:,} are allowed; {_MEND}"
        )
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename!r} is packed in a way that NumPy does not write")
    _names(path, [member.filename for member in members])
    return {member.filename.removesuffix(".npy"): member for member in members}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array, of exactly as many bytes as follow its header."""
    with archive.open(member) as file:
        magic = file.read(8)
        length = int.from_bytes(file.read(2 if magic[6:7] == b"\x01" else 4), "little")
        header = _HEADER.fullmatch(file.read(min(length, _LONGEST_HEADER)).decode("latin1"))
        if not magic.startswith(b"\x93NUMPY") or header is None:
            raise ValueError(f"{member.filename!r} is not an array of numbers or text")
        data = file.read()
    shape = [int(number) for number in re.findall(r"\d+", header[3])]
    return pickles.array(header[1], shape, data, "F" if header[2] == "True" else "C")


# Community pickles


def _unpickle(path: Path) -> Any:
    try:
        return pickles.loads(path.read_bytes(), _allowed(path))
    except pickles.ForbiddenError as error:
        raise CorpusError(
            f"{path}: the pickle asks for {error}, which is neither a plain container nor an array of "
            f"numbers or text, and could run code. If you trust where it comes from, {_MEND} yourself"
        ) from error
    except pickles.TooLargeError as error:
        raise CorpusError(
            f"{path}: {error}, more than features are. If you trust where it comes from, {_MEND}"
        ) from error
    except pickles.BrokenError as error:
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
        if not (isinstance(turns, Mapping) or _is_sequence(turns)):
            raise CorpusError(
                f"{path}: {_short(key)} is a {_describe(turns)}, not a dialogue's vectors; {_MEND}"
            )
    # A dialogue may be a dict from position to vector.
    dialogues = {key: _in_order(path, key, turns) for key, turns in part.items()}
    vectors: Vectors = {}
    ids = content[0] if isinstance(content, list | tuple) and content else None
    if isinstance(ids, Mapping) and ids.keys() >= part.keys() and _speak_of(ids, known):
        for dialogue, values in dialogues.items():
            names = ids[dialogue] if _is_sequence(ids[dialogue]) else []
            _same_length(path, dialogue, len(values), len(names), "its list of ids")
            vectors.update(zip(map(str, names), values, strict=True))
        return vectors
    # IEMOCAP's feature files do not keep the order of start times everywhere, but one of their own.
    return _by_position(path, dialogues, utterances, community()["order"])


def _in_order(path: Path, dialogue: Any, turns: Any) -> Any:
    if not isinstance(turns, Mapping):
        return turns
    try:
        return [turns[position] for position in sorted(turns)]
    except TypeError as error:
        raise CorpusError(
            f"{path}: dialogue {_short(dialogue)} has positions of several kinds ({error}); {_MEND}"
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


def _short(key: Any) -> str:
    """A name that a file gives, for a message."""
    return repr(key if not isinstance(key, str | bytes) else key[:_LONGEST_NAME])


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
    return ", ".join(f"{_short(key)}: {_describe(value)}" for key, value in items[:15]) + more


# The join by dialogue and position


def _same_length(path: Path, dialogue: Any, there: int, here: int, whose: str) -> None:
    if there != here:
        raise CorpusError(
            f"{path}: dialogue {str(dialogue)[:_LONGEST_NAME]} has {there} utterances in it and {here} in "
            f"{whose}; a join by position would mix them up. Use the protocol the file was "
            "made for, or a file with utterance ids"
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
