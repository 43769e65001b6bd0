"""Features that know the labels of training: a network was fitted on them, and its vectors were published.

On such features training looks easy and stays so on every training dialogue that is held out, since the
extractor saw that one, too. What it did not see is not as easy. ``docs/decisions/0022-features-that-know-
the-labels.md`` has what honest features and fitted ones reach.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.audit.probes import (
    Probed,
    drop,
    effective_number,
    folds_of,
    probe,
    standardised,
    told_apart,
)
from erc_kedro.schemas import SPLITS

# Fewer say too little: labelled utterances and dialogues of training, and both of a split that is compared.
_LEAST_TRAINING, _LEAST_DIALOGUES = 200, 20
_LEAST_COMPARED, _LEAST_COMPARED_DIALOGUES = 50, 4
# A class of fewer training utterances is not probed for.
_LEAST_OF_CLASS = 10
# Groups of speakers are units of comparison, in place of dialogues, from so many in training.
_LEAST_GROUPS = 3
# Groups so large have a mean and deviation of their own.
_LARGE_GROUP = 100
_FOLDS = 5
# Whole dialogues, up to so many utterances of a split.
_MOST = {"train": 6000, "val": 2000, "test": 3000}
# What is said aloud is at least so large, and chance alone makes it so with at most this probability.
_LEAST_DROP, _LEAST_SURER, _P = 0.1, 0.56, 0.005
# Of two modalities one is blamed alone where it is surer of training by so much more than the other.
_LEAST_BEYOND_OTHER = 0.03
# Test is recorded in another way where it is told from training so well, and so much better than training's
# parts are.
_LEAST_APART, _LEAST_BEYOND = 0.8, 0.1


def fitted_features(
    features: Mapping[str, pd.DataFrame], utterances: pd.DataFrame, records: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Whether features know the labels of training, found without a label of test.

    Linear probes are fitted on training, each without some of its dialogues (where test has speakers of its
    own: without some of its speakers), and compared on these and on what lies outside of training: how often
    they name the label (validation), how often the probes of two modalities agree, and how sure they are
    (test). Honest features lose nothing but what other dialogues or speakers cost, which training's own
    differ by as well.

    Args:
        features: modality to a table of ``schemas.features``.
        utterances: the utterance table, with ``split`` and, where it has folds, ``fold``.
        records: modality to the ``provenance`` of its table.

    Returns:
        ``compared`` (what was held out: dialogues, speakers or folds); ``skipped`` (modality to why it was
        not probed); ``probes`` (modality to ``training`` and ``validation``: the shares that probes name
        right; ``validation_p``; ``surer``: of pairs of a training and a test utterance those where it is
        surer of the first, .5 being chance, with ``surer_p``; ``apart`` and ``apart_in_training``: the area
        of ``told_apart`` for test, least and most for parts of training; ``agreement``: other modality to
        ``training``, ``test``, ``p``); None where a split is too small. ``warnings`` (modality to a sentence,
        where its features seem to know labels) and ``hints`` (where test was recorded in another way).
    """
    made: dict[str, Any] = {"compared": "", "skipped": {}, "probes": {}, "warnings": {}, "hints": {}}
    case = _case(utterances)
    if isinstance(case, str):
        return made | {"skipped": dict.fromkeys(features, case)}
    made["compared"] = case.compared
    probed: dict[str, tuple[np.ndarray, Probed]] = {}
    for modality, table in features.items():
        rows, x = _matrix(table, case.table["utterance_id"])
        part = case.part(rows)
        if reason := _why_not(part, x, records.get(modality, {})):
            made["skipped"][modality] = reason
            continue
        found = probe(standardised(x, part.units), part.labels, part.training, part.folds)
        probed[modality] = rows, found
        made["probes"][modality] = _facts(part, x, found)
    for one, other in permutations(probed, 2):
        facts = _agreement(case, probed[one], probed[other])
        if facts is not None:
            made["probes"][one]["agreement"][other] = facts
    for modality, facts in made["probes"].items():
        _say(modality, facts, made)
    return made


