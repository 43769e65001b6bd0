"""Two small corpora that share some labels, as the transfer pipeline hands them on."""

import pandas as pd

from erc_kedro.transfer.corpora import SharedCorpus, shared_corpus
from erc_kedro.transfer.labels import LabelMap
from tests.conftest import make_corpus

WORDS = {
    "talks": {"calm": "calm", "glad": "glad", "cross": None},
    "clips": {"neutral": "calm", "happy": "glad", "bored": None},
}
OWN = {"talks": ["calm", "glad", "cross"], "clips": ["neutral", "happy", "bored"]}
LABELS = LabelMap("map.yml", "made up", WORDS)
EXTRACTOR = {"name": "e", "version": "1", "licence": "", "settings": {"pooling": "mean"}}


def corpus(name: str, dialogues: int = 12, seed: int = 0, **records: dict) -> SharedCorpus:
    """``records``: by modality, changes of what its record says."""
    utterances, features = make_corpus(dialogues, seed)
    utterances["label"] = utterances["label"].map(dict(zip(OWN["talks"], OWN[name], strict=True)))
    made = {modality: {"extractor": EXTRACTOR, "encoder": None} for modality in features}
    for modality, changes in records.items():
        made[modality] = {**made[modality], **changes}
    facts = {"name": name.capitalize(), "labels": OWN[name], "protocol": "own", "synthetic": True}
    return shared_corpus(name, utterances, features, facts, made, LABELS)


def in_folds(one: SharedCorpus, count: int) -> SharedCorpus:
    """The corpus with its dialogues dealt out to folds."""
    fold = one.utterances["dialogue_id"].factorize()[0] % count
    one.utterances["fold"] = pd.Series(fold, index=one.utterances.index).astype("str")
    return one
