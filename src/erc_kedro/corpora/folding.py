"""Which dialogues make up a fold: left out by a column, or dealt out at random."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from erc_kedro.corpora import Corpus, CorpusError
from erc_kedro.folds import views
from erc_kedro.parameters import ProtocolParameters
from erc_kedro.sentences import few

# A fold each for test and validation, and one to train on.
FEWEST = 3
_LONGEST_NAME = 60


def folded(corpus: Corpus, protocol: ProtocolParameters, together: Mapping[str, str] | None = None) -> Corpus:
    """A corpus whose dialogues lie in folds, as the protocol asks; as it was where it asks for none.

    ``leave_one_out`` makes a fold of each value of the column. Dialogues that share a value, or a speaker of
    labelled utterances, lie in one fold, so that no speaker is in two. ``folds`` deals dialogues, or all
    dialogues of each value of ``by``, into so many folds of like size and classes.

    Args:
        together: dialogue to a name; dialogues of one name, such as of one recording, lie in one fold.

    Returns:
        the corpus with ``fold`` in its utterances, and ``split`` as the first fold has it; dialogues without
        a label have no fold. Its facts' ``protocol`` and ``notes`` say so, and ``folds`` has ``by``,
        ``names`` and ``shared_speakers``, how many speakers lie in several folds.

    Raises:
        CorpusError: there is no such column, a labelled utterance has no value in it, or fewer than
            ``FEWEST`` folds come of it.
    """
    if not protocol.makes_folds:
        return corpus
    by = protocol.leave_one_out or protocol.by
    name = corpus.facts.get("name", "the corpus")
    table = corpus.utterances
    labelled = table[table["label"].notna()]
    if labelled.empty:
        raise CorpusError(f"{name}: folds need labelled utterances, and there is none; set protocol to null")
    value = _values(labelled, by, corpus.groupings, name)
    ties = {"value": value}
    if together:
        ties["recording"] = "recording " + labelled["dialogue_id"].map(dict(together))
    if protocol.leave_one_out:
        ties["speaker"] = "speaker " + labelled["speaker"]
    group = _connected(labelled["dialogue_id"], [*ties.values()])
    groups = group.nunique()
    wanted = protocol.folds or FEWEST
    if groups < wanted:
        raise CorpusError(_too_few(name, by, labelled, ties, groups, wanted))
    if protocol.leave_one_out:
        fold_of = _named(group, value.str.removeprefix(f"{by} "))
        how = f"one {by} left out at a time"
    else:
        fold_of = _dealt(labelled, group, wanted)
        how = f"{wanted} folds by {by}"
    of_dialogue = fold_of.groupby(labelled["dialogue_id"]).first()
    table = table.assign(fold=table["dialogue_id"].map(of_dialogue).astype("str"))
    table["split"] = views(table)[0].utterances["split"]
    in_folds = table[table["label"].notna()].groupby("speaker")["fold"].nunique()
    shared = int((in_folds > 1).sum())
    names = [view.name for view in views(table)]
    count = len(names)
    note = (
        f"Every dialogue is tested once, by models that have not seen its fold: {count} folds ({how}), "
        "validation is the next fold in order, training the rest. "
        + (
            f"{shared} of {len(in_folds)} speakers are in several folds."
            if shared
            else "No speaker is in two folds."
        )
    )
    facts = {
        **corpus.facts,
        "protocol": f"{corpus.facts['protocol']}, {how}",
        "notes": [
            *(said for said in corpus.facts.get("notes", []) if said != corpus.facts.get("split_note")),
            note,
        ],
        "folds": {"by": by, "names": names, "shared_speakers": shared},
    }
    return replace(corpus, utterances=table, facts=facts)


def _values(
    labelled: pd.DataFrame, by: str, groupings: Mapping[str, Mapping[str, str]], name: str
) -> pd.Series:
    """The column's value of each labelled utterance, with the column's name before it."""
    own = {"dialogue": "dialogue_id", "dialogue_id": "dialogue_id", "speaker": "speaker"}
    if by in own:
        value = labelled[own[by]]
    elif by in groupings:
        value = labelled["utterance_id"].map(dict(groupings[by]))
    else:
        there = ", ".join(["dialogue", "speaker", *groupings])
        raise CorpusError(f"{name}: protocol: there is no column {by!r} to make folds by; there are {there}")
    without = labelled.loc[value.isna(), "utterance_id"]
    if len(without):
        raise CorpusError(
            f"{name}: {len(without)} labelled utterances have no {by}, such as {few(without, 3)}; fill the "
            f"column {by}, or make folds by another"
        )
    return f"{by} " + value.astype("str")


def _connected(dialogue: pd.Series, ties: list[pd.Series]) -> pd.Series:
    """Numbers of groups of utterances that no tie and no dialogue joins to another group."""
    names = pd.concat(["dialogue_id " + dialogue, *ties])
    code, kinds = pd.factorize(names)
    columns = code.reshape(1 + len(ties), len(dialogue))
    rows = np.tile(columns[0], len(ties))
    edges = coo_array((np.ones(len(rows)), (rows, columns[1:].ravel())), shape=(len(kinds), len(kinds)))
    part = connected_components(edges, directed=False)[1]
    return pd.Series(part[columns[0]], dialogue.index)


def _named(group: pd.Series, value: pd.Series) -> pd.Series:
    """Folds called by the values that they hold, as a folder may be."""
    names: dict[Any, str] = {}
    for number, own in value.groupby(group):
        first = own.unique()
        more = f"_and_{len(first) - 1}" if len(first) > 1 else ""
        plain = re.sub(r"[^\w.-]+", "_", str(first[0]))[:_LONGEST_NAME] + more
        taken = {name.casefold() for name in names.values()}
        # Two values may differ by what no folder is called.
        again = next(n for n in range(1, len(names) + 2) if _numbered(plain, n).casefold() not in taken)
        names[number] = _numbered(plain, again)
    return group.map(names)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"


def _dealt(labelled: pd.DataFrame, group: pd.Series, count: int) -> pd.Series:
    """Folds of whole groups, alike in their classes; the same for the same corpus."""
    from sklearn.model_selection import StratifiedGroupKFold

    fold = pd.Series("", labelled.index)
    dealt = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    classes = labelled["label"].astype("category").cat.codes
    with warnings.catch_warnings():
        # That a class has fewer utterances than there are folds; the audit says so.
        warnings.simplefilter("ignore")
        # Of rare classes alone, which it refuses, no fold could be alike.
        if classes.value_counts().max() < count:
            classes = 0 * classes
        for number, (_, test) in enumerate(dealt.split(labelled, classes, group), 1):
            fold.iloc[test] = str(number)
    # Large groups may leave one empty; names then go on without a gap.
    return fold


def _too_few(
    name: str, by: str, labelled: pd.DataFrame, ties: Mapping[str, pd.Series], groups: int, wanted: int
) -> str:
    """What to say of it: the first of the ties with which there are too few is the one to blame."""
    said = f"{name}: protocol: {by} gives {groups} fold{'s' if groups > 1 else ''}, and {wanted} are needed"
    value, dialogue = ties["value"], labelled["dialogue_id"]
    fewer = f"make folds by another column, or fewer of them ({FEWEST} at least)"
    if value.nunique() < wanted:
        return f"{said}; {fewer}"
    if _connected(dialogue, [value]).nunique() < wanted:
        own = value.groupby(dialogue).nunique().sort_values(ascending=False, kind="stable")
        several = f"dialogue {own.index[0]!r} has {own.iloc[0]} of {value.nunique()} values of {by}"
        return f"{said}, and dialogues are whole: {several}; {fewer}"
    without = [tie for kind, tie in ties.items() if kind != "speaker"]
    if "speaker" not in ties or _connected(dialogue, without).nunique() < wanted:
        return f"{said}, since dialogues that hold the same recording lie in one; {fewer}"
    spread = value.groupby(labelled["speaker"]).nunique().sort_values(ascending=False)
    return (
        f"{said}: {spread.index[0]!r} speaks in {spread.iloc[0]} of {value.nunique()}, and no speaker may be "
        "in two; name speakers apart who are not the same person, or use folds: 5, where speakers may be "
        "shared"
    )
