"""Which columns of a table are features: those asked for, and none that is by its name something else."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd
import pyarrow
from pyarrow import types

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.published.vectors import CONVERT, MOST_NAMES, Field
from erc_kedro.sentences import few

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


def chosen_columns(
    path: Path,
    kinds: Mapping[str, pyarrow.DataType],
    numeric: list[str],
    modality: str,
    field: Field,
    labels: pd.Series,
) -> list[str]:
    """The numeric columns that are features: those asked for, or all, but none that is something else."""
    option = f"features.{modality}.field"
    there = f"it has the columns {few(kinds, MOST_NAMES)}"
    patterns = [str(name) for name in ([field] if isinstance(field, str | int) else field or ())]
    for pattern in patterns:
        if not any(_matches(name, [pattern]) for name in numeric):
            raise CorpusError(
                f"{path}: no column {pattern!r} of numbers; {there}. Name one of these in {option}, or "
                "several, or patterns such as mfcc*"
            )
    if field is None:
        lists = [name for name, kind in kinds.items() if len(within(kind)) > 1]
        if lists:
            raise CorpusError(
                f"{path}: no column vector, but lists in {few(lists, MOST_NAMES)}; name it in {option}"
            )
        chosen = [name for name in numeric if not types.is_boolean(kinds[name])]
    else:
        chosen = [name for name in numeric if _matches(name, patterns)]
    if not chosen:
        raise CorpusError(f"{path}: neither a column vector nor numeric columns; {there}. {CONVERT}")
    of_classes = {word for name in labels.dropna().unique() for word in _words(str(name))}
    odd = [name for name in chosen if name not in patterns and _is_no_feature(name, of_classes)]
    if odd:
        others = [name for name in chosen if name not in odd]
        raise CorpusError(
            f"{path}: no features by their names, but of the corpus or its labels: {few(odd, MOST_NAMES)}. "
            f"Name the columns that are features, or patterns of their names, in {option}, such as "
            f"[{', '.join(others[:2]) or 'mfcc*'}], or take the others out of the file"
            + (f". Its other columns of numbers are {few(others, MOST_NAMES)}" if others else "")
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


def within(kind: pyarrow.DataType) -> list[pyarrow.DataType]:
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


def is_number(kind: pyarrow.DataType) -> bool:
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
