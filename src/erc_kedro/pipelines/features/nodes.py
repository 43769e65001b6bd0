"""Nodes of the features pipeline."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc_kedro.parameters import PublishedParameters, TextParameters

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

logger = logging.getLogger(__name__)


def text_features(utterances: DataFrame, cache: Path, parameters: TextParameters) -> DataFrame:
    """One sentence vector an utterance; only new texts are encoded."""
    import pandas as pd

    from erc_kedro.extractors import text

    encoder = text.load(parameters.encoder, parameters.max_tokens, parameters.pooling)
    vectors = text.vectors(encoder, utterances["text"], cache, parameters.batch_size)
    present = utterances["text"].str.strip() != ""
    table = pd.DataFrame(
        {
            "utterance_id": utterances["utterance_id"],
            "vector": list(vectors),
            "present": present,
            "reason": present.map({True: "ok", False: "no_text"}),
        }
    )
    table.attrs["extractor"] = {
        "name": encoder.name,
        "version": encoder.version,
        "settings": parameters.model_dump(),
    }
    return table


def audio_features(utterances: DataFrame, card: dict[str, Any], parameters: PublishedParameters) -> DataFrame:
    """Published acoustic features, or an absent modality."""
    return _published(utterances, card, parameters, "audio")


def visual_features(
    utterances: DataFrame, card: dict[str, Any], parameters: PublishedParameters
) -> DataFrame:
    """Published visual features, or an absent modality."""
    return _published(utterances, card, parameters, "visual")


def audit_features(
    text: DataFrame, audio: DataFrame, visual: DataFrame, utterances: DataFrame, audit: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Looks for leaks and broken extractors before anything is trained on the features."""
    from erc_kedro.evaluation import audit as auditing

    tables = {"text": text, "audio": audio, "visual": visual}
    findings = auditing.audit_features(tables, utterances)
    for sentence in [*findings["errors"], *findings["warnings"]]:
        logger.warning("%s", sentence)
    return findings, auditing.page(audit, findings)


def _published(
    utterances: DataFrame, card: dict[str, Any], parameters: PublishedParameters, modality: str
) -> DataFrame:
    import numpy as np
    import pandas as pd

    from erc_kedro.corpora import published

    path = _published_path(Path(card["raw"]), parameters.path, modality)
    if path is None:
        logger.warning("%s: no %s features; the modality is absent", card["raw"], modality)
        table = pd.DataFrame(
            {
                "utterance_id": utterances["utterance_id"],
                "vector": list(np.zeros((len(utterances), 1), np.float32)),
                "present": False,
                "reason": "no_media",
            }
        )
        table.attrs["extractor"] = {"name": "none", "version": "", "settings": {}}
        return table
    table = published.read(path, utterances, modality, parameters.field)
    logger.info(
        "%s features of %d of %d utterances from %s", modality, table["present"].sum(), len(table), path
    )
    table.attrs["extractor"] = {
        "name": f"published:{path.name}",
        "version": published.fingerprint(path),
        "settings": parameters.model_dump(),
    }
    return table


def _published_path(raw: Path, wanted: str | None, modality: str) -> Path | None:
    if wanted is None:
        return None
    if wanted != "auto":
        if not Path(wanted).exists():
            raise FileNotFoundError(
                f"features.{modality}.path: {wanted} does not exist; give an existing file, auto, or null"
            )
        return Path(wanted)
    # A manifest is a file; interviews.csv has its features in interviews_published/.
    folder = raw.parent / f"{raw.stem if raw.is_file() else raw.name}_published"
    found = sorted(folder.glob(f"{modality}*"))
    if len(found) > 1:
        raise ValueError(
            f"{folder} holds several {modality} files ({', '.join(p.name for p in found)}); "
            f"name one in features.{modality}.path"
        )
    return found[0] if found else None