@dataclass(frozen=True)
class _Case:
    """Utterances that are probed, and what of them is held out together.

    Attributes:
        table: rows of the utterance table.
        labels: integers [N], -1 where unknown or rare.
        groups: integers [N]; compared: what they are.
        units: integers [N], whose mean and deviation an utterance is measured by.
        folds: integers [N], read in training.
    """

    table: pd.DataFrame
    labels: np.ndarray
    compared: str
    groups: np.ndarray
    units: np.ndarray
    folds: np.ndarray

    def part(self, rows: np.ndarray) -> "_Case":
        """Some of its utterances, by their numbers."""
        arrays = (self.labels[rows], self.groups[rows], self.units[rows], self.folds[rows])
        return _Case(self.table.iloc[rows].reset_index(drop=True), arrays[0], self.compared, *arrays[1:])

    def rows_of(self, split: str) -> np.ndarray:
        """Which utterances are of a split; [N]."""
        return (self.table["split"] == split).to_numpy()

    @property
    def training(self) -> np.ndarray:
        return self.rows_of("train")

    def enough(self, split: str) -> bool:
        """Whether a split is large enough to be compared."""
        rows = self.rows_of(split)
        return (
            rows.sum() >= _LEAST_COMPARED
            and self.table.loc[rows, "dialogue_id"].nunique() >= _LEAST_COMPARED_DIALOGUES
        )


def _case(utterances: pd.DataFrame) -> _Case | str:
    """What is probed of a corpus, or why nothing is."""
    label = utterances["label"]
    training = (utterances["split"] == "train").to_numpy() & label.notna().to_numpy()
    if reason := _too_little(training.sum(), utterances["dialogue_id"][training].nunique()):
        return reason
    sizes = label[training].value_counts()
    frequent = sorted(sizes.index[sizes >= _LEAST_OF_CLASS])
    if len(frequent) < 2:
        return f"fewer than two classes have {_LEAST_OF_CLASS} training utterances"
    labels = pd.Index(frequent, dtype=object).get_indexer(label.astype(object))
    chosen = []
    for split in SPLITS:
        rows = (utterances["split"] == split).to_numpy()
        # What is scored, if that is known: a corpus may keep other utterances as context alone.
        scored = rows & (labels >= 0 if split == "train" else label.notna().to_numpy())
        chosen.append(_some(utterances, rows if split == "test" and not scored.any() else scored, split))
    rows = np.concatenate(chosen)
    table = utterances.iloc[rows].reset_index(drop=True)
    compared, groups = _groups(table)
    training = (table["split"] == "train").to_numpy()
    folds = np.zeros(len(table), int)
    folds[training] = folds_of(groups[training], _FOLDS)
    return _Case(table, labels[rows], compared, groups, _units(table, groups), folds)


def _too_little(utterances: int, dialogues: int) -> str:
    if utterances >= _LEAST_TRAINING and dialogues >= _LEAST_DIALOGUES:
        return ""
    return (
        f"{utterances} labelled training utterances in {dialogues} dialogues say too little; "
        f"{_LEAST_TRAINING} in {_LEAST_DIALOGUES} are asked for"
    )


def _some(utterances: pd.DataFrame, rows: np.ndarray, split: str) -> np.ndarray:
    """Whole dialogues of these rows, drawn until there are enough; row numbers in order."""
    at = np.flatnonzero(rows)
    code, names = pd.factorize(utterances["dialogue_id"].iloc[at])
    order = np.random.default_rng(0).permutation(len(names))
    kept = order[np.cumsum(np.bincount(code, minlength=len(names))[order]) <= _MOST[split]]
    return at[np.isin(code, kept)]


