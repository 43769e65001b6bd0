"""What each network of a transfer is trained on, selected by and tested on.

Every arm is tested on the target's test utterances, in their dialogues, and on nothing else; none of them is
in any other role of any arm. Where the target has folds, that holds in each of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.folds import View, pooled, views
from erc_kedro.models.architectures import network_class
from erc_kedro.models.base import ClosedForm
from erc_kedro.parameters import TrainParameters
from erc_kedro.schemas import MODALITIES
from erc_kedro.training.batches import Dialogues, assemble, training_statistics
from erc_kedro.transfer.corpora import SharedCorpus, absent

ALONE, MAJORITY, ZERO_SHOT, JOINT = "target_alone", "target_majority", "zero_shot", "joint"
LAST = "none: the last epoch"


@dataclass(frozen=True)
class Arm:
    """A row of the table.

    Attributes:
        name: of its folder and run.
        dialogues: how many of the target's training dialogues it is given; None: none or all.
        start: the arm whose weights it starts from, if not at random.
        trained_on, selected_on: for the page.
        majority: whether it predicts the most frequent class.
    """

    name: str
    trained_on: str
    selected_on: str
    dialogues: int | None = None
    start: str | None = None
    majority: bool = False


def arms_of(target: SharedCorpus, sources: Sequence[SharedCorpus], dialogues: Sequence[int]) -> list[Arm]:
    """The arms, in the order of the table.

    Args:
        dialogues: numbers of the target's training dialogues for fine-tuning.
    """
    to, source = target.title, " + ".join(corpus.title for corpus in sources)
    own = f"validation of {to}"
    made = [
        Arm(ALONE, f"training of {to}", own),
        Arm(MAJORITY, f"training of {to}", "–", majority=True),
        Arm(ZERO_SHOT, f"training of {source}", f"validation of {source}"),
        Arm(JOINT, f"training of {source} + {to}", own),
    ]
    for count in dialogues:
        on = f"{count} dialogues of {to}"
        made += [
            Arm(f"fine_tuned_{count}", f"{on}, from zero-shot", LAST, count, start=ZERO_SHOT),
            Arm(f"alone_{count}", on, LAST, count),
        ]
    return made


def drawable(utterances: pd.DataFrame) -> list[str]:
    """The training dialogues of a target in which somebody has a shared label, by name."""
    known = utterances["label"].notna() & (utterances["split"] == "train")
    return sorted(utterances.loc[known, "dialogue_id"].unique())


def roles(arm: Arm, target: pd.DataFrame, sources: Sequence[SharedCorpus], seed: int) -> dict[str, str]:
    """Each dialogue that the arm sees, and as what: train, val or test.

    Dialogues for fine-tuning are drawn by the seed alone: a smaller draw is part of a larger one, and an arm
    that starts from other weights gets the same.

    Args:
        target: the target's utterances, with the splits of one fold if it has folds.
    """
    given = {"test": "test"}
    if arm.name in (ALONE, MAJORITY, JOINT):
        given |= {"train": "train", "val": "val"}
    made = _of_splits(target, given)
    if arm.name in (ZERO_SHOT, JOINT):
        taught = {"train": "train"} | ({"val": "val"} if arm.name == ZERO_SHOT else {})
        for source in sources:
            made |= _of_splits(source.utterances, taught)
    if arm.dialogues is not None:
        order = np.random.default_rng(seed).permutation(drawable(target))
        made |= dict.fromkeys(order[: arm.dialogues].tolist(), "train")
    return made


def _of_splits(utterances: pd.DataFrame, given: Mapping[str, str]) -> dict[str, str]:
    pairs = utterances[["dialogue_id", "split"]].drop_duplicates()
    return {name: given[split] for name, split in pairs.itertuples(index=False) if split in given}


@dataclass(frozen=True)
class Together:
    """All corpora of a transfer as one utterance table and its features.

    Attributes:
        utterances: of all; features: of the modalities that all have alike, the others being absent.
        classes: the shared labels.
        scaling: as ``training.batches.assemble`` has it.
    """

    target: SharedCorpus
    sources: Sequence[SharedCorpus]
    utterances: pd.DataFrame
    features: Mapping[str, pd.DataFrame]
    classes: Sequence[str]
    scaling: Mapping[Any, str]

    @classmethod
    def of(
        cls,
        target: SharedCorpus,
        sources: Sequence[SharedCorpus],
        modalities: Sequence[str],
        classes: Sequence[str],
        scaling: Mapping[Any, str],
    ) -> "Together":
        every = [target, *sources]
        features = {}
        for modality in MODALITIES:
            tables = [corpus.features[modality] for corpus in every]
            joined = [table if modality in modalities else absent(table) for table in tables]
            features[modality] = pd.concat(joined, ignore_index=True)
        said = pd.concat([corpus.utterances for corpus in every], ignore_index=True)
        return cls(target, sources, said, features, classes, scaling)

    def views(self, arm: Arm) -> list[View]:
        """The target in each of its folds; one that is not trained on is tested at once."""
        if arm.name == ZERO_SHOT:
            return [View("", pooled(self.target.utterances))]
        return views(self.target.utterances)

    def table(self, arm: Arm, view: View, seed: int) -> pd.DataFrame:
        """The utterances that an arm sees; their ``split`` is the role that they have in it."""
        of = roles(arm, view.utterances, self.sources, seed)
        rows = self.utterances[self.utterances["dialogue_id"].isin(of)]
        return rows.assign(split=rows["dialogue_id"].map(of))

    def data(self, arm: Arm, view: View, seed: int) -> Dialogues:
        """What an arm's network is given.

        One that starts from other weights reads features on the scale that these were learned on.
        """
        table = self.table(arm, view, seed)
        known = None
        if arm.start is not None:
            first = replace(arm, name=arm.start, dialogues=None)
            learned = self.table(first, self.views(first)[0], seed)
            known = training_statistics(learned, self._of(learned))
        return assemble(table, self._of(table), self.classes, self.scaling, known)

    def untrainable(self, arms: Sequence[Arm], train: TrainParameters) -> dict[str, str]:
        """Why some arms cannot be trained, by name."""
        there = min(len(drawable(view.utterances)) for view in views(self.target.utterances))
        closed = issubclass(network_class(train.model.architecture), ClosedForm)
        notes = {}
        for arm in arms:
            if arm.dialogues is not None and arm.dialogues > there:
                notes[arm.name] = (
                    f"not trained: {self.target.title} has {there} training dialogues with a shared label"
                )
            elif arm.dialogues is not None and closed:
                notes[arm.name] = (
                    f"not trained: {train.model.architecture} starts from no weights, and asks validation"
                )
        return notes

    def _of(self, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {
            name: rows[rows["utterance_id"].isin(table["utterance_id"])]
            for name, rows in self.features.items()
        }
