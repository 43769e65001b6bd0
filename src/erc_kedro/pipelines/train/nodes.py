"""Nodes of the train pipeline."""

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pandas import DataFrame

from erc_kedro import files, processes
from erc_kedro.errors import PlainError
from erc_kedro.parameters import TrainParameters

# torch and scikit-learn cost more than the whole command that only lists pipelines.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from erc_kedro.tracking import Run
    from erc_kedro.training.batches import Dialogues
    from erc_kedro.training.seeds import Folds, TrainedSeed

logger = logging.getLogger(__name__)


def train_corpus(
    utterances: DataFrame,
    text: DataFrame,
    audio: DataFrame,
    visual: DataFrame,
    description: dict[str, Any],
    audit: dict[str, Any],
    features_audit: dict[str, Any],
    models: Path,
    parameters: TrainParameters,
    champion: bool | Literal["validation"],
) -> tuple[DataFrame, DataFrame, DataFrame, dict[str, Any]]:
    """Trains every seed; each scores the test split once, after its epoch was chosen on validation.

    What they need elsewhere is left in ``models/bundle``, and registered with MLflow.
    """
    from erc_kedro.audit.checks import check_before_training
    from erc_kedro.evaluation.comparison import digest, digest_of_cells
    from erc_kedro.training.checkpoint import finished
    from erc_kedro.training.seeds import by_seed, tasks_of, train_all

    corpus, experiment = models.parent.name, models.name
    tables = {"text": text, "audio": audio, "visual": visual}
    causal = parameters.model.causal
    cautions = check_before_training(
        experiment, audit, features_audit, tables, utterances, corpus, causal, parameters.shown
    )
    for caution in cautions:
        logger.warning("%s %s: %s", corpus, experiment, caution)
    folds = assembled(utterances, tables, description["labels"], parameters)
    facts = facts_of(folds, parameters, features_audit)
    tasks = tasks_of(folds, parameters.seeds, models)
    # The compare pipeline trains there, too.
    with files.held([models]):
        trained = by_seed(train_all(tasks, models.parent, f"{corpus} {experiment}"), list(folds))

        def export(run: "Run", predictions: DataFrame) -> None:
            from erc_kedro import scoring, tracking

            if len(folds) > 1:
                # An earlier training's bundle is not this one's.
                shutil.rmtree(models / "bundle", ignore_errors=True)
                logger.info(
                    "%s %s: folds measure, and leave no model to use; "
                    "--params=%s.protocol.leave_one_out=null,%s.protocol.folds=null trains one",
                    *(corpus, experiment, corpus, corpus),
                )
                return
            data, _ = next(iter(folds.values()))
            made_by = features_audit["provenance"]
            asked = (description, utterances, tables, data, parameters, made_by, predictions, facts)
            try:
                scoring.export(models, *asked)
            except PlainError as error:
                # What was trained is not to be lost for it; an earlier training's bundle is not this one's.
                shutil.rmtree(models / "bundle", ignore_errors=True)
                logger.warning("%s %s: no bundle for recordings: %s", corpus, experiment, error)
                return
            version = tracking.register(run, models / "bundle", champion)
            logger.info(
                "%s %s: ready for recordings in %s%s",
                corpus,
                experiment,
                models / "bundle",
                f", registered as models:/{version}" if version else "",
            )

        predictions, metrics, history = tracked(
            corpus, experiment, description, folds, parameters, facts, trained, export
        )
        keys = [
            " ".join(finished(task.folder) or "" for task in tasks if task.seed == seed)
            for seed in range(parameters.seeds)
        ]
    own = {
        "experiment": experiment,
        "parameters": parameters.model_dump(mode="json"),
        "command": processes.command(),
        "cautions": cautions,
        "keys": keys,
        "labels": digest(utterances),
        "tables": {
            "predictions": digest_of_cells(predictions),
            "metrics": digest_of_cells(metrics),
            "history": digest_of_cells(history),
        },
    }
    return predictions, metrics, history, {**facts, **own}


def assembled(
    utterances: DataFrame,
    tables: dict[str, DataFrame],
    labels: list[str],
    parameters: TrainParameters,
    made: "dict[tuple[str, str], Dialogues] | None" = None,
) -> "Folds":
    """The corpus as each fold's models read it, and their parameters; one where the splits are fixed.

    Args:
        made: what earlier calls with these tables made, by fold and scaling; it gets what is made here.

    Raises:
        ConfigError: ``train.in_fold`` names a fold that is not there, or what does not fit together.
    """
    from pydantic import ValidationError

    from erc_kedro.config import ConfigError
    from erc_kedro.folds import of_view, views
    from erc_kedro.training.batches import assemble

    made = {} if made is None else made
    found = views(utterances)
    names = [view.name for view in found]
    unknown = [name for name in parameters.in_fold if name not in names]
    if unknown:
        there = f"the folds are {', '.join(names)}" if any(names) else "the corpus has no folds"
        raise ConfigError(f"train.in_fold: there is no fold {unknown[0]!r}; {there}")
    folds = {}
    for view in found:
        try:
            own = parameters.of_fold(view.name)
        except ValidationError as error:
            raise ConfigError(f"train.in_fold.{view.name}: {error.errors()[0]['msg']}") from error
        key = view.name, repr(sorted(own.scaling.items()))
        if key not in made:
            read = {modality: of_view(table, view) for modality, table in tables.items()}
            made[key] = assemble(view.utterances, read, labels, own.scaling)
        folds[view.folder] = made[key], own
    return folds