def _groups(table: pd.DataFrame) -> tuple[str, np.ndarray]:
    """What is held out as one, by name and for each utterance: what test differs from training by."""
    training = (table["split"] == "train").to_numpy()
    named = {"speakers": _speakers_together(table)}
    if "fold" in table and table["fold"].notna().all():
        named["folds"] = pd.factorize(table["fold"])[0]
    for name, groups in named.items():
        shared = np.isin(groups[(table["split"] == "test").to_numpy()], groups[training]).any()
        if not shared and effective_number(np.bincount(groups[training])) >= _LEAST_GROUPS:
            return name, groups
    return "dialogues", pd.factorize(table["dialogue_id"])[0]


def _speakers_together(table: pd.DataFrame) -> np.ndarray:
    """Utterances whose dialogues are linked by speakers, in any number of steps, have one number; [N]."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    dialogue, dialogues = pd.factorize(table["dialogue_id"])
    speaker, speakers = pd.factorize(table["speaker"])
    size = len(dialogues) + len(speakers)
    links = coo_matrix((np.ones(len(table)), (dialogue, len(dialogues) + speaker)), shape=(size, size))
    return connected_components(links, directed=False)[1][dialogue]


def _units(table: pd.DataFrame, groups: np.ndarray) -> np.ndarray:
    """Whose mean and deviation an utterance is measured by: a large group's, else its split's.

    So a microphone's level or a speaker's voice is nothing that a probe has to be unsure of.
    """
    if np.bincount(groups)[groups].min() >= _LARGE_GROUP:
        return groups
    return np.asarray(table["split"].map(SPLITS.index))


def _matrix(table: pd.DataFrame, ids: "pd.Series[str]") -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the utterances that have a vector of finite values, and these vectors [N present, D]."""
    ordered = table.set_index("utterance_id").loc[ids.tolist()]
    rows = np.flatnonzero(ordered["present"].to_numpy(bool))
    if not len(rows):
        return rows, np.zeros((0, 1), np.float32)
    x = np.stack(ordered["vector"].iloc[rows].tolist()).astype(np.float32)
    finite = np.isfinite(x).all(1)
    return rows[finite], x[finite]


def _why_not(case: _Case, x: np.ndarray, record: Mapping[str, Any]) -> str:
    """Why a modality is not probed; empty where it is."""
    if (record.get("encoder") or {}).get("folds"):
        return "its encoder is known to have made training's vectors without their dialogues"
    training = case.training
    if not training.any():
        return "no training utterance has it"
    if reason := _too_little(training.sum(), case.table.loc[training, "dialogue_id"].nunique()):
        return reason
    for fold in np.unique(case.folds[training]):
        if (np.bincount(case.labels[training & (case.folds != fold)]) > 1).sum() < 2:
            return f"all classes but one are in too few {case.compared}"
    if (x[training] == x[training][:1]).all():
        return "its vectors are all the same"
    return ""


def _facts(case: _Case, x: np.ndarray, found: Probed) -> dict[str, Any]:
    training = case.training
    right = found.right(case.labels)
    facts: dict[str, Any] = {"training": float(right[training].mean()), "agreement": {}}
    facts |= dict.fromkeys(("validation", "validation_p", "surer", "surer_p", "apart", "apart_in_training"))
    if case.enough("val"):
        val = case.rows_of("val")
        _, facts["validation_p"] = drop(right[training], case.groups[training], right[val], case.groups[val])
        facts["validation"] = float(right[val].mean())
    if case.enough("test"):
        test = case.rows_of("test")
        # The share of training's margins that are smaller: .5 in the mean over training itself.
        ranks = _ranks(found.margin, found.margin[training])
        lower, facts["surer_p"] = drop(ranks[training], case.groups[training], ranks[test], case.groups[test])
        facts["surer"] = 0.5 + lower
        both = training | test
        apart, among = told_apart(
            x[both], training[both], case.table.loc[both, "dialogue_id"].to_numpy(), case.folds[both]
        )
        facts |= {"apart": apart, "apart_in_training": list(among)}
    return facts


