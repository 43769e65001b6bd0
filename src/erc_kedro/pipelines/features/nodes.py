"""Nodes of the features pipeline."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc_kedro.parameters import FeatureParameters

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

logger = logging.getLogger(__name__)


def text_features(utterances: DataFrame, cache: Path, parameters: FeatureParameters) -> DataFrame:
    """One vector an utterance of what was said; only new texts are encoded."""
    from erc_kedro import extractors
    from erc_kedro.extractors import text

    asked = parameters.text
    lines = text.lines(utterances, asked)
    splits = utterances["split"]
    training = [line for line, split in zip(lines, splits, strict=True) if split == "train"]
    extractor = extractors.build("text", asked, training=training)
    vectors = text.vectors(extractor, lines, cache, asked)
    said = utterances["text"].str.strip() != ""
    return _table(utterances, vectors, said.map({True: "ok", False: "no_text"}), extractor.card, asked)


def clip_features(
    utterances: DataFrame, card: dict[str, Any], cache: Path, parameters: FeatureParameters
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Voice and face of every utterance: published features where there are some, else from its clip.

    Returns:
        audio features, visual features, and what became of every clip.
    """
    from erc_kedro.extractors import runner
    from erc_kedro.extractors.cache import matrix

    asked = {"audio": parameters.audio, "visual": parameters.visual}
    files = {
        modality: _published_path(Path(card["raw"]), asked[modality].path, modality) for modality in asked
    }
    # Before anything slow: a file that cannot be used is to be known at once.
    tables = {
        modality: _published(file, utterances, modality, asked[modality])
        for modality, file in files.items()
        if file is not None
    }
    media = {
        "audio": utterances["wav"].notna() | utterances["clip"].notna(),
        "visual": utterances["clip"].notna(),
    }
    extracted = [modality for modality in asked if modality not in tables and media[modality].any()]
    settings = runner.Settings(
        parameters.audio if "audio" in extracted else None,
        parameters.visual if "visual" in extracted else None,
        parameters.runner,
    )
    found = runner.extract(utterances, settings, cache) if extracted else {}
    for modality, (extractor, results) in found.items():
        vectors = matrix(results, extractor.dimension)
        reasons = [result.reason for result in results]
        tables[modality] = _table(utterances, vectors, reasons, extractor, asked[modality])
    for modality in asked:
        if modality not in tables:
            tables[modality] = _absent(utterances)
        table = tables[modality]
        logger.info(
            "%s: %d of %d utterances have %s features (%s)",
            card["raw"],
            table["present"].sum(),
            len(table),
            modality,
            table.attrs["extractor"]["name"],
        )
    return tables["audio"], tables["visual"], _clips(utterances, found)


def audit_features(
    text: DataFrame,
    audio: DataFrame,
    visual: DataFrame,
    clips: DataFrame,
    utterances: DataFrame,
    audit: dict[str, Any],
) -> tuple[dict[str, Any], str]:
    """Looks for leaks, broken clips and broken extractors before anything is trained on the features."""
    from erc_kedro.evaluation import audit as auditing

    tables = {"text": text, "audio": audio, "visual": visual}
    findings = auditing.audit_features(tables, utterances, clips)
    for sentence in [*findings["errors"], *findings["warnings"]]:
        logger.warning("%s", sentence)
    return findings, auditing.page(audit, findings)


def _table(utterances: DataFrame, vectors: Any, reasons: Any, card: Any, parameters: Any) -> DataFrame:
    import pandas as pd

    table = pd.DataFrame(
        {"utterance_id": utterances["utterance_id"], "vector": list(vectors), "reason": list(reasons)}
    )
    table.insert(2, "present", table["reason"] == "ok")
    table.attrs["extractor"] = {
        "name": card.name,
        "version": card.version,
        "licence": card.licence,
        "settings": parameters.model_dump(),
    }
    return table


def _published(file: Path, utterances: DataFrame, modality: str, parameters: Any) -> DataFrame:
    from erc_kedro.corpora import published

    table = published.read(file, utterances, modality, parameters.field)
    table.attrs["extractor"] = {
        "name": f"published:{file.name}",
        "version": published.fingerprint(file),
        "settings": parameters.model_dump(include={"path", "field"}),
    }
    return table


def _absent(utterances: DataFrame) -> DataFrame:
    import numpy as np

    from erc_kedro.extractors.base import Card
    from erc_kedro.parameters import Parameters

    vectors = np.zeros((len(utterances), 1), np.float32)
    reasons = ["no_media"] * len(utterances)
    return _table(utterances, vectors, reasons, Card("none", 1, "", ""), Parameters())


def _clips(utterances: DataFrame, found: dict[str, Any]) -> DataFrame:
    """What became of every clip, for the quality page."""
    import pandas as pd

    numbers = ("seconds", "clipped", "frames", "with_face")
    rows = [
        {
            "utterance_id": utterance_id,
            "split": split,
            "modality": modality,
            "reason": result.reason,
            "detail": result.detail,
            **{name: result.facts.get(name) for name in numbers},
            "errors": ", ".join(f"{kind} {n}" for kind, n in result.facts.get("errors", {}).items()),
        }
        for modality, (_, results) in found.items()
        for utterance_id, split, result in zip(
            utterances["utterance_id"], utterances["split"], results, strict=True
        )
    ]
    columns = ["utterance_id", "split", "modality", "reason", "detail", *numbers, "errors"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, "float64"))


def _published_path(raw: Path, wanted: str | None, modality: str) -> Path | None:
    from erc_kedro.extractors.base import ExtractionError

    if wanted is None:
        return None
    if wanted != "auto":
        if not Path(wanted).exists():
            raise ExtractionError(
                f"features.{modality}.path: {wanted} does not exist; give an existing file, auto, or null"
            )
        return Path(wanted)
    # A manifest is a file; interviews.csv has its features in interviews_published/.
    folder = raw.parent / f"{raw.stem if raw.is_file() else raw.name}_published"
    found = sorted(folder.glob(f"{modality}*"))
    if len(found) > 1:
        raise ExtractionError(
            f"{folder} holds several {modality} files ({', '.join(p.name for p in found)}); "
            f"name one in features.{modality}.path"
        )
    return found[0] if found else None
