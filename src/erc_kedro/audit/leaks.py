"""What a corpus holds twice, said in its irregularities and facts, and left out where that is wanted."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from erc_kedro.audit.overlaps import find, words
from erc_kedro.corpora import Corpus
from erc_kedro.corpora.tables import irregularity_table
from erc_kedro.schemas import SPLITS
from erc_kedro.sentences import few

_KEYS = ["dialogue_id", "position", "utterance_id"]
# Words of an utterance that is worth telling where it is said twice, unless it is all of its dialogue.
_FEWEST_WORDS = 4


def examined(corpus: Corpus, drop_leaks: bool = False) -> Corpus:
    """A corpus that says what it holds twice (``overlaps``).

    Args:
        drop_leaks: where two splits hold the same recording, leave out its utterances in the split that comes
            first (train, val, test), so that what is evaluated stays as it was published.

    Returns:
        the corpus with the findings among its irregularities and, in its facts, ``twice``: kind, later split
        and earlier split to the number of the later one's utterances (``same_text``: those that are equal,
        word by word, and no finding yet). Where utterances were left out,
        positions are recounted, ``notes`` and ``protocol`` say so, and ``dropped`` has the ``dialogue_id``,
        the ``position`` in the release and the ``utterance_id`` of each. Otherwise the table is as it was.
    """
    pairs = find(corpus.utterances, corpus.recordings)
    table, facts = corpus.utterances, dict(corpus.facts)
    found: list[tuple[str, str, str]] = []
    leaks = pairs[(pairs["kind"] == "repeated") & (pairs["first_split"] != pairs["second_split"])]
    if drop_leaks and len(leaks):
        dropped = table["utterance_id"].isin(leaks["first"])
        for name, later in leaks.groupby("first", sort=False)["second"]:
            found.append(("leak_dropped", str(name), f"the same recording as {few(later, 3)}"))
        facts["dropped"] = table.loc[dropped, _KEYS].to_dict("records")
        by_split = table.loc[dropped, "split"].value_counts()
        said = " and ".join(f"{by_split[split]} of {split}" for split in SPLITS if split in by_split)
        note = f"Utterances left out (drop_leaks), since a later split holds the same recording: {said}."
        facts |= {"notes": [*facts["notes"], note], "protocol": f"{facts['protocol']}, leaks dropped"}
        table = table[~dropped].reset_index(drop=True)
        table["position"] = table.groupby("dialogue_id", sort=False).cumcount()
        pairs = pairs[~(pairs["first"].isin(leaks["first"]) | pairs["second"].isin(leaks["first"]))]
    across = pairs[pairs["first_split"] != pairs["second_split"]]
    once = across.drop_duplicates(["kind", "second", "first_split"])
    twice: dict[str, dict[str, dict[str, int]]] = {}
    for kind, later, earlier in once[["kind", "second_split", "first_split"]].to_numpy().tolist():
        counts = twice.setdefault(kind, {}).setdefault(later, {})
        counts[earlier] = counts.get(earlier, 0) + 1
    equal = _equal_texts(table, {*once["second"]})
    for (second, first), names in equal.items():
        twice.setdefault("same_text", {}).setdefault(second, {})[first] = len(names)
        found.append(("same_text_across_splits", f"{first} and {second}", f"{len(names)}: {few(names)}"))
    facts["twice"] = twice
    found += _findings(pairs, table["dialogue_id"].value_counts().to_dict())
    irregularities = pd.concat([corpus.irregularities, irregularity_table(found)], ignore_index=True)
    return replace(corpus, utterances=table, irregularities=irregularities, facts=facts)


def _equal_texts(table: pd.DataFrame, known: Collection[str]) -> dict[tuple[str, str], list[str]]:
    """(Later split, earlier split) to the later one's utterances whose words an utterance of the earlier has.

    Case and punctuation aside; of utterances in conversation, those of four words or more, since everybody
    says "Yes, I know." A name is in one pair at most, with the split that comes first.
    """
    said = table["text"].map(words)
    alone = table.groupby("dialogue_id")["position"].transform("size") == 1
    worth = (said.str.len() >= _FEWEST_WORDS) | (alone & (said.str.len() > 0))
    found: dict[tuple[str, str], list[str]] = {}
    earlier: dict[tuple[str, ...], str] = {}
    for split in SPLITS:
        here = worth & (table["split"] == split)
        own = dict.fromkeys(said[here], split)
        for name, text in zip(table.loc[here, "utterance_id"], said[here], strict=True):
            if text in earlier and name not in known:
                found.setdefault((split, earlier[text]), []).append(str(name))
        earlier = own | earlier
    return found


def _findings(pairs: pd.DataFrame, sizes: Mapping[Any, int]) -> list[tuple[str, str, str]]:
    """Irregularities: of leaks one an utterance, of all else one a dialogue or two, between splits first."""
    crossing = pairs["first_split"] != pairs["second_split"]
    pairs = pd.concat([pairs[crossing], pairs[~crossing]])
    across = crossing.loc[pairs.index]
    repeated, between = pairs["kind"] == "repeated", ["first_dialogue", "second_dialogue"]
    found = []
    for name, rows in pairs[repeated & across].groupby("second", sort=False):
        splits = " and ".join([*rows["first_split"].unique(), rows["second_split"].iloc[0]])
        where = f"{few(rows['first'], 3)} = {name}"
        found.append(("repeated_across_splits", where, f"one recording in {splits}"))
    for names, rows in pairs[repeated & ~across].groupby(between, sort=False):
        one, other = map(str, names)
        shares = [
            f"{rows[side].nunique()} of {sizes[dialogue]} utterances of {dialogue}"
            for side, dialogue in (("first", one), ("second", other))
        ]
        found.append(("repeated_in_split", f"{one} = {other}", " are ".join(shares)))
    for dialogue, rows in pairs[pairs["kind"] == "same_words"].groupby("second_dialogue", sort=False):
        known = few(rows["first_dialogue"].unique(), 3)
        detail = f"{rows['second'].nunique()} of {sizes[dialogue]} utterances, as in {known}"
        found.append(("same_words_across_splits", str(dialogue), detail))
    for names, rows in pairs[pairs["kind"] == "same_span"].groupby(between, sort=False):
        both = (f"{one} and {other}" for one, other in zip(rows["first"], rows["second"], strict=True))
        detail = few(both, 3)
        found.append(("overlapping_spans", ", ".join(map(str, names)), detail))
    return found


def as_released(utterances: pd.DataFrame, dropped: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Dialogue, position, id and label of every utterance, as they were before some were dropped.

    Args:
        dropped: the corpus's fact of that name.
    """
    there = utterances[[*_KEYS, "label"]].copy()
    gone = pd.DataFrame(dropped, columns=_KEYS)
    taken = gone.groupby("dialogue_id")["position"].agg(set)
    for dialogue, rows in there[there["dialogue_id"].isin(taken.index)].groupby("dialogue_id"):
        free = (at for at in itertools.count() if at not in taken[dialogue])
        order = rows.sort_values("position").index
        there.loc[order, "position"] = list(itertools.islice(free, len(rows)))
    return pd.concat([there, gone], ignore_index=True) if dropped else there
