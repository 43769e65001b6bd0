"""What a user must know of a corpus before training on it: counts, oddities, errors."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from erc_kedro.audit.irregularities import grouped
from erc_kedro.corpora.tables import are_ratings
from erc_kedro.folds import is_folded, views
from erc_kedro.schemas import SPLITS
from erc_kedro.sentences import few

# A sentence each for so many labels that a split lacks; more are counted.
_MOST_SENTENCES = 5
# Classes of a corpus may be numbers, but not so many different fractions (half points from 1 to 5 are 9), nor
# more than this of any kind that mostly occur once or twice.
_MOST_FRACTIONS, _MANY = 10, 20
_EMPTY = {
    "train": "There is nothing to learn from.",
    "val": "Epochs are chosen on it: write val for some dialogues of train, leave a manifest's column split "
    "out, or ask for folds (ingestion.protocol).",
}
# Of a split's utterances, with the words of another's.
_WORTH_SAYING = 0.01
_BINS = (
    "Regression is not offered; ingestion.bins puts ratings of a manifest into classes, such as "
    "{negative: [-3, 0], neutral: 0, positive: [0, 3]}."
)


def audit_corpus(
    utterances: pd.DataFrame, description: Mapping[str, Any], irregularities: pd.DataFrame
) -> dict[str, Any]:
    """Count a corpus and look for what would make its results wrong.

    Args:
        utterances: the utterance table.
        description: what the reader says of the corpus: name, protocol, synthetic, notes, how many lines it
            read of which tables, and ``twice`` (see ``leaks.examined``).
        irregularities: the reader's table of kind, where, detail.

    Returns:
        ``name``, ``protocol``, ``synthetic``, ``notes``; ``tables`` (file to the counts of ``page.LINES``);
        ``splits`` (split to utterances, dialogues, speakers, labelled, clips, wavs, dialogue_length of min,
        median and max); ``labels`` (label to split to count); ``shared_speakers`` (how many speakers each two
        splits share); ``irregularities`` (a list of kind, count, meaning, and up to 50 examples of where and
        detail); ``warnings``, ``not_learnable`` (why a sound corpus, all the same, cannot be trained on) and
        ``errors`` (sentences).
    """
    splits = {split: _split_counts(utterances[utterances["split"] == split]) for split in SPLITS}
    table = pd.crosstab(utterances["label"], utterances["split"]).reindex(columns=list(SPLITS), fill_value=0)
    labels = {str(label): {split: int(row[split]) for split in SPLITS} for label, row in table.iterrows()}
    no_classes, suspicion = _no_classes(utterances["label"].dropna())
    # Of a measurement, each value would be another label that some split lacks.
    warnings = suspicion if no_classes else [*suspicion, *_label_warnings(labels)]
    if is_folded(utterances):
        names = [view.name for view in views(utterances)]
        warnings.insert(
            0,
            f"Where splits are counted or warned of, here and for features, they are those of the first of "
            f"{len(names)} folds, {names[0]}; each fold has others.",
        )
    if not splits["test"]["utterances"]:
        warnings.append("The test split is empty: nothing is scored but validation.")
    for split, counts in splits.items():
        unlabelled = counts["utterances"] - counts["labelled"]
        if unlabelled:
            warnings.append(f"{unlabelled} of {counts['utterances']} utterances of {split} have no label.")
    warnings += _held_twice(description.get("twice", {}), splits)
    shared = _shared_speakers(utterances)
    hashed = description.get("split_by") in ("dialogue", "row") and not is_folded(utterances)
    if hashed and shared["train and test"]:
        warnings.append(
            f"No split column, and {shared['train and test']} of {splits['test']['speakers']} speakers of "
            "test are in train, too: scores do not say how somebody new would be judged. Write a column "
            "split, or name speaker in ingestion.protocol.leave_one_out."
        )
    return {
        "name": description.get("name"),
        "protocol": description.get("protocol"),
        "synthetic": bool(description.get("synthetic", False)),
        "notes": [str(note) for note in description.get("notes", [])],
        "tables": {str(name): dict(counts) for name, counts in description.get("tables", {}).items()},
        "splits": splits,
        "labels": labels,
        "shared_speakers": shared,
        "irregularities": grouped(irregularities),
        "warnings": warnings,
        "not_learnable": _not_learnable(labels),
        "errors": [*_errors(utterances), *no_classes],
    }


def _held_twice(twice: Mapping[str, Any], splits: Mapping[str, Any]) -> list[str]:
    """Sentences on ``leaks``' findings."""
    endings = {
        "repeated": "repeat utterances of {0}, by their words and, where known, times: a leak; "
        "ingestion.drop_leaks leaves those of {0} out",
        "same_words": "have the words of utterances of {0}, said again, as in a script: their text is known "
        "from there, not their voice or face",
        "same_text": "have the same words as an utterance of {0} (of a conversation, those of four words or "
        "more): a model may know their text from there",
        "same_span": "overlap in time with utterances of {0} that say something else: a time is wrong, or "
        "both clips hold the same sound",
    }
    return [
        f"{count} of {splits[later]['utterances']} utterances of {later} {ending.format(earlier)}."
        for kind, ending in endings.items()
        for later, counts in twice.get(kind, {}).items()
        for earlier, count in counts.items()
        # In conversation a few sentences of any kind are said twice; they are listed.
        if kind != "same_text" or count >= _WORTH_SAYING * splits[later]["utterances"]
    ]


