"""A reader of somebody's own, ``package.module:function``, and what it must return."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from pandera.errors import SchemaErrors

from erc_kedro import dotted, schemas
from erc_kedro.corpora import Corpus, CorpusError
from erc_kedro.escaping import line

PARAMETER = "ingestion.reader"
# What every page says of a corpus, and its type.
_FACTS = {"name": str, "protocol": str, "synthetic": bool}
_IRREGULARITIES = ["kind", "where", "detail"]
# So many errors of a table are told at once.
_MOST = 3


def read(name: str, raw: Path) -> Corpus:
    """What the named function makes of the corpus's folder or file, checked.

    Raises:
        CorpusError: there is no such function, it fails, or what it returns is no corpus.
    """
    reader = dotted.imported(name, PARAMETER, CorpusError)
    if not callable(reader):
        raise CorpusError(f"{PARAMETER}: {name} is no function; write one that gets a path")
    try:
        made = reader(raw)
    except CorpusError:
        raise
    except Exception as error:
        said = dotted.failure(error, name)
        raise CorpusError(f"{PARAMETER}: {name} fails on {raw} ({said}); mend its code") from error
    said = f"{PARAMETER}: {name} returns"
    if not isinstance(made, Corpus):
        raise CorpusError(f"{said} a {type(made).__name__}; return an erc_kedro.corpora.Corpus")
    _check_facts(made, said)
    _check_table(made.utterances, said)
    strange = sorted(set(made.utterances["label"].dropna()) - set(made.labels))
    if strange:
        raise CorpusError(f"{said} utterances with label {strange[0]!r}, which is none of its labels; add it")
    # Stages that need them do not ask whether they are there.
    return replace(made, facts={"raw": str(raw), "notes": [], **made.facts})


def _check_facts(made: Corpus, said: str) -> None:
    labels = made.labels
    # A list would do, but a text is a sequence of texts, too.
    if not isinstance(labels, tuple) or not all(isinstance(label, str) and label for label in labels):
        raise CorpusError(f"{said} labels {line(labels, 90)}; write a tuple of texts such as ('glad', 'sad')")
    if len(set(labels)) < len(labels):
        raise CorpusError(f"{said} labels of which one is there twice; name each once")
    for key, kind in _FACTS.items():
        if not isinstance(made.facts.get(key), kind):
            raise CorpusError(
                f"{said} facts whose {key} is {line(repr(made.facts.get(key)), 60)}; write a {kind.__name__}"
            )
    table = made.irregularities
    if not isinstance(table, pd.DataFrame) or list(table.columns) != _IRREGULARITIES:
        raise CorpusError(
            f"{said} irregularities that are no table of {', '.join(_IRREGULARITIES)}; make it with "
            "erc_kedro.corpora.tables.irregularity_table"
        )


def _check_table(table: Any, said: str) -> None:
    mend = "mend it, or let erc_kedro.corpora.tables.utterance_table make it of rows"
    if not isinstance(table, pd.DataFrame):
        raise CorpusError(f"{said} utterances that are a {type(table).__name__}; {mend}")
    try:
        schemas.utterances.validate(table, lazy=True)
    except SchemaErrors as error:
        found = error.failure_cases.drop_duplicates(["column", "check"])
        # A check that could not be made, since the type is wrong, which is told.
        found = found[~found["failure_case"].astype("str").str.startswith("TypeError(")]
        told = [_told(case) for case in found.head(_MOST).to_dict("records")]
        more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
        raise CorpusError(f"{said} utterances of which {'; '.join(told)}{more}; {mend}") from error


def _told(case: dict[str, Any]) -> str:
    """One failure that pandera found."""
    value = line(case["failure_case"], 60)
    match str(case["check"]):
        case "column_in_dataframe":
            return f"column {value} is missing"
        case "column_in_schema":
            return f"column {value} is none that they have"
        case "column_ordered":
            return "the columns are in another order"
        case "not_nullable":
            return f"column {case['column']} is empty in row {case['index']}"
        case "field_uniqueness":
            return f"column {case['column']} has {value!r} twice (row {case['index']})"
        case check if case["schema_context"] == "Column" and pd.notna(case["index"]):
            return f"column {case['column']} has {value!r} in row {case['index']} ({check})"
        case check if case["schema_context"] == "Column":
            return f"column {case['column']} has {value} ({check})"
        case check:
            return f"it does not hold that {check}"