def _ranks(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    ordered = np.sort(among)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return below / (2 * len(ordered))


def _agreement(
    case: _Case, one: tuple[np.ndarray, Probed], other: tuple[np.ndarray, Probed]
) -> dict[str, float] | None:
    """How often the probes of two modalities agree, where utterances have both."""
    rows, at, other_at = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    shared = case.part(rows)
    if not shared.enough("train") or not shared.enough("test"):
        return None
    agree = one[1].part(at).agrees(other[1].part(other_at))
    training, test = shared.training, shared.rows_of("test")
    _, p = drop(agree[training], shared.groups[training], agree[test], shared.groups[test])
    return {"training": float(agree[training].mean()), "test": float(agree[test].mean()), "p": p}


def _say(modality: str, facts: Mapping[str, Any], made: dict[str, Any]) -> None:
    evidence = _evidence(modality, facts, made["probes"])
    otherwise = _told_apart(modality, facts)
    if evidence:
        meaning = f"Or test was recorded in another way: {otherwise}. " if otherwise else ""
        made["warnings"][modality] = (
            f"The {modality} features seem to know the labels of training: a linear probe is right on "
            f"{facts['training']:.0%} of training utterances that it has not seen{evidence}. What made them "
            "was probably fitted on these labels, and a model trusts them more than test bears out. "
            f"{meaning}Make them with an extractor that has seen no label, or leave them out "
            "(train.model.modalities)."
            + ("" if facts["validation"] is None or _lower(facts) else _VALIDATION_TOO)
        )
    elif otherwise:
        made["hints"][modality] = (
            f"{otherwise[0].upper()}{otherwise[1:]}: it was recorded or extracted in another way, or its "
            "speakers are others. That is a hint and no error: a linear probe is as sure of test as it is of "
            "training."
        )


_VALIDATION_TOO = (
    " Validation does not show it, so the extractor may have seen that, too: choose on dialogues or speakers "
    "that it did not see."
)


def _evidence(modality: str, facts: Mapping[str, Any], probes: Mapping[str, Mapping[str, Any]]) -> str:
    """What says that a modality's features know labels: the end of a sentence, empty where nothing does."""
    found = f" and on {facts['validation']:.0%} of validation" if _lower(facts) else ""
    for other, agreement in facts["agreement"].items():
        beyond = facts["surer"] - probes[other]["surer"]
        # Of two whose agreement falls, the one that is less sure of test is the one that knows more.
        if agreement["training"] - agreement["test"] < _LEAST_DROP or agreement["p"] >= _P or beyond <= 0:
            continue
        found += (
            f"; it agrees with one of {other} on {agreement['training']:.0%} of training utterances that "
            f"neither has seen, and on {agreement['test']:.0%} of test"
        ) + ("" if beyond >= _LEAST_BEYOND_OTHER else f" (if it is not {other} that knows them)")
    if facts["surer"] is not None and facts["surer"] >= _LEAST_SURER and facts["surer_p"] < _P:
        found += (
            f"; of an utterance of these and one of test it is surer of the first in {facts['surer']:.0%} "
            "of pairs"
        )
    return found


def _lower(facts: Mapping[str, Any]) -> bool:
    """Whether validation, which has labels, shows it."""
    if facts["validation"] is None:
        return False
    lower: bool = facts["training"] - facts["validation"] >= _LEAST_DROP and facts["validation_p"] < _P
    return lower


def _told_apart(modality: str, facts: Mapping[str, Any]) -> str:
    """How test differs from training beyond what training's own parts do; empty where it does not."""
    if facts["apart"] is None:
        return ""
    least, most = facts["apart_in_training"]
    if facts["apart"] < max(_LEAST_APART, most + _LEAST_BEYOND):
        return ""
    return (
        f"{modality} vectors of test can be told from those of training (AUC {facts['apart']:.2f}; parts of "
        f"training from the rest of it {least:.2f} to {most:.2f})"
    )
