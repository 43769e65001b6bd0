"""What a user must know of a corpus and its features before training on them: counts, oddities, errors.

Tables in, plain dicts out (JSON-able), and a Markdown page of the two.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.errors import PlainError
from erc_kedro.escaping import LONGEST, markdown
from erc_kedro.evaluation.giveaways import THRESHOLD, label_agreement, row_numbers
from erc_kedro.evaluation.provenance import is_complete, provenance_errors
from erc_kedro.schemas import SPLITS
from erc_kedro.sentences import few

Audit = dict[str, Any]

_MOST_EXAMPLES = 50
# A sentence each for so many labels that a split lacks; more are counted.
_MOST_SENTENCES = 5
# Classes of a corpus may be numbers, but not so many different fractions (half points from 1 to 5 are 9), nor
# more than this of any kind that mostly occur once or twice.
_MOST_FRACTIONS, _MANY = 10, 20
# A modality that is absent from so many utterances of a split deserves a word.
_LOW_SHARE = 0.9
# What is counted of the clips that voice and face were extracted from.
CLIP_COLUMNS = {
    "voice": "voice",
    "hours": "hours of sound",
    "median_s": "median s",
    "longest_s": "longest s",
    "face": "face",
    "face_rate": "frames with the speaker's face",
}

# What the lines of a table are; the first is the sum of the others.
LINES = {
    "lines": "lines",
    "header": "header",
    "rows": "rows",
    "continued": "going on with a row",
    "blank": "without content",
}

_MEANINGS = {
    "clip_without_row": "A clip that no row of the annotations speaks of; it is not used.",
    "row_without_clip": "An utterance without a clip; its voice and face are absent.",
    "no_clips": "No clip was found at all; only text can be used, or features that others published.",
    "clip_unplaced": "A clip whose split or number its name and folders do not tell; it is not used.",
    "clip_found_twice": "The same clip lies in two places; the first one is used.",
    "twin_clip": "A test clip that exists with and without a prefix; the prefixed one is used.",
    "numbering_gap": "Utterance numbers are missing in a dialogue; positions are counted without the gap.",
    "missing_dialogue_id": "A number is missing in the sequence of dialogues.",
    "cp1252_bytes": "Bytes that are not UTF-8; they were read as Windows characters.",
    "c1_control": "Control characters that were meant as Windows characters; they were repaired.",
    "mojibake": "Characters that had been decoded wrongly before; they were repaired.",
    "curly_quotes": "Curly quotes; they were made straight.",
    "backslash_quotes": "Backslashes before a quote or another backslash; they were left out.",
    "lost_characters": "Signs that another program could not read and put U+FFFD for; they are gone.",
    "missing_value": "What programs write for a missing value, such as NA or nan; the cell counts as empty.",
    "missing_value_as_text": "A text that programs write for a missing value; it was kept, as if said.",
    "names_alike": "Names that only case, white space, invisible characters or, of classes, quotes, full "
    "stops, hyphens and underscores tell apart; they count as two.",
    "unused_column": "A column that is none of a manifest's; it was not read.",
    "hour_of_one_digit": "Times whose hour has one digit; they are read as they are meant.",
    "odd_time": "A time with missing digits; read as a decimal fraction.",
    "end_before_start": "An utterance that ends before it starts; its clip or span cannot be trusted.",
    "zero_duration": "An utterance that ends when it starts.",
    "implausibly_long": "An utterance of more than a minute; its clip may show something else too.",
    "same_span": "Utterances of one dialogue that name one span; their clips hold the same sound.",
    "repeated_across_splits": "An utterance of which another split holds the same recording: a leak.",
    "repeated_in_split": "Dialogues of one split that hold the same recording; folds keep them together.",
    "same_words_across_splits": "A dialogue whose words another split holds, too, said again: a script, say.",
    "overlapping_spans": "Dialogues whose spans of one recording overlap though the words differ: a time is "
    "wrong, or their clips hold the same sound.",
    "leak_dropped": "An utterance that was left out, since a later split holds the same recording.",
    "empty_text": "An utterance without text.",
    "missing_session": "A session's folder is not there.",
    "hidden_file": "Hidden files, as archives from a Mac have them; they were left out.",
    "not_an_utterance": "A line of a transcript without an utterance id and times; it was left out.",
    "utterance_in_foreign_file": "An utterance that stands in another dialogue's file; its id is believed.",
    "evaluated_without_transcript": "An utterance with a label but no transcript; its text is empty.",
    "transcript_without_evaluation": "A transcribed turn that nobody evaluated; it was left out.",
    "time_mismatch": "Transcript and evaluation disagree about the times; the evaluation is used.",
    "overlapping_turns": "Utterances that start before an earlier one has ended; both speakers are heard.",
    "label_outside_six": "Utterances whose majority label is none of the six classes.",
    "community_relabelled": "An utterance without a majority label that the community counts as happy.",
    "community_id_absent": "An utterance of the community's list that this copy of the corpus does not have.",
    "missing_media": "What the manifest names does not exist, or is no file.",
    "missing_wav": "An utterance without a wav.",
    "missing_avi": "A dialogue without a video.",
    "no_wav": "No wav was found at all.",
    "no_avi": "No video was found at all.",
    "several_groups": "A speaker is said to be in several groups; scores by group leave the speaker out.",
    "positions_recounted": "Positions did not count 0, 1, 2, …; they were recounted.",
    "shared_wav": "Rows share a sound file beside a clip: all of it is used for each; leave the cell empty.",
    "shared_clip_without_times": "Rows share a clip, and this one has no times: all of the clip is used.",
}


class AuditError(PlainError, ValueError):
    """A corpus on which no result could be believed."""


def audit_corpus(utterances: pd.DataFrame, card: Mapping[str, Any], irregularities: pd.DataFrame) -> Audit:
    """Count a corpus and look for what would make its results wrong.

    Args:
        utterances: the utterance table.
        card: what the reader says of the corpus: name, protocol, synthetic, notes, of which tables it read
            how many lines, and ``twice`` (see ``corpora.leaks.examined``).
        irregularities: the reader's table of kind, where, detail.

    Returns:
        ``name``, ``protocol``, ``synthetic``, ``notes``; ``tables`` (file to the numbers of ``LINES``);
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
    if not splits["test"]["utterances"]:
        warnings.append("The test split is empty: nothing is scored but validation.")
    for split, counts in splits.items():
        unlabelled = counts["utterances"] - counts["labelled"]
        if unlabelled:
            warnings.append(f"{unlabelled} of {counts['utterances']} utterances of {split} have no label.")
    warnings += _held_twice(card.get("twice", {}), splits)
    return {
        "name": card.get("name"),
        "protocol": card.get("protocol"),
        "synthetic": bool(card.get("synthetic", False)),
        "notes": [str(note) for note in card.get("notes", [])],
        "tables": {str(name): dict(counts) for name, counts in card.get("tables", {}).items()},
        "splits": splits,
        "labels": labels,
        "shared_speakers": _shared_speakers(utterances),
        "irregularities": _grouped(irregularities),
        "warnings": warnings,
        "not_learnable": _not_learnable(labels),
        "errors": [*_errors(utterances), *no_classes],
    }


