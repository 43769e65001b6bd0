"""Corpora made alike: their labels in shared words, their names apart, and the features that they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.audit.overlaps import find
from erc_kedro.folds import pooled
from erc_kedro.schemas import MODALITIES, SPLITS
from erc_kedro.transfer.labels import LabelMap

# Settings that change no vector, beside where a file lies (``extractors.identity``).
_NO_DIFFERENCE = {"path", "field", "batch_size"}


@dataclass(frozen=True)
class SharedCorpus:
    """A corpus as others beside it can be read.

    Attributes:
        name: its namespace.
        description: as its reader wrote it; ``labels`` are its own.
        utterances: as ``schemas.utterances``, with shared labels (null: none that is shared) and with ids,
            dialogues and speakers that begin with the corpus's name.
        features: by modality, with the same ids.
        records: by modality, what made them (``audit.provenance``).
        own_labels: utterance id to the label that the corpus itself has.
        cautions: what must be said beside scores (sentences).
    """

    name: str
    description: Mapping[str, Any]
    utterances: pd.DataFrame
    features: Mapping[str, pd.DataFrame]
    records: Mapping[str, Mapping[str, Any]]
    own_labels: "pd.Series[str]"
    cautions: Sequence[str] = ()

    @property
    def title(self) -> str:
        """As pages print it."""
        return str(self.description["name"])


def shared_corpus(
    name: str,
    utterances: pd.DataFrame,
    features: Mapping[str, pd.DataFrame],
    description: Mapping[str, Any],
    records: Mapping[str, Mapping[str, Any]],
    labels: LabelMap,
    cautions: Sequence[str] = (),
) -> SharedCorpus:
    """A corpus in shared words.

    Raises:
        LabelMapError: the map is not of this corpus's labels.
    """
    words = labels.of(name, description["labels"])
    said = utterances.copy()
    for column in ("utterance_id", "dialogue_id", "speaker"):
        said[column] = _apart(name, said[column])
    own = said.set_index("utterance_id")["label"]
    said["label"] = said["label"].map(words).astype("str")
    tables = {
        modality: table.assign(utterance_id=_apart(name, table["utterance_id"]))
        for modality, table in features.items()
    }
    return SharedCorpus(name, description, said, tables, records, own, cautions)


def _apart(name: str, ids: "pd.Series[str]") -> "pd.Series[str]":
    return f"{name}/" + ids


def shared_modalities(target: SharedCorpus, sources: Sequence[SharedCorpus]) -> tuple[list[str], list[str]]:
    """The modalities whose features are the same kind of numbers in all of the corpora.

    Returns:
        them, and for each other one a sentence that says why it is left out.
    """
    shared, reasons = [], []
    for modality in MODALITIES:
        why = _difference(modality, target, sources)
        if why:
            reasons.append(f"{modality.capitalize()} is left out: {why}.")
        else:
            shared.append(modality)
    return shared, reasons


def _difference(modality: str, target: SharedCorpus, sources: Sequence[SharedCorpus]) -> str:
    every = [target, *sources]
    for corpus in every:
        table = corpus.features[modality]
        split = table["utterance_id"].map(corpus.utterances.set_index("utterance_id")["split"])
        if not table.loc[split == "train", "present"].any():
            return f"no training utterance of {corpus.title} has it"
    for source in every:
        encoder = source.records[modality].get("encoder")
        if encoder is not None and encoder["corpus"] == target.name:
            return (
                f"its encoder learned from the labels of {target.title}, so that nothing would be zero-shot"
            )
    made = target.records[modality]["extractor"]
    for source in sources:
        other = source.records[modality]["extractor"]
        for part in ("name", "version"):
            if made[part] != other[part]:
                what = (
                    "name" if made["name"] != other["name"] else "version (weights, fitted parts or library)"
                )
                return (
                    f"{source.title} has it from {other['name']} and {target.title} from {made['name']}, "
                    f"which differ in their {what}"
                )
        mine, its = made["settings"], other["settings"]
        differ = sorted(name for name in {*mine, *its} - _NO_DIFFERENCE if mine.get(name) != its.get(name))
        if differ:
            return (
                f"features of {source.title} and {target.title} were extracted with other settings "
                f"({', '.join(differ)})"
            )
        widths = [len(corpus.features[modality]["vector"].iloc[0]) for corpus in (source, target)]
        if widths[0] != widths[1]:
            return f"{source.title} has {widths[0]} features and {target.title} {widths[1]}"
    return ""


def repeated_in(target: SharedCorpus, sources: Sequence[SharedCorpus]) -> list[str]:
    """What of the target's test the sources teach, such as scenes of one series (sentences)."""
    every = pooled(target.utterances)
    tested = every[every["split"] == "test"]
    said = []
    for source in sources:
        taught = source.utterances[source.utterances["split"] != "test"].assign(split="train")
        pairs = find(pd.concat([taught, tested], ignore_index=True))
        between = pairs["first"].isin(taught["utterance_id"]) & pairs["second"].isin(tested["utterance_id"])
        count = pairs.loc[between, "second"].nunique()
        if count:
            said.append(
                f"{count} of {len(tested)} test utterances of {target.title} repeat utterances that "
                f"{source.title} teaches, by their words and, where known, times: what learned from it is "
                "scored too high."
            )
    return said


def absent(table: pd.DataFrame) -> pd.DataFrame:
    """A table of features of the same utterances, none of which has the modality."""
    none = np.zeros((len(table), 1), np.float32)
    return table.assign(vector=list(none), present=False, reason="left_out")


def label_counts(corpus: SharedCorpus, labels: LabelMap) -> list[dict[str, Any]]:
    """How many utterances of each split have each of the corpus's own labels; of folds, all are test.

    Returns:
        ``corpus``, ``label`` (None: those that the corpus does not label), ``shared`` (None: left out), and
        a count by split.
    """
    split = pooled(corpus.utterances).set_index("utterance_id")["split"].loc[corpus.own_labels.index]
    made: list[dict[str, Any]] = []
    for name in [*corpus.description["labels"], None]:
        of = corpus.own_labels.isna() if name is None else corpus.own_labels == name
        counts = split[of].value_counts()
        shared = None if name is None else labels.labels[corpus.name][name]
        here = {part: int(counts.get(part, 0)) for part in SPLITS}
        made.append({"corpus": corpus.name, "label": name, "shared": shared, **here})
    return made
