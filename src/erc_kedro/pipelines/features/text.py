"""How the features pipeline makes vectors of text, those of each fold apart where they differ."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from erc_kedro.parameters import TextParameters

if TYPE_CHECKING:
    from erc_kedro.extractors.finetuned import FineTuned

logger = logging.getLogger(__name__)


def is_encoder(parameters: TextParameters) -> bool:
    return parameters.extractor == "transformers"


def folds_of(description: dict[str, Any]) -> list[str]:
    """The names of the corpus's folds; none where its splits are fixed."""
    return (description.get("folds") or {}).get("names") or []


def of_tuned(
    utterances: DataFrame,
    description: dict[str, Any],
    cache: Path,
    corpus: str,
    asked: TextParameters,
    tuned: "dict[str, FineTuned]",
) -> tuple[DataFrame, DataFrame, dict[str, Any]]:
    """Vectors of fine-tuned encoders, each fold's by its own, as ``text_features`` returns them."""
    from erc_kedro.audit.checks import refuse
    from erc_kedro.audit.encoders import encoder_errors
    from erc_kedro.audit.provenance import described, provenance
    from erc_kedro.extractors import text
    from erc_kedro.extractors.base import fingerprint
    from erc_kedro.folds import pooled_rows, views

    found = views(utterances)
    folded = len(found) > 1
    dropped = description.get("dropped", [])
    for view in found:
        errors = encoder_errors(tuned[view.name].facts, view.utterances, corpus, dropped)
        if errors and folded and asked.encoder != "finetuned":
            errors = [
                f"Every dialogue of {corpus} is tested, and its text encoder was fine-tuned on one split, so "
                "that it knows what it would be tested on; `kedro run --pipeline=finetune` and encoder: "
                f"finetuned have one a fold, or take a frozen encoder, or fixed splits ({corpus}.protocol)."
            ]
        refuse({"name": f"features.text.encoder {tuned[view.name].folder}", "errors": errors})
    first = tuned[found[0].name]
    tables, predicted, versions = [], [], []
    for view in found:
        one = tuned[view.name]
        made = text.extract(view.utterances, one.surroundings(asked), cache, one)
        table = _of_text(utterances, made.vectors)
        tables.append(table.assign(fold=view.name) if folded else table)
        versions.append(made.metadata.version)
        if one.record.classes == description["labels"] and made.read is not None:
            predicted.append(one.predictions(view.utterances, made.read))
    extractor = described(made.metadata, first.surroundings(asked))
    extractor |= {"finetune_run": first.facts["run"], "folds": first.facts["folds"]}
    # The settings are the first one's, with what any of them is shown.
    extractor["settings"] |= {
        "read": first.record.read,
        "beside": [one.record.settings for one in first.beside],
    }
    predictions = no_predictions(description["labels"])
    if predicted:
        predictions = pooled_rows(predicted)
        extractor["alone"] = _log_alone(corpus, first.name, description, predictions, first.facts["run"])
    if folded:
        extractor["version"] = fingerprint(*versions)
    table = pd.concat(tables, ignore_index=True) if folded else tables[0]
    record = provenance(table, utterances, extractor, first.facts)
    if folded:
        record["encoder_of_fold"] = {name: one.facts for name, one in tuned.items()}
    return table, predictions, record


def _of_text(utterances: DataFrame, vectors: np.ndarray) -> DataFrame:
    from erc_kedro.extractors.cache import feature_table

    said = utterances["text"].str.strip() != ""
    return feature_table(utterances["utterance_id"], vectors, said.map({True: "ok", False: "no_text"}))


def fitted(
    utterances: DataFrame, parameters: TextParameters, cache: Path
) -> tuple[DataFrame, dict[str, Any]]:
    """Vectors of an extractor, each fold's from its own training if it learns there, and what made them.

    Those of all folds stand below each other with the name of their fold, unless nothing was learned.
    """
    from erc_kedro.audit.provenance import described
    from erc_kedro.extractors import text
    from erc_kedro.extractors.base import fingerprint
    from erc_kedro.folds import views

    # What others have trained learns nothing here.
    found = views(utterances)[:1] if is_encoder(parameters) else views(utterances)
    made = {view.name: text.extract(view.utterances, parameters, cache) for view in found}
    first = next(iter(made.values()))
    extractor = described(first.metadata, parameters)
    versions = [one.metadata.version for one in made.values()]
    if len(set(versions)) == 1:
        return _of_text(utterances, first.vectors), extractor
    tables = [_of_text(utterances, one.vectors).assign(fold=name) for name, one in made.items()]
    return pd.concat(tables, ignore_index=True), extractor | {"version": fingerprint(*versions)}


def no_predictions(labels: list[str]) -> DataFrame:
    columns = ["seed", "utterance_id", "split", "head", "label"]
    types = dict.fromkeys(columns[1:], "str") | {f"p_{label}": "float32" for label in labels}
    return pd.DataFrame(columns=[*columns, *(f"p_{label}" for label in labels)]).astype(
        {"seed": "int64", **types}
    )


def _log_alone(
    corpus: str, name: str, description: dict[str, Any], predictions: DataFrame, fitted_by: str | None
) -> str:
    """Tracks the encoder's own scores, beside those of the models that build on it, and says them."""
    from erc_kedro import tracking
    from erc_kedro.evaluation.metrics import metrics_table

    scores = {
        f"{split}.{metric}": float(value)
        for split, metric, value in metrics_table(predictions)[["split", "metric", "value"]].to_numpy()
        if split != "train"
    }
    tags = {
        "corpus": corpus,
        "experiment": "encoder_alone",
        "level": "corpus",
        "synthetic": description["synthetic"],
        "protocol": description["protocol"],
        "finetune_run": fitted_by,
    }
    with tracking.child(f"{corpus} encoder alone", tags) as run:
        run.metrics(scores)
    score = {split: scores.get(f"{split}.weighted_f1", float("nan")) for split in ("val", "test")}
    said = f"weighted F1 {score['val']:.4f} on validation, {score['test']:.4f} on test"
    logger.info("%s: %s alone has %s", corpus, name, said)
    return said