def _held_twice(twice: Mapping[str, Any], splits: Mapping[str, Any]) -> list[str]:
    """Sentences on ``corpora.leaks``' findings."""
    endings = {
        "repeated": "repeat utterances of {0}, by their words and, where known, times: a leak; "
        "ingestion.drop_leaks leaves those of {0} out",
        "same_words": "have the words of utterances of {0}, said again, as in a script: their text is known "
        "from there, not their voice or face",
        "same_span": "overlap in time with utterances of {0} that say something else: a time is wrong, or "
        "both clips hold the same sound",
    }
    return [
        f"{count} of {splits[later]['utterances']} utterances of {later} {ending.format(earlier)}."
        for kind, ending in endings.items()
        for later, counts in twice.get(kind, {}).items()
        for earlier, count in counts.items()
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
    lacking = {
        label: [split for split in ("val", "test") if not counts[split]]
        for label, counts in labels.items()
        if counts["train"] and not (counts["val"] and counts["test"])
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
    mend = (
        "Write a few classes (of numbers, ranges such as low, middle, high) into the column label, or name "
        "the column that holds them so."
    )
    if numeric and ((fractions and len(counts) > _MOST_FRACTIONS) or (rare and len(counts) > _MANY)):
        return [f"The labels are {len(counts)} numbers, such as {few(names, 3)}: no classes. {mend}"], []
    if len(counts) > _MANY and rare:
        said = f"Most of the {len(counts)} labels occur once or twice, such as {few(names[::-1], 3)}"
        return [f"{said}: no classes. {mend}"], []
    if numeric and len(counts) > _MANY:
        return [], [f"The labels are {len(counts)} whole numbers; if they measure something: {mend}"]
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


def _grouped(irregularities: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "kind": str(kind),
            "count": len(rows),
            "meaning": _MEANINGS.get(str(kind), ""),
            "examples": rows[["where", "detail"]].head(_MOST_EXAMPLES).to_dict("records"),
        }
        for kind, rows in irregularities.groupby("kind")
    ]


def _errors(utterances: pd.DataFrame) -> list[str]:
    errors = []
    labelled = utterances["label"].notna()
    # A corpus may come without a test split, or with an unlabelled one that is only predicted.
    for split in ("train", "val"):
        if not (utterances["split"] == split).any():
            errors.append(f"The {split} split is empty.")
        elif labelled.any() and not labelled[utterances["split"] == split].any():
            errors.append(f"No utterance of the {split} split has a label.")
    mixed = utterances.groupby("dialogue_id")["split"].nunique()
    if (mixed > 1).any():
        errors.append(f"Dialogues in two splits: {few(mixed.index[mixed > 1])}.")
    twice = utterances["utterance_id"].duplicated()
    if twice.any():
        errors.append(f"Utterances there twice: {few(utterances.loc[twice, 'utterance_id'].unique())}.")
    span = ["clip", "clip_start_s", "clip_end_s"]
    in_splits = utterances[utterances["clip"].notna()].groupby(span, dropna=False)["split"].nunique()
    if (in_splits > 1).any():
        clips = in_splits.index.get_level_values("clip")[in_splits > 1]
        errors.append(f"Clips, or spans of clips, in two splits: {few(clips.unique())}.")
    wavs = utterances[utterances["wav"].notna()].groupby("wav")["split"].nunique()
    if (wavs > 1).any():
        errors.append(f"Sound files in two splits: {few(wavs.index[wavs > 1])}.")
    return errors


def contents(utterances: pd.DataFrame) -> dict[str, str]:
    """Each dialogue and a hash of the words said in it, in order."""
    table = utterances.sort_values(["dialogue_id", "position"])
    return {
        str(dialogue): hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
        for dialogue, texts in table.groupby("dialogue_id", sort=False)["text"]
    }


def encoder_errors(
    facts: Mapping[str, Any],
    utterances: pd.DataFrame,
    corpus: str,
    dropped: Iterable[Mapping[str, Any]] = (),
) -> list[str]:
    """What forbids the vectors of a fine-tuned encoder: it learned from what it is to be judged on.

    A dialogue is known by its name in its corpus, and anywhere by its words. Words that training holds, too,
    are the corpus's own repetition or a coincidence, and no error of the encoder.

    Args:
        facts: ``corpus``, and ``trained_on`` and ``selected_on``: dialogue to hash (``contents``).
        corpus: the name of the one that the utterances are of.
        dropped: utterances that ingestion left out of it, with their ``dialogue_id``.
    """
    said = {split: contents(utterances[utterances["split"] == split]) for split in SPLITS}
    errors = []
    for what, how, judged in (
        ("trained_on", "was fine-tuned on", ("val", "test")),
        ("selected_on", "was selected on", ("test",)),
    ):
        of_encoder: Mapping[str, str] = facts[what]
        # What the splits that the encoder may know hold themselves.
        repeated = {words for split, own in said.items() if split not in judged for words in own.values()}
        words_known = set(of_encoder.values()) - repeated
        for split in judged:
            seen = [
                dialogue
                for dialogue, words in said[split].items()
                if (dialogue in of_encoder and facts["corpus"] == corpus) or words in words_known
            ]
            if seen:
                errors.append(f"The text encoder {how} {len(seen)} dialogues of {split}: {few(seen)}.")
    now = {dialogue: words for own in said.values() for dialogue, words in own.items()}
    learned = {**facts["selected_on"], **facts["trained_on"]}
    whole = {
        dialogue
        for dialogue in (str(row["dialogue_id"]) for row in dropped)
        if facts["corpus"] == corpus and learned.get(dialogue, now.get(dialogue)) != now.get(dialogue)
    }
    if whole:
        errors.append(
            f"The text encoder was fine-tuned before utterances of {few(sorted(whole))} were left out "
            "(drop_leaks); `kedro run --pipeline=finetune` fits it anew."
        )
    return errors


def text_errors(
    made_by: Mapping[Any, Any], utterances: pd.DataFrame, corpus: str, causal: bool = False
) -> list[str]:
    """What forbids a table of text vectors for these utterances.

    Args:
        made_by: the table's ``provenance``.
        causal: whether the model that reads them may not look ahead.
    """
    errors = encoder_errors(made_by["encoder"], utterances, corpus) if made_by["encoder"] else []
    following = made_by["extractor"].get("settings", {}).get("following", 0)
    if causal and following:
        errors.append(
            f"The model is causal, but its text vectors know the {following} utterances that follow; "
            "extract them, or fine-tune their encoder, with following: 0."
        )
    return errors


def refuse(audit: Mapping[str, Any]) -> None:
    """Raise AuditError with all errors of an audit, of a corpus or of features, if there are any."""
    if audit["errors"]:
        name = audit.get("name", "Features")
        raise AuditError(f"{name}: {' '.join(audit['errors'])} Mend this, then run again.")


def refuse_training(audit: Mapping[str, Any]) -> None:
    """``refuse`` what nothing can be learned from, too."""
    refuse({**audit, "errors": [*audit["errors"], *audit.get("not_learnable", [])]})


def admit(
    name: str,
    audit: Mapping[str, Any],
    features_audit: Mapping[str, Any],
    features: Mapping[str, pd.DataFrame],
    utterances: pd.DataFrame,
    corpus: str,
    causal: bool,
) -> list[str]:
    """Raise AuditError unless a model of this name may be trained.

    Refused are the errors of either audit, features of unknown or other provenance than ``features_audit``
    records, and what ``text_errors`` finds.

    Args:
        features: by modality, the tables that are trained on.

    Returns:
        what must be said beside the model's scores (sentences).
    """
    refuse_training(audit)
    refuse_training(features_audit)
    records = features_audit.get("provenance") or {}
    errors, cautions = provenance_errors(records, features, utterances)
    if is_complete(records.get("text")):
        errors += text_errors(records["text"], utterances, corpus, causal)
    refuse({"name": f"{corpus} {name}", "errors": errors})
    return cautions


def audit_features(
    features: Mapping[str, pd.DataFrame],
    utterances: pd.DataFrame,
    records: Mapping[str, Mapping[str, Any]],
    clips: pd.DataFrame | None = None,
    corpus: str = "",
) -> Audit:
    """Look into the vectors of each modality.

    Args:
        features: modality to a table of utterance_id, vector (one length a modality), present, reason.
        utterances: the utterance table.
        records: modality to the ``provenance`` of its table.
        clips: what became of every clip that features were extracted from.
        corpus: its name, by which a fine-tuned encoder knows its own.

    Returns:
        ``counts`` (modality to split to reason to count); ``modalities``: modality to ``dimension``;
        ``share`` (split to the share that is present); over the vectors that are present: ``not_finite``,
        ``all_zero``, ``constant_dimensions`` (numbers that are the same in all of training),
        ``identical_across_splits`` (utterances of val or test whose vector is bit-identical to one of another
        split, with ``examples``), and of these those ``identical_with_same_text``, which for text is as it
        must be; ``repeated`` (utterances whose vector is that of one with another text in their split);
        ``tell_label`` and ``row_numbers`` (the numbers, by their columns or as ``vector[8]``, that are the
        label or a row's number by themselves, up to 50 each) and how many there are, ``tell_label_in_all``
        and ``row_numbers_in_all``. ``sources``: each modality that was joined from a file to the file's
        ``name`` and ``version``, the ``part`` that was taken, and its ``columns`` and those ``left_out``.
        ``encoder`` (a fine-tuned text encoder's corpus, origin, folds and numbers of dialogues; else None).
        ``clips`` (what ``_audit_clips`` counts; empty where nothing was extracted from clips).
        ``provenance`` (the records). ``warnings`` and ``errors`` (sentences).

    Raises:
        ValueError: a table does not hold exactly the corpus's utterances.
    """
    audit: Audit = {
        "counts": {},
        "modalities": {},
        "sources": {},
        "clips": {},
        "warnings": [],
        "errors": [],
    }
    ids = pd.Index(utterances["utterance_id"])
    for modality, table in features.items():
        if len(table) != len(ids) or set(table["utterance_id"]) != set(ids):
            raise ValueError(f"the {modality} features are not of this corpus's {len(ids)} utterances")
        ordered = table.set_index("utterance_id").reindex(ids)
        source = _source(records.get(modality, {}))
        facts = _audit_modality(ordered, utterances.reset_index(drop=True), source.get("columns", []))
        audit["counts"][modality] = {
            split: {str(reason): int(count) for reason, count in rows.value_counts().items()}
            for split, rows in ordered["reason"].groupby(utterances["split"].to_numpy())
        }
        audit["modalities"][modality] = facts
        if source:
            audit["sources"][modality] = source
        _warn(modality, facts, audit)
        extracted = modality in records and not source
        _warn_of_giveaways(modality, facts, audit, bool(source.get("columns")), extracted)
    audit["provenance"] = dict(records)
    audit["errors"] += provenance_errors(records, features, utterances)[0]
    if "text" in records:
        audit["encoder"] = _encoder(records["text"])
        audit["errors"] += text_errors(records["text"], utterances, corpus)
    if clips is not None and len(clips):
        audit["clips"] = _audit_clips(clips)
        audit["warnings"] += _clip_warnings(clips)
    return audit


def _source(record: Mapping[str, Any]) -> dict[str, Any]:
    """The file that vectors were joined from, and what of it; empty where they were extracted."""
    source = record.get("source")
    if source is None:
        return {}
    extractor = record["extractor"]
    return {"name": extractor["name"], "version": extractor.get("version"), **source}


def _encoder_sentence(facts: Mapping[str, Any]) -> str:
    folds = (
        f"Vectors of training come from {facts['folds']} encoders that did not see their dialogue."
        if facts["folds"]
        else "Vectors of training come from the encoder that learned from them."
    )
    score = f"weighted F1 {facts['val_weighted_f1']:.3f} on its {facts['selected_on']} validation dialogues"
    return (
        f"Text: {facts['encoder']}, fine-tuned on {facts['trained_on']} training dialogues of "
        f"{facts['corpus']} ({score}, which chose the epoch). {folds}"
        + (f" An utterance is {facts['shown']}." if facts.get("shown") else "")
    )


def _encoder(made_by: Mapping[Any, Any]) -> dict[str, Any] | None:
    """What the page says of a fine-tuned encoder."""
    facts = made_by["encoder"]
    if not facts:
        return None
    shown = {key: facts[key] for key in ("corpus", "encoder", "folds", "val_weighted_f1", "run")}
    # A record from before there were questions does not say it.
    shown["shown"] = facts.get("shown")
    return {**shown, "trained_on": len(facts["trained_on"]), "selected_on": len(facts["selected_on"])}


def _audit_clips(clips: pd.DataFrame) -> dict[str, Any]:
    """What became of the clips.

    Returns:
        ``splits``: split to ``voice`` and ``face`` (reason to number of utterances), ``hours``, ``median_s``
        and ``longest_s`` of decoded sound, ``face_rate`` (share of sampled frames with the speaker's face);
        ``errors``: kind of decoding error to number of clips; ``bad``: up to 50 that gave nothing
        (utterance_id, modality, reason, detail); ``bad_in_all``: how many there are.
    """
    splits = {}
    for split in SPLITS:
        part = clips[clips["split"] == split]
        seconds, frames = part["seconds"].dropna(), part["frames"].sum()
        splits[split] = {
            "voice": _reasons(part[part["modality"] == "audio"]),
            "hours": float(seconds.sum() / 3600) if len(seconds) else None,
            "median_s": float(seconds.median()) if len(seconds) else None,
            "longest_s": float(seconds.max()) if len(seconds) else None,
            "face": _reasons(part[part["modality"] == "visual"]),
            "face_rate": float(part["with_face"].sum() / frames) if frames else None,
        }
    kinds = clips.assign(kind=clips["errors"].str.split(", ")).explode("kind")
    kinds["kind"] = kinds["kind"].str.rsplit(" ", n=1).str[0]
    # Voice and face of one clip report the same errors of its file.
    errors = kinds[kinds["kind"] != ""].groupby("kind")["utterance_id"].nunique()
    bad = clips.loc[clips["reason"] != "ok", ["utterance_id", "modality", "reason", "detail"]]
    return {
        "splits": splits,
        "errors": {str(kind): int(count) for kind, count in errors.items()},
        "bad": bad.head(_MOST_EXAMPLES).to_dict("records"),
        "bad_in_all": len(bad),
    }


def _most_common(clips: pd.DataFrame, which: "pd.Series[bool]") -> str:
    details = clips.loc[which, "detail"].mode()
    return str(details.iloc[0]) if len(details) else ""


def _reasons(rows: pd.DataFrame) -> dict[str, int]:
    return {str(reason): int(count) for reason, count in rows["reason"].value_counts().items()}


def _clip_warnings(clips: pd.DataFrame) -> list[str]:
    used, failed = clips["reason"] == "ok", clips["reason"] == "failed"
    in_part = used & (clips["detail"] != "")
    counts = {
        "are overdriven: more than 1 % of their samples are at full scale": used & (clips["clipped"] > 0.01),
        "had decoding errors and were used all the same": used & (clips["errors"] != ""),
        f"made an extractor fail, most often so: {_most_common(clips, failed)}": failed,
        f"were used in part, most often so: {_most_common(clips, in_part)}": in_part,
    }
    numbers = {said: clips.loc[which, "utterance_id"].nunique() for said, which in counts.items()}
    return [f"{number} clips {said}." for said, number in numbers.items() if number]


def _audit_modality(table: pd.DataFrame, utterances: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    present = table["present"].to_numpy(bool)
    share = pd.Series(present).groupby(utterances["split"]).mean()
    facts: dict[str, Any] = {
        "dimension": len(table["vector"].iloc[0]),
        "share": {split: float(share[split]) for split in SPLITS if split in share},
    }
    matrix = (
        np.stack(table.loc[present, "vector"].tolist())
        if present.any()
        else np.zeros((0, facts["dimension"]))
    )
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    kept = utterances[present].reset_index(drop=True)
    training = matrix[(kept["split"] == "train").to_numpy()]
    facts["not_finite"] = int((~np.isfinite(matrix)).any(axis=1).sum())
    facts["all_zero"] = int((matrix == 0).all(axis=1).sum())
    facts["constant_dimensions"] = (
        int((training == training[:1]).all(axis=0).sum()) if len(training) > 1 else 0
    )
    odd = {
        "tell_label": label_agreement(matrix, kept["label"]) >= THRESHOLD,
        "row_numbers": row_numbers(matrix),
    }
    for kind, which in odd.items():
        found = [columns[at] if columns else f"vector[{at}]" for at in np.flatnonzero(which).tolist()]
        facts |= {kind: found[:_MOST_EXAMPLES], f"{kind}_in_all": len(found)}
    return facts | _identical(matrix, kept)


def _identical(matrix: np.ndarray, utterances: pd.DataFrame) -> dict[str, Any]:
    """Bit-identical vectors across splits; zeros are counted elsewhere."""
    rows = utterances[["utterance_id", "split"]].copy()
    # An encoder may not tell these apart either.
    rows["text"] = utterances["text"].str.casefold().str.split().str.join(" ")
    rows["bytes"] = [row.tobytes() for row in matrix]
    rows = rows[(matrix != 0).any(axis=1)]
    rows["splits"] = rows.groupby("bytes")["split"].transform("nunique")
    texts = rows.groupby("bytes")["text"].transform("nunique")
    repeated = (rows["splits"] == 1) & (texts > 1)
    rows = rows[rows["splits"] > 1]
    examples = []
    count = same_text = 0
    for _, group in rows.groupby("bytes", sort=False):
        # The split that comes first in training order is the source, the others the copies.
        order = group["split"].map(SPLITS.index)
        source, copies = group[order == order.min()], group[order > order.min()]
        count += len(copies)
        same_text += int(copies["text"].isin(source["text"]).sum())
        examples += [f"{name} = {source['utterance_id'].iloc[0]}" for name in copies["utterance_id"]]
    return {
        "identical_across_splits": count,
        "identical_with_same_text": same_text,
        "repeated": int(repeated.sum()),
        "examples": examples[:_MOST_EXAMPLES],
    }


def _warn(modality: str, facts: Mapping[str, Any], audit: Audit) -> None:
    warnings = audit["warnings"]
    if facts["not_finite"]:
        audit["errors"].append(
            f"{facts['not_finite']} {modality} vectors are not finite, and yet marked present."
        )
    if not any(facts["share"].values()):
        warnings.append(f"No utterance has {modality} features; the modality is absent.")
        return
    for split, share in facts["share"].items():
        if share < _LOW_SHARE:
            warnings.append(f"Only {share:.1%} of the utterances of {split} have {modality} features.")
    if facts["all_zero"]:
        warnings.append(f"{facts['all_zero']} {modality} vectors are all zeros, and yet marked present.")
    if facts["constant_dimensions"]:
        part = f"{facts['constant_dimensions']} of {facts['dimension']}"
        warnings.append(f"{part} {modality} numbers are the same in all of training.")
    if facts["constant_dimensions"] == facts["dimension"]:
        warnings.append(f"All {modality} vectors of training are the same: the extractor sees nothing.")
    elif facts["repeated"]:
        warnings.append(
            f"{facts['repeated']} {modality} vectors are bit-identical to that of another text in their "
            "split: clips may be there twice, or the extractor is broken."
        )
    unexplained = facts["identical_across_splits"]
    if modality == "text":
        unexplained -= facts["identical_with_same_text"]
    if unexplained:
        warnings.append(
            f"{unexplained} {modality} vectors are bit-identical to one of another split: the features may "
            "have "
            "been mixed up, or clips be there twice."
        )


def _warn_of_giveaways(
    modality: str, facts: Mapping[str, Any], audit: Audit, columns: bool, extracted: bool
) -> None:
    mend = "Take them out of the file" + (
        f", or name the feature columns in features.{modality}.field." if columns else "."
    )
    if facts["tell_label_in_all"]:
        sentence = (
            f"Numbers of {modality} that tell the label by themselves: {_counted(facts, 'tell_label')}."
        )
        # No extractor is given labels: in a made-up corpus, what it measures may be as clear as that.
        if extracted:
            audit["warnings"].append(f"{sentence} What was said or recorded may hold it.")
        else:
            audit["errors"].append(f"{sentence} They are the label, or a copy, and no measurement. {mend}")
    if facts["row_numbers_in_all"] and not extracted:
        found = _counted(facts, "row_numbers")
        audit["warnings"].append(
            f"Numbers of {modality} that count utterances, as a row's number or an id does: {found}. {mend}"
        )


def _counted(facts: Mapping[str, Any], kind: str) -> str:
    return f"{few(facts[kind])} ({facts[f'{kind}_in_all']} of {facts['dimension']})"


def clip_cells(facts: Mapping[str, Any]) -> list[str]:
    """What ``_audit_clips`` counts of one split, as text in the order of ``CLIP_COLUMNS``."""
    patterns = {"hours": ".2f", "median_s": ".2f", "longest_s": ".2f", "face_rate": ".1%"}
    cells = []
    for name in CLIP_COLUMNS:
        value = facts[name]
        if isinstance(value, Mapping):
            cells.append(", ".join(f"{reason} {count:,}" for reason, count in value.items()) or "–")
        else:
            cells.append("–" if value is None else format(value, patterns[name]))
    return cells


def _markdown_table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    names = list(header)
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    cells = ((markdown(cell, LONGEST) for cell in row) for row in rows)
    return [*lines, *("| " + " | ".join(row) + " |" for row in cells), ""]


def _sentences(title: str, sentences: Iterable[str]) -> list[str]:
    lines = [f"- {markdown(sentence)}" for sentence in sentences]
    return [f"## {title}", "", *(lines or ["None."]), ""]


def page(audit: Mapping[str, Any], features_audit: Mapping[str, Any] | None) -> str:
    """An audit, and that of the features where there is one, as a Markdown page."""
    title = f"# Audit of {markdown(audit['name'])}" + (
        " (synthetic: generated, not recorded)" if audit["synthetic"] else ""
    )
    of_features: Mapping[str, Any] = features_audit or {"warnings": [], "errors": [], "modalities": {}}
    lines = [title, "", f"Protocol: {markdown(audit['protocol'])}.", ""]
    lines += [f"{markdown(note)}\n" for note in audit["notes"]]
    lines += _sentences("Errors", [*audit["errors"], *of_features["errors"]])
    warnings = [*audit.get("not_learnable", []), *audit["warnings"], *of_features["warnings"]]
    lines += _sentences("Warnings", warnings)

    columns = ("utterances", "labelled", "dialogues", "speakers", "clips", "wavs")
    if audit.get("tables"):
        lines += ["## Lines read", ""]
        lines += _markdown_table(
            ["table", *LINES.values()],
            ([name, *(counts[kind] for kind in LINES)] for name, counts in audit["tables"].items()),
        )
    lines += ["## Splits", ""]
    lines += _markdown_table(
        ["split", *columns, "utterances a dialogue: least", "median", "most"],
        (
            [split, *(counts[column] for column in columns)]
            + [f"{counts['dialogue_length'].get(name, 0):g}" for name in ("min", "median", "max")]
            for split, counts in audit["splits"].items()
        ),
    )
    shared = ", ".join(f"{pair} {count}" for pair, count in audit["shared_speakers"].items())
    lines += [f"Speakers that two splits share: {shared}.", "", "## Labels", ""]
    lines += _markdown_table(
        ["label", *SPLITS],
        ([label, *(counts[split] for split in SPLITS)] for label, counts in audit["labels"].items()),
    )
    if of_features["modalities"]:
        lines += _features_section(of_features)

    lines += ["## Irregularities", ""]
    if not audit["irregularities"]:
        lines += ["None.", ""]
    for group in audit["irregularities"]:
        lines += [f"### {group['kind']}: {group['count']}", "", group["meaning"], ""]
        lines += _markdown_table(
            ["where", "what"], ([row["where"], row["detail"]] for row in group["examples"])
        )
        if group["count"] > len(group["examples"]):
            lines += [f"… and {group['count'] - len(group['examples'])} more.", ""]
    return "\n".join(lines)


def _features_section(audit: Mapping[str, Any]) -> list[str]:
    modalities = audit["modalities"]
    lines = ["## Features", ""]
    lines += _markdown_table(
        ["modality", "numbers", "split", "share present", "counts"],
        (
            [
                modality,
                facts["dimension"] if any(facts["share"].values()) else "–",
                split,
                f"{share:.1%}",
                ", ".join(f"{reason} {count}" for reason, count in audit["counts"][modality][split].items()),
            ]
            for modality, facts in modalities.items()
            for split, share in facts["share"].items()
        ),
    )
    for modality, source in audit["sources"].items():
        lines += [markdown(_source_sentence(modality, source)), ""]
    for modality, record in audit.get("provenance", {}).items():
        named = modality in audit["sources"] or record.get("encoder") or "extractor" not in record
        if not named and any(modalities[modality]["share"].values()):
            lines += [markdown(f"{modality.capitalize()}: {record['extractor']['name']}."), ""]
    if audit.get("encoder"):
        lines += [markdown(_encoder_sentence(audit["encoder"])), ""]
    names = {
        "not_finite": "not finite",
        "all_zero": "all zeros",
        "constant_dimensions": "constant numbers",
        "identical_across_splits": "identical to another split's",
        "identical_with_same_text": "of these with the same text",
        "repeated": "identical in their split, with another text",
    }
    lines += _markdown_table(
        ["modality", *names.values()],
        ([modality, *(facts[name] for name in names)] for modality, facts in modalities.items()),
    )
    for modality, facts in modalities.items():
        if facts["examples"]:
            lines += [markdown(f"Identical {modality} vectors: {few(facts['examples'], 10)}."), ""]
    return lines + (_clips_section(audit["clips"]) if audit["clips"] else [])


def _source_sentence(modality: str, source: Mapping[str, Any]) -> str:
    columns, left_out = source.get("columns"), source.get("left_out")
    return (
        f"{modality.capitalize()}: {source['name']} (SHA-256 {source['version']}), {source.get('part')}"
        + (f": {few(columns, 20)}" if columns else "")
        + (f"; not used: {few(left_out, 20)}" if left_out else "")
        + "."
    )


def _clips_section(clips: Mapping[str, Any]) -> list[str]:
    lines = ["### Clips", ""]
    lines += _markdown_table(
        ["split", *CLIP_COLUMNS.values()],
        ([split, *clip_cells(facts)] for split, facts in clips["splits"].items()),
    )
    if clips["errors"]:
        kinds = ", ".join(f"{kind} in {count}" for kind, count in clips["errors"].items())
        lines += [f"Decoding errors, by kind and number of clips: {kinds}.", ""]
    if clips["bad"]:
        lines += ["Without voice or face:", ""]
        lines += _markdown_table(
            ["utterance", "modality", "reason", "what"],
            (row.values() for row in clips["bad"]),
        )
        if clips["bad_in_all"] > len(clips["bad"]):
            lines += [f"… and {clips['bad_in_all'] - len(clips['bad'])} more (clips.parquet has all).", ""]
    return lines
