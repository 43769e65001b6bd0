"""Nodes of the transfer pipeline."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from erc_kedro.errors import PlainError
from erc_kedro.parameters import TrainParameters, TransferParameters

if TYPE_CHECKING:
    from erc_kedro.transfer.arms import Arm, Together
    from erc_kedro.transfer.corpora import SharedCorpus
    from erc_kedro.transfer.labels import LabelMap
else:
    # Kedro reads a node's annotations when it makes its parameters.
    Arm = Together = SharedCorpus = LabelMap = Any

logger = logging.getLogger(__name__)


def read_labels(sources: Any, target: Any, path: Any) -> LabelMap:
    """The map of labels; who forgot to say from where to where is told."""
    from erc_kedro.transfer.labels import read

    if not sources or not target or not path:
        raise PlainError(
            "say which corpora teach which one, and what their labels share: "
            "'--params=from=[meld],to=iemocap,labels=conf/base/labels/meld_iemocap.yml' (docs/transfer.md)"
        )
    return read(str(path))


def share_corpus(
    utterances: pd.DataFrame,
    text: pd.DataFrame,
    audio: pd.DataFrame,
    visual: pd.DataFrame,
    description: dict[str, Any],
    audit: dict[str, Any],
    features_audit: dict[str, Any],
    train: TrainParameters,
    corpus: Path,
    labels: LabelMap,
) -> SharedCorpus:
    """A corpus in shared words, unless its own audits forbid training."""
    from erc_kedro.audit.checks import check_before_training
    from erc_kedro.transfer.corpora import shared_corpus

    tables = {"text": text, "audio": audio, "visual": visual}
    checked = (audit, features_audit, tables, utterances, corpus.name, train.model.causal)
    cautions = check_before_training("transfer", *checked)
    records = features_audit["provenance"]
    return shared_corpus(corpus.name, utterances, tables, description, records, labels, cautions)


def train_arms(
    labels: LabelMap,
    parameters: TransferParameters,
    train: TrainParameters,
    models: Path,
    **shared: SharedCorpus,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Trains every arm that can be, unless one of the same content is there; the target comes last.

    Returns:
        The prediction's head's rows of the target's test utterances and of those that selected, by arm; and a
        summary of what was compared.
    """
    from erc_kedro import files
    from erc_kedro.transfer.arms import Together, arms_of
    from erc_kedro.transfer.corpora import label_counts, repeated_in, shared_modalities

    *sources, target = shared.values()
    modalities, left_out = shared_modalities(target, sources)
    classes = labels.classes(target.description["labels"], target.name, [one.name for one in sources])
    for sentence in left_out:
        logger.warning("%s: %s", models.name, sentence)
    if not modalities:
        raise PlainError(
            f"{models.name}: no modality has the same features in all corpora. {' '.join(left_out)}"
        )
    used = tuple(name for name in train.model.modalities if name in modalities)
    if not used:
        raise PlainError(
            f"{models.name}: the experiment reads {' and '.join(train.model.modalities)} alone. "
            f"{' '.join(left_out)}"
        )
    train = _changed(train, {"modalities": used}, scaling=parameters.scaling, in_fold={})
    together = Together.of(target, sources, modalities, classes, train.scaling)
    cautions = [f"{one.title}: {said}" for one in shared.values() for said in one.cautions]
    cautions += repeated_in(target, sources)
    for caution in cautions:
        logger.warning("%s: %s", models.name, caution)
    arms = arms_of(target, sources, parameters.dialogues)
    notes = together.untrainable(arms, train)
    with files.held([models]):
        predictions = [_trained(arm, together, train, models) for arm in arms if arm.name not in notes]
    return pd.concat(predictions, ignore_index=True), {
        "name": models.name,
        "from": [one.title for one in sources],
        "to": target.title,
        "target": target.name,
        "protocols": {one.title: one.description["protocol"] for one in shared.values()},
        "synthetic": any(one.description["synthetic"] for one in shared.values()),
        "classes": classes,
        "labels": {"path": labels.path, "source": labels.source},
        "counts": [row for one in shared.values() for row in label_counts(one, labels)],
        "modalities": modalities,
        "left_out": left_out,
        "cautions": cautions,
        "notes": notes,
        "arms": [asdict(arm) for arm in arms],
        "parameters": train.model_dump(mode="json"),
    }


def _changed(train: TrainParameters, model: dict[str, Any], **others: Any) -> TrainParameters:
    """The parameters with others in their places, checked anew."""
    return TrainParameters(**{**train.model_dump(), "model": {**train.model.model_dump(), **model}, **others})


def _trained(arm: Arm, together: Together, train: TrainParameters, models: Path) -> pd.DataFrame:
    from erc_kedro.pipelines.train.nodes import facts_of, tracked
    from erc_kedro.training.seeds import TrainingTask, by_seed, train_all

    if arm.majority:
        train = _changed(train, {"architecture": "majority", "causal": False, "settings": {}})
    if arm.dialogues:
        # Nobody chooses among epochs: the few dialogues are all trained on.
        train = train.model_copy(update={"selection": "last"})
    views = together.views(arm)
    # Without draws, every seed is given the same.
    draws = range(train.seeds if arm.dialogues else 1)
    data = {(seed, view.folder): together.data(arm, view, seed) for seed in draws for view in views}
    tasks = [
        TrainingTask(
            data[seed if arm.dialogues else 0, view.folder],
            train,
            seed,
            models / arm.name / view.folder / f"seed{seed}",
            models / arm.start / f"seed{seed}" if arm.start else None,
        )
        for seed in range(train.seeds)
        for view in views
    ]
    every = [together.target, *together.sources]
    description = {
        "synthetic": any(one.description["synthetic"] for one in every),
        "protocol": together.target.description["protocol"],
    }
    given = {f"{fold} {seed}": (read, train) for (seed, fold), read in data.items()}
    facts = facts_of(given, train, {"provenance": together.target.records})
    # The models of other transfers too: a target alone is the same, whoever taught it beside.
    trained = train_all(tasks, models.parent, f"{models.name} {arm.name}")
    seeds = by_seed(trained, [view.folder for view in views])
    made, _, _ = tracked(models.name, arm.name, description, given, train, facts, seeds)
    rows = made[(made["head"] == "tav") & made["split"].isin(("val", "test"))]
    return rows.assign(experiment=arm.name)


def compare_arms(
    predictions: pd.DataFrame,
    summary: dict[str, Any],
    utterances: pd.DataFrame,
    parameters: TransferParameters,
    folder: Path,
) -> tuple[pd.DataFrame, str]:
    """The table and the page; what they come to ends the log."""
    from erc_kedro import tracking
    from erc_kedro.escaping import csv_text
    from erc_kedro.evaluation.units import few_units, units_of
    from erc_kedro.report.pages.transfer import transfer_markdown, verdict
    from erc_kedro.transfer.arms import Arm
    from erc_kedro.transfer.results import transfer_table

    arms = [Arm(**arm) for arm in summary["arms"]]
    units = units_of(utterances.assign(utterance_id=f"{summary['target']}/" + utterances["utterance_id"]))
    table = transfer_table(predictions, units, arms, summary["notes"], parameters.draws)
    page = transfer_markdown(table, summary)
    run = tracking.current()
    run.text(page, "transfer.md")
    run.text(csv_text(table), "transfer.csv")
    if caution := few_units(int(table["units"].max()), units.kind):
        logger.warning("%s: %s", summary["to"], caution)
    for sentence in verdict(table, summary):
        logger.info("%s", sentence)
    logger.info("Open %s", folder / f"{summary['name']}.md")
    return table, page