def _not_learnable(labels: Mapping[str, Mapping[str, int]]) -> list[str]:
    learned = [label for label, counts in labels.items() if counts["train"]]
    if not labels:
        return [
            "No utterance has a label: features can be made, but there is nothing to learn from. "
            "Fill the column label, or run --pipelines=ingestion,features alone."
        ]
    if len(learned) == 1:
        return [f"All labelled utterances of train are {few(learned)}: there is nothing to tell apart."]
    return []


def _label_warnings(labels: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What is odd in how often each label occurs in each split."""
    warnings = []
    untrained = [label for label, counts in labels.items() if not counts["train"]]
    if untrained:
        warnings.append(f"Labels that do not occur in train, and cannot be learned: {few(untrained)}.")
    # Of a split without any label, that is said.
    scored = [split for split in ("val", "test") if any(counts[split] for counts in labels.values())]
    lacking = {
        label: [split for split in scored if not counts[split]]
        for label, counts in labels.items()
        if counts["train"] and not all(counts[split] for split in scored)
    }
    if len(lacking) > _MOST_SENTENCES:
        warnings.append(f"{len(lacking)} labels do not occur in val, or in test: {few(lacking)}.")
    else:
        warnings += [
            f"Label {few([label])} does not occur in {' and '.join(absent)}."
            for label, absent in lacking.items()
        ]
    for split in ("val", "test"):
        there = [label for label, counts in labels.items() if counts[split]]
        if len(there) == 1 and len(labels) > 1:
            warnings.append(
                f"All labelled utterances of {split} are {few(there)}: a score on them says nothing of "
                "telling classes apart."
            )
    return warnings


def _no_classes(labels: pd.Series) -> tuple[list[str], list[str]]:
    """An error, or a warning, if what stands where the label should is a measurement, free text or an id."""
    counts = labels.value_counts()
    names = counts.index.astype("str")
    numbers = pd.to_numeric(pd.Series(names.str.replace(",", ".")), errors="coerce")
    numeric = numbers.notna().mean() > 0.9
    fractions = (numbers.dropna() % 1 != 0).any()
    rare = (counts <= 2).mean() > 0.5
    fix = (
        "Write a few classes (of numbers, ranges such as low, middle, high) into the column label, or name "
        "the column that holds them so."
    )
    many = (fractions and len(counts) > _MOST_FRACTIONS) or (rare and len(counts) > _MANY)
    if are_ratings(names) or (numeric and many):
        return [
            f"The labels are {len(counts)} numbers, such as {few(names, 3)}: no classes. {fix} {_BINS}"
        ], []
    if len(counts) > _MANY and rare:
        said = f"Most of the {len(counts)} labels occur once or twice, such as {few(names[::-1], 3)}"
        return [f"{said}: no classes. {fix}"], []
    if numeric and len(counts) > _MANY:
        return [], [f"The labels are {len(counts)} whole numbers; if they measure something: {fix} {_BINS}"]
    return [], []


def _split_counts(rows: pd.DataFrame) -> dict[str, Any]:
    lengths = rows.groupby("dialogue_id").size()
    measures = {"min": lengths.min(), "median": lengths.median(), "max": lengths.max()} if len(rows) else {}
    return {
        "utterances": len(rows),
        "dialogues": len(lengths),
        "speakers": int(rows["speaker"].nunique()),
        "labelled": int(rows["label"].notna().sum()),
        "clips": int(rows["clip"].notna().sum()),
        "wavs": int(rows["wav"].notna().sum()),
        "dialogue_length": {name: float(value) for name, value in measures.items()},
    }


def _shared_speakers(utterances: pd.DataFrame) -> dict[str, int]:
    speakers = {split: set(utterances.loc[utterances["split"] == split, "speaker"]) for split in SPLITS}
    pairs = (("train", "val"), ("train", "test"), ("val", "test"))
    return {f"{first} and {second}": len(speakers[first] & speakers[second]) for first, second in pairs}


def _errors(utterances: pd.DataFrame) -> list[str]:
    errors = []
    labelled = utterances["label"].notna()
    # A corpus may come without a test split, or with an unlabelled one that is only predicted.
    for split in ("train", "val"):
        if not (utterances["split"] == split).any():
            errors.append(f"The {split} split is empty. {_EMPTY[split]}")
        elif labelled.any() and not labelled[utterances["split"] == split].any():
            errors.append(f"No utterance of the {split} split has a label.")
    mixed = utterances.groupby("dialogue_id")["split"].nunique()
    if (mixed > 1).any():
        errors.append(f"Dialogues in two splits: {few(mixed.index[mixed > 1])}.")
    twice = utterances["utterance_id"].duplicated()
    if twice.any():
        errors.append(f"Utterances there twice: {few(utterances.loc[twice, 'utterance_id'].unique())}.")
    part = "fold" if is_folded(utterances) else "split"
    span = ["clip", "clip_start_s", "clip_end_s"]
    of_clips = utterances[utterances["clip"].notna()].groupby(span, dropna=False)[part].nunique()
    if (of_clips > 1).any():
        clips = of_clips.index.get_level_values("clip")[of_clips > 1]
        errors.append(f"Clips, or spans of clips, in two {part}s: {few(clips.unique())}.")
    of_wavs = utterances[utterances["wav"].notna()].groupby("wav")[part].nunique()
    if (of_wavs > 1).any():
        errors.append(f"Sound files in two {part}s: {few(of_wavs.index[of_wavs > 1])}.")
    return errors