def facts_of(folds: "Folds", parameters: TrainParameters, features_audit: dict[str, Any]) -> dict[str, Any]:
    """Where an experiment's figures come from: data, code and extractors."""
    import hashlib

    from erc_kedro import tracking
    from erc_kedro.training.checkpoint import code_version

    prints = [data.fingerprint for data, _ in folds.values()]
    of_all = hashlib.sha256("\n".join(prints).encode()).hexdigest()
    return {
        "data_fingerprint": prints[0] if len(prints) == 1 else of_all,
        "code_version": code_version(parameters.model.architecture),
        "extractors": {name: made["extractor"] for name, made in features_audit["provenance"].items()},
        "git_revision": tracking.git_revision(Path.cwd()),
    }


def tracked(
    corpus: str,
    experiment: str,
    description: dict[str, Any],
    folds: "Folds",
    parameters: TrainParameters,
    facts: dict[str, Any],
    trained: "Iterable[TrainedSeed]",
    finish: "Callable[[Run, DataFrame], None]" = lambda run, predictions: None,
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Logs an experiment's run and, as each seed is done, its run.

    Args:
        folds: what is trained on; trained: what each seed leaves, its folds pooled.
        finish: called with the experiment's run and all predictions before the run ends.

    Returns:
        Predictions, metrics and history of all seeds.
    """
    from erc_kedro import tracking
    from erc_kedro.evaluation.metrics import metrics_table, summary
    from erc_kedro.report.scaling import scaled_briefly
    from erc_kedro.schemas import heads_of
    from erc_kedro.training.checkpoint import finished

    tags = {
        "corpus": corpus,
        "experiment": experiment,
        "synthetic": description["synthetic"],
        "protocol": description["protocol"],
    }
    fitted_by = facts["extractors"].get("text", {}).get("finetune_run")
    if fitted_by:
        tags["finetune_run"] = fitted_by
    # A head without any features is untrained; what it predicts must not be scored. One that the models of
    # some folds lack would be scored on the others' utterances alone, beside heads that are scored on all.
    shown = [{*data.modalities} & {*own.shown} for data, own in folds.values()]
    scored = heads_of(set.intersection(*shown))
    predictions, metrics, history = [], [], []
    with tracking.child(f"{corpus} {experiment}", {**tags, "level": "corpus"}) as run:
        run.parameters({"train": parameters, **facts})
        for of_seed in trained:
            seed = int(of_seed.predictions["seed"].iloc[0])
            table = metrics_table(of_seed.predictions, description.get("majority_label"))
            table = table[table["head"].isin(scored)].reset_index(drop=True)
            with tracking.child(f"{corpus} {experiment} seed {seed}", {**tags, "level": "seed"}) as seed_run:
                seed_run.parameters({"seed": seed, "train": parameters, **facts})
                models = of_seed.models
                resumed = {model.resumed or "no" for model in models.values()}
                keys = [finished(model.folder) or "" for model in models.values()]
                seed_run.tags({"resumed": ", ".join(sorted(resumed)), "training_key": " ".join(keys)})
                seed_run.curves(_over_folds(of_seed.history))
                seed_run.metrics(_final(table.drop(columns="seed")))
                for name, model in models.items():
                    seed_run.artifact(model.folder, "model" if name == "." else f"model/{name}")
            predictions.append(of_seed.predictions)
            metrics.append(table)
            history.append(of_seed.history)
        every = pd.concat(metrics, ignore_index=True)
        spread = summary(every)
        mean = _final(spread.rename(columns={"mean": "value"}))
        run.metrics(mean, _final(spread.rename(columns={"std": "value"})))
        of_all_seeds = pd.concat(predictions, ignore_index=True)
        _log_corpus(run, of_all_seeds)
        finish(run, of_all_seeds)
    scaled = scaled_briefly(parameters.model_dump())
    logger.info(
        "%s %s: weighted F1 %.4f on validation, %.4f on test (mean of %d seed%s%s)",
        corpus,
        experiment,
        mean.get("val.weighted_f1", float("nan")),
        mean.get("test.weighted_f1", float("nan")),
        len(predictions),
        "s" if len(predictions) > 1 else "",
        f"; {scaled}" if scaled else "",
    )
    return of_all_seeds, every, pd.concat(history, ignore_index=True)


def _over_folds(history: DataFrame) -> DataFrame:
    """One curve a seed: the mean over the folds that have come so far."""
    if "fold" not in history:
        return history
    return history.drop(columns=["fold", "selected"]).groupby("epoch", as_index=False).mean()


def _final(table: DataFrame) -> dict[str, float]:
    """Metrics by ``split.metric`` for the trimodal head, ``split.head.metric`` for the students."""
    return {
        f"{split}.{metric}" if head == "tav" else f"{split}.{head}.{metric}": float(value)
        for split, head, metric, value in table[["split", "head", "metric", "value"]].to_numpy()
        if split != "train"
    }


def _log_corpus(run: Any, predictions: DataFrame) -> None:
    import tempfile

    from erc_kedro.escaping import csv_text
    from erc_kedro.evaluation.metrics import confusion

    if run.id is None:
        return
    counts = confusion(predictions, "test")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "confusion_test.csv").write_text(csv_text(counts, index=True), "utf-8")
        predictions.to_parquet(Path(folder) / "predictions.parquet", index=False)
        if len(counts):
            from erc_kedro.report.plots.scores import confusion_figure

            confusion_figure(counts).write_html(Path(folder) / "confusion_test.html", include_plotlyjs=True)
        run.artifact(Path(folder), "test")
