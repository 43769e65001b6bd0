"""Nodes of the ingestion pipeline."""

import logging
import os
from pathlib import Path
from typing import Any

from pandas import DataFrame

from erc_kedro.parameters import IngestionParameters

logger = logging.getLogger(__name__)


def read_corpus(parameters: IngestionParameters) -> tuple[DataFrame, dict[str, Any], DataFrame]:
    """Reads a release as it lies on disk: utterance table, description (facts and labels), irregularities."""
    from erc_kedro.audit import leaks, overlaps
    from erc_kedro.corpora import CorpusError, dailydialog, emorynlp, iemocap, manifest, meld, own
    from erc_kedro.corpora.folding import folded

    raw = Path(parameters.raw)
    # Unlike Path.exists, it takes any name.
    if not os.path.exists(raw):
        raise CorpusError(
            f"{raw} does not exist. Give the corpus's folder with --params=<corpus>_raw=PATH or in "
            "conf/local/globals.yml, a manifest in <corpus>.ingestion.raw; run one corpus alone with "
            "--namespaces=<corpus>; or try the embedded corpora with `make demo`"
        )
    try:
        parameters.raw.encode()
    except UnicodeEncodeError as error:
        # Paths are kept in tables, which hold UTF-8 alone.
        raise CorpusError(f"{raw}: a name that is not UTF-8; rename the folder or file") from error
    match parameters.reader:
        case "meld":
            corpus = meld.read(raw, parameters.encoding)
        case "iemocap":
            classes = parameters.protocol.classes
            corpus = iemocap.read(raw, classes, parameters.keep_unlabelled, parameters.encoding)
        case "emorynlp":
            corpus = emorynlp.read(raw, parameters.encoding)
        case "dailydialog":
            corpus = dailydialog.read(raw, parameters.encoding)
        case "manifest":
            corpus = manifest.read(raw, parameters.encoding, parameters.bins)
        case own_reader:
            corpus = own.read(own_reader, raw)
    if parameters.protocol.makes_folds:
        together = overlaps.together(corpus.utterances, corpus.recordings)
        corpus = folded(corpus, parameters.protocol, together)
    corpus = leaks.examined(corpus, parameters.drop_leaks)
    logger.info(
        "%s: %d utterances in %d dialogues, %d irregularities",
        raw,
        len(corpus.utterances),
        corpus.utterances["dialogue_id"].nunique(),
        len(corpus.irregularities),
    )
    return corpus.utterances, {**corpus.facts, "labels": list(corpus.labels)}, corpus.irregularities


def audit_corpus(
    utterances: DataFrame, description: dict[str, Any], irregularities: DataFrame
) -> tuple[dict[str, Any], str]:
    """Counts, and says at once what is odd and what training will refuse."""
    from erc_kedro.audit import corpus
    from erc_kedro.audit.page import audit_page

    findings = corpus.audit_corpus(utterances, description, irregularities)
    for sentence in findings["errors"]:
        logger.error("%s: %s Training refuses it.", description["name"], sentence)
    for sentence in [*findings["not_learnable"], *findings["warnings"]]:
        logger.warning("%s: %s", description["name"], sentence)
    return findings, audit_page(findings, None)
