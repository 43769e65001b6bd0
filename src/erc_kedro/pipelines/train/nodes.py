"""Nodes of the train pipeline."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc_kedro.parameters import TrainParameters

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

logger = logging.getLogger(__name__)


def train_corpus(
    utterances: DataFrame,
    text: DataFrame,
    audio: DataFrame,
    visual: DataFrame,
    card: dict[str, Any],
    audit: dict[str, Any],
    features_audit: dict[str, Any],
    models: Path,
    parameters: TrainParameters,
) -> tuple[DataFrame, DataFrame, DataFrame, dict[str, Any]]:
    """Fits every seed; the test split is scored once by each, after its epoch was chosen on validation."""
    import pandas as pd

    from erc_kedro import tracking
    from erc_kedro.evaluation.audit import refuse
    from erc_kedro.evaluation.metrics import metrics_table, summary
    from erc_kedro.schemas import heads_of
    from erc_kedro.training.batches import assemble
    from erc_kedro.training.checkpoint import code_version
    from erc_kedro.training.seeds import fit_seeds

    refuse(audit)
    refuse(features_audit)
    tables = {"text": text, "audio": audio, "visual": visual}
    data = assemble(utterances, tables, card["labels"], parameters.scaling)
    corpus, experiment = models.parent.name, models.name
    used = {name for name, table in tables.items() if table["present"].any()}
    scored = heads_of(used & set(parameters.model.modalities))
    tags = {
        "corpus": corpus,
        "experiment": experiment,
        "synthetic": card["synthetic"],
        "protocol": card["protocol"],
    }
    facts = {
        "data_fingerprint": data.fingerprint(),
        "code_version": code_version(),
        "extractors": {name: table.attrs.get("extractor", {}) for name, table in tables.items()},
        "git_revision": tracking.git_revision(Path.cwd()),
    }
    fits, metrics = [], []
    with tracking.child(f"{corpus} {experiment}", {**tags, "level": "corpus"}) as run:
        run.parameters({"train": parameters, **facts})
        for seed, fit in enumerate(fit_seeds(data, parameters, models, f"{corpus} {experiment}")):
            table = metrics_table(fit.predictions)
            # A head without any features is untrained; what it predicts must not be scored.
            table = table[table["head"].isin(scored)].reset_index(drop=True)
            with tracking.child(f"{corpus} {experiment} seed {seed}", {**tags, "level": "seed"}) as seed_run:
                seed_run.parameters({"seed": seed, "train": parameters, **facts})
                seed_run.tags({"taken_up": fit.resumed or "no"})
                seed_run.curves(fit.history)
                seed_run.metrics(_final(table.drop(columns="seed")))
                seed_run.artifact(fit.folder, "model")
            fits.append(fit)
            metrics.append(table)
        predictions = pd.concat([fit.predictions for fit in fits], ignore_index=True)
        every = pd.concat(metrics, ignore_index=True)
        spread = summary(every)
        run.metrics(_final(spread.rename(columns={"mean": "value"})))
        run.metrics({f"{k}.std": v for k, v in _final(spread.rename(columns={"std": "value"})).items()})
        _log_corpus(run, predictions)
    history = pd.concat([fit.history for fit in fits], ignore_index=True)
    mean = _final(spread.rename(columns={"mean": "value"}))
    logger.info(
        "%s %s: weighted F1 %.4f on validation, %.4f on test (mean of %d seeds)",
        corpus,
        experiment,
        mean.get("val.weighted_f1", float("nan")),
        mean.get("test.weighted_f1", float("nan")),
        len(fits),
    )
    return predictions, every, history, {**facts, "parameters": parameters.model_dump(mode="json")}


def _final(table: DataFrame) -> dict[str, float]:
    """Metrics by ``split.metric`` for the trimodal head, ``split.head.metric`` for the students."""
    return {
        f"{split}.{metric}" if head == "tav" else f"{split}.{head}.{metric}": float(value)
        for split, head, metric, value in table[["split", "head", "metric", "value"]].to_numpy()
        if split != "train"
    }


def _log_corpus(run: Any, predictions: DataFrame) -> None:
    import tempfile

    from erc_kedro.evaluation.metrics import confusion

    counts = confusion(predictions, "test")
    with tempfile.TemporaryDirectory() as folder:
        counts.to_csv(Path(folder) / "confusion_test.csv")
        predictions.to_parquet(Path(folder) / "predictions.parquet", index=False)
        if len(counts):
            from erc_kedro.figures import confusion_figure

            confusion_figure(counts).write_html(Path(folder) / "confusion_test.html", include_plotlyjs=True)
        run.artifact(Path(folder), "test")
