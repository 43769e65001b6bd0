"""What a user must know of features before training on them: absent, broken, mixed up, no feature."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.audit.clips import audit_clips, clip_warnings
from erc_kedro.audit.encoders import text_errors
from erc_kedro.audit.fitted import fitted_features
from erc_kedro.audit.giveaways import THRESHOLD, label_agreement, row_numbers
from erc_kedro.audit.irregularities import MOST_EXAMPLES
from erc_kedro.audit.provenance import provenance_errors
from erc_kedro.folds import of_view, views
from erc_kedro.schemas import SPLITS
from erc_kedro.sentences import few

# A modality that is absent from so many utterances of a split deserves a word.
_LOW_SHARE = 0.9


def audit_features(
    features: Mapping[str, pd.DataFrame],
    utterances: pd.DataFrame,
    records: Mapping[str, Mapping[str, Any]],
    clips: pd.DataFrame | None = None,
    corpus: str = "",
) -> dict[str, Any]:
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
        ``all_zero``, ``constant_dimensions`` (features that are the same in all of training),
        ``identical_across_splits`` (utterances of val or test whose vector is bit-identical to one of another
        split, with ``examples``), and of these those ``identical_with_same_text``, which for text is as it
        must be; ``repeated`` (utterances whose vector is that of one with another text in their split);
        ``gives_label_away`` and ``row_numbers`` (the features, by their columns or as ``vector[8]``, that are
        the label or a row's number by themselves, up to 50 each) and how many there are,
        ``gives_label_away_in_all`` and ``row_numbers_in_all``. ``sources``: each modality that was joined
        from a file to the file's ``name`` and ``version``, the ``part`` that was taken, and its ``columns``
        and those ``left_out``.
        ``encoder`` (a fine-tuned text encoder's corpus, origin, folds and numbers of dialogues; else None).
        ``fitted`` (``fitted.fitted_features``: whether they know the labels of training).
        ``clips`` (what ``clips.audit_clips`` counts; empty where nothing was extracted from clips).
        ``provenance`` (the records). ``warnings`` and ``errors`` (sentences).

    Raises:
        ValueError: a table does not hold exactly the corpus's utterances.
    """
    audit: dict[str, Any] = {
        "counts": {},
        "modalities": {},
        "sources": {},
        "clips": {},
        "warnings": [],
        "errors": [],
    }
    ids = pd.Index(utterances["utterance_id"])
    first = views(utterances)[0]
    for modality, of_folds in features.items():
        table = of_view(of_folds, first)
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
    audit["fitted"] = fitted_features(features, utterances, records)
    for kind in ("warnings", "hints"):
        audit["warnings"] += audit["fitted"][kind].values()
    audit["provenance"] = dict(records)
    audit["errors"] += provenance_errors(records, features, utterances)[0]
    if "text" in records:
        audit["encoder"] = _encoder(records["text"])
        audit["errors"] += text_errors(records["text"], utterances, corpus)
    if clips is not None and len(clips):
        audit["clips"] = audit_clips(clips)
        audit["warnings"] += clip_warnings(clips)
    return audit


def _source(record: Mapping[str, Any]) -> dict[str, Any]:
    """The file that vectors were joined from, and what of it; empty where they were extracted."""
    source = record.get("source")
    if source is None:
        return {}
    extractor = record["extractor"]
    return {"name": extractor["name"], "version": extractor.get("version"), **source}


def _encoder(made_by: Mapping[Any, Any]) -> dict[str, Any] | None:
    """What the page says of a fine-tuned encoder."""
    facts = made_by["encoder"]
    if not facts:
        return None
    shown = {key: facts[key] for key in ("corpus", "encoder", "folds", "val_weighted_f1", "run")}
    # A record from before there were questions does not say it.
    shown["shown"] = facts.get("shown")
    return {**shown, "trained_on": len(facts["trained_on"]), "selected_on": len(facts["selected_on"])}


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
        "gives_label_away": label_agreement(matrix, kept["label"]) >= THRESHOLD,
        "row_numbers": row_numbers(matrix),
    }
    for kind, which in odd.items():
        found = [columns[at] if columns else f"vector[{at}]" for at in np.flatnonzero(which).tolist()]
        facts |= {kind: found[:MOST_EXAMPLES], f"{kind}_in_all": len(found)}
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
        "examples": examples[:MOST_EXAMPLES],
    }


def _warn(modality: str, facts: Mapping[str, Any], audit: dict[str, Any]) -> None:
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
        warnings.append(f"{part} {modality} features are the same in all of training.")
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
    modality: str, facts: Mapping[str, Any], audit: dict[str, Any], columns: bool, extracted: bool
) -> None:
    fix = "Take them out of the file" + (
        f", or name the feature columns in features.{modality}.field." if columns else "."
    )
    if facts["gives_label_away_in_all"]:
        found = _counted(facts, "gives_label_away")
        sentence = f"Features of {modality} that give the label away by themselves: {found}."
        # No extractor is given labels: in a made-up corpus, what it measures may be as clear as that.
        if extracted:
            audit["warnings"].append(f"{sentence} What was said or recorded may hold it.")
        else:
            audit["errors"].append(f"{sentence} They are the label, or a copy, and no measurement. {fix}")
    if facts["row_numbers_in_all"] and not extracted:
        found = _counted(facts, "row_numbers")
        audit["warnings"].append(
            f"Features of {modality} that count utterances, as a row's number or an id does: {found}. {fix}"
        )


def _counted(facts: Mapping[str, Any], kind: str) -> str:
    return f"{few(facts[kind])} ({facts[f'{kind}_in_all']} of {facts['dimension']})"
