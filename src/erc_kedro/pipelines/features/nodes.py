"""Nodes of the features pipeline."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from erc_kedro.parameters import FeatureParameters
from erc_kedro.pipelines.features.text import fitted, folds_of, is_encoder, no_predictions, of_tuned

logger = logging.getLogger(__name__)


def text_features(
    utterances: DataFrame,
    description: dict[str, Any],
    cache: Path,
    folder: Path,
    parameters: FeatureParameters,
) -> tuple[DataFrame, DataFrame, dict[str, Any]]:
    """One vector an utterance of what was said: published, or by an encoder, which reads only new texts.

    Args:
        folder: where fine-tuning leaves this corpus's encoder.
    Returns:
        the vectors; what a fine-tuned encoder predicts with its own head (no rows for an encoder that is
        not fine-tuned for these classes); and the vectors' provenance.
    """
    from erc_kedro.audit.provenance import provenance
    from erc_kedro.extractors import finetuned

    corpus, asked = folder.name, parameters.text
    raw = Path(description["raw"])
    file = _published_path(raw, asked.path, "text")
    if file is not None:
        table, record = _published(file, utterances, description, "text", asked)
        _log_present(corpus, "text", table, record)
        record["asked"] = asked_of("text", parameters, description, folder)
        return table, no_predictions(description["labels"]), record
    for lying in _published_files(raw, "text"):
        logger.warning("%s: %s is not used; --params=features.text.path=auto does", corpus, lying)
    found = finetuned.of_folds(asked.encoder, folder, folds_of(description)) if is_encoder(asked) else {}
    tuned = {name: one for name, one in found.items() if one is not None}
    if tuned:
        table, predictions, record = of_tuned(utterances, description, cache, corpus, asked, tuned)
    else:
        table, extractor = fitted(utterances, asked, cache)
        predictions, record = no_predictions(description["labels"]), provenance(table, utterances, extractor)
    return table, predictions, record | {"asked": asked_of("text", parameters, description, folder)}


def clip_features(
    utterances: DataFrame, description: dict[str, Any], cache: Path, parameters: FeatureParameters
) -> tuple[DataFrame, dict[str, Any], DataFrame, dict[str, Any], DataFrame]:
    """Voice and face of every utterance: published features where there are some, else from its clip.

    Returns:
        audio features and their provenance, the same of visual ones, and what became of every clip.
    """
    made, clips = of_clips(utterances, description, cache, parameters, ("audio", "visual"))
    return *made["audio"], *made["visual"], clips


def of_clips(
    utterances: DataFrame,
    description: dict[str, Any],
    cache: Path,
    parameters: FeatureParameters,
    modalities: Sequence[str],
) -> tuple[dict[str, tuple[DataFrame, dict[str, Any]]], DataFrame]:
    """The same of one of the two, or of both, which are decoded together.

    Returns:
        by modality its features and their provenance; and what became of every clip.
    """
    from erc_kedro import extractors
    from erc_kedro.audit.provenance import described, provenance
    from erc_kedro.extractors import runner
    from erc_kedro.extractors.cache import feature_table, matrix

    asked: dict[str, Any] = {modality: getattr(parameters, modality) for modality in modalities}
    files = {
        modality: _published_path(Path(description["raw"]), asked[modality].path, modality)
        for modality in asked
    }
    # Before anything slow: a file that cannot be used is to be known at once.
    made = {
        modality: _published(file, utterances, description, modality, asked[modality])
        for modality, file in files.items()
        if file is not None
    }
    media = {
        "audio": utterances["wav"].notna() | utterances["clip"].notna(),
        "visual": utterances["clip"].notna(),
    }
    extracted = [modality for modality in asked if modality not in made and media[modality].any()]
    if "audio" in extracted:
        # Here, so that workers on other machines are told what this one has.
        asked["audio"] = extractors.resolved(parameters.audio)
    settings = runner.Settings(
        asked["audio"] if "audio" in extracted else None,
        parameters.visual if "visual" in extracted else None,
        parameters.runner,
    )
    found = runner.extract(utterances, settings, cache) if extracted else {}
    for modality, (metadata, results) in found.items():
        vectors = matrix(results, metadata.dimension)
        reasons = [result.reason for result in results]
        table = feature_table(utterances["utterance_id"], vectors, reasons)
        extractor = described(metadata, asked[modality]) | {"longest_s": parameters.runner.longest_s}
        made[modality] = table, provenance(table, utterances, extractor)
    for modality in asked:
        if modality not in made:
            made[modality] = _absent(utterances)
        _, record = made[modality]
        record["asked"] = asked_of(modality, parameters, description)
        _log_present(description["raw"], modality, *made[modality])
    return made, _clips(utterances, found)


def asked_of(
    modality: str, parameters: FeatureParameters, description: dict[str, Any], folder: Path | None = None
) -> dict[str, Any]:
    """What decides a modality's vectors: parameters, and what they stand for now; as JSON has it.

    Args:
        folder: where fine-tuning leaves this corpus's encoder; for text.
    """
    from erc_kedro import extractors
    from erc_kedro.corpora import published
    from erc_kedro.extractors import finetuned

    own: Any = getattr(parameters, modality)
    left_out = {"path", "field", "batch_size"}
    if getattr(own, "path", None) is not None:
        file = _published_path(Path(description["raw"]), own.path, modality)
        if file is not None:
            field = own.model_dump(mode="json")["field"]
            return {"published": file.name, "version": published.fingerprint(file), "field": field}
    if modality != "text":
        settings = extractors.resolved(own).model_dump(mode="json", exclude=left_out)
        return settings | {"longest_s": parameters.runner.longest_s}
    found: dict[str, Any] = {}
    if folder is not None and is_encoder(own):
        found = finetuned.of_folds(own.encoder, folder, folds_of(description))
    tuned = [one for one in found.values() if one is not None]
    if not tuned:
        return own.model_dump(mode="json", exclude=left_out)
    first = tuned[0]
    shown = first.settings(own, first.folder).model_dump(mode="json", exclude={*left_out, "encoder"})
    fitted = [one.record.identity for of_fold in tuned for one in of_fold.every]
    return shown | {"finetune": first.learned, "fine_tuned": fitted}


def audit_features(
    text: DataFrame,
    audio: DataFrame,
    visual: DataFrame,
    of_text: dict[str, Any],
    of_audio: dict[str, Any],
    of_visual: dict[str, Any],
    clips: DataFrame,
    utterances: DataFrame,
    audit: dict[str, Any],
    folder: Path,
) -> tuple[dict[str, Any], str]:
    """Looks for leaks, broken clips and broken extractors before anything is trained on the features."""
    from erc_kedro.audit import features
    from erc_kedro.audit.page import audit_page

    tables = {"text": text, "audio": audio, "visual": visual}
    records = {"text": of_text, "audio": of_audio, "visual": of_visual}
    findings = features.audit_features(tables, utterances, records, clips, folder.name)
    for sentence in findings["errors"]:
        logger.error("%s: %s Training refuses it.", folder.name, sentence)
    for sentence in findings["warnings"]:
        logger.warning("%s: %s", folder.name, sentence)
    return findings, audit_page(audit, findings)


def _log_present(corpus: str, modality: str, table: DataFrame, record: dict[str, Any]) -> None:
    there, name = table["present"].sum(), record["extractor"]["name"]
    logger.info("%s: %d of %d utterances have %s features (%s)", corpus, there, len(table), modality, name)


def _published(
    file: Path, utterances: DataFrame, description: dict[str, Any], modality: str, parameters: Any
) -> tuple[DataFrame, dict[str, Any]]:
    from erc_kedro.audit.leaks import as_released
    from erc_kedro.audit.provenance import provenance
    from erc_kedro.corpora import published

    # What others published counts positions as the release does, with what was dropped here.
    released = as_released(utterances, description.get("dropped", []))
    read = published.read_apart(file, released, modality, parameters.field)
    table = read.set_index("utterance_id").loc[utterances["utterance_id"]].reset_index()
    extractor = {
        "name": f"published:{file.name}",
        "version": published.fingerprint(file),
        "settings": parameters.model_dump(mode="json", include={"path", "field"})
        | {"part": read.attrs["part"]},
    }
    source = {str(name): value for name, value in read.attrs.items()}
    return table, provenance(table, utterances, extractor, source=source)


def _absent(utterances: DataFrame) -> tuple[DataFrame, dict[str, Any]]:
    from erc_kedro.audit.provenance import described, provenance
    from erc_kedro.extractors.base import Metadata
    from erc_kedro.extractors.cache import feature_table
    from erc_kedro.parameters import Parameters

    vectors = np.zeros((len(utterances), 1), np.float32)
    table = feature_table(utterances["utterance_id"], vectors, ["no_media"] * len(utterances))
    return table, provenance(table, utterances, described(Metadata("none", 1, "", ""), Parameters()))


def _clips(utterances: DataFrame, found: dict[str, Any]) -> DataFrame:
    """What became of every clip, for the quality page."""
    figures = ("seconds", "clipped", "frames", "with_face")
    rows = [
        {
            "utterance_id": utterance_id,
            "split": split,
            "modality": modality,
            "reason": result.reason,
            "detail": result.detail,
            **{name: result.facts.get(name) for name in figures},
            "errors": ", ".join(f"{kind} {n}" for kind, n in result.facts.get("errors", {}).items()),
        }
        for modality, (_, results) in found.items()
        for utterance_id, split, result in zip(
            utterances["utterance_id"], utterances["split"], results, strict=True
        )
    ]
    columns = ["utterance_id", "split", "modality", "reason", "detail", *figures, "errors"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(figures, "float64"))


def _published_path(raw: Path, wanted: str | None, modality: str) -> Path | None:
    from erc_kedro.extractors.base import ExtractionError

    if wanted is None:
        return None
    if wanted != "auto":
        if not os.path.exists(wanted):
            raise ExtractionError(
                f"features.{modality}.path: {wanted} does not exist; give an existing file, auto, or null"
            )
        return Path(wanted)
    found = _published_files(raw, modality)
    if len(found) > 1:
        raise ExtractionError(
            f"{found[0].parent} holds several {modality} files ({', '.join(p.name for p in found)}); "
            f"name one in features.{modality}.path"
        )
    return found[0] if found else None


def _published_files(raw: Path, modality: str) -> list[Path]:
    # A manifest is a file; interviews.csv has its features in interviews_published/.
    folder = raw.parent / f"{raw.stem if raw.is_file() else raw.name}_published"
    return sorted(folder.glob(f"{modality}*"))
