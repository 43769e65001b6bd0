"""Nodes of the finetune pipeline."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas import DataFrame

from erc_kedro.parameters import FinetuneParameters

if TYPE_CHECKING:
    from erc_kedro.extractors.finetuned import EncoderRecord, FineTuned

logger = logging.getLogger(__name__)


def finetune_corpus(
    utterances: DataFrame,
    description: dict[str, Any],
    audit: dict[str, Any],
    folder: Path,
    parameters: FinetuneParameters,
) -> tuple[Path, dict[str, Any], DataFrame]:
    """Fine-tunes the corpus's text encoders, those of each fold apart; the test split has no part in it.

    Returns:
        The folder, what it says of itself (or each fold's folder in it), and a row an encoder and epoch.
    """
    from erc_kedro import tracking
    from erc_kedro.audit.checks import refuse_training
    from erc_kedro.extractors import finetuned
    from erc_kedro.finetuning import encoders
    from erc_kedro.folds import views

    refuse_training(audit)
    corpus = folder.name
    tags = {"corpus": corpus, "protocol": description["protocol"], "synthetic": description["synthetic"]}
    summaries, histories = {}, []
    for view in views(utterances):
        own = folder / view.folder
        title = " ".join(filter(None, (corpus, "finetune", view.name)))
        with tracking.child(title, {**tags, "level": "finetune"}) as run:
            run.parameters({"finetune": parameters})
            made = encoders.finetune(view.utterances, description, corpus, parameters, own, run.id)
            found = finetuned.find("finetuned", own)
            assert found is not None
            history = pd.concat(
                [
                    pd.DataFrame(fitted.history).assign(
                        encoder=".".join(filter(None, (beside, name))) or "all"
                    )
                    for beside, one in zip(("", *made.beside), found.every, strict=True)
                    for name, fitted in one.record.fitted.items()
                ],
                ignore_index=True,
            )
            for name, rows in history.groupby("encoder"):
                curves = rows.drop(columns="selected").set_index("epoch")
                run.curves(curves.add_prefix("" if name == "all" else f"{name}.").reset_index())
            run.metrics({"val.weighted_f1": made.fitted[""].weighted_f1})
            run.parameters({"split_fingerprint": made.split_fingerprint, "versions": made.versions})
            resumed = encoders.resumed(own, made)
            run.tags({"resumed": resumed[""] or "no", "fitted_by": made.run, "folder": own})
            run.text(made.model_dump_json(indent=1), finetuned.RECORD)
        summaries[view.name] = made.model_dump(mode="json")
        histories.append(history.assign(fold=view.name) if view.name else history)
        logger.info(
            "%s: weighted F1 %.4f on validation, epoch %d of %s (%s); %s",
            f"{corpus}, fold {view.name}" if view.name else corpus,
            made.fitted[""].weighted_f1,
            made.fitted[""].epoch,
            made.encoder,
            found.shown,
            f"{len(made.fitted) - 1} more for out-of-fold vectors" if len(made.fitted) > 1 else "no folds",
        )
    summary = summaries.get("", {"folds": summaries})
    return folder, summary, pd.concat(histories, ignore_index=True)


def _history(made: "EncoderRecord", found: "FineTuned") -> DataFrame:
    """A row an encoder and epoch; the encoder of all training dialogues is called ``all``."""
    return pd.concat(
        [
            pd.DataFrame(fitted.history).assign(encoder=".".join(filter(None, (beside, name))) or "all")
            for beside, one in zip(("", *made.beside), found.every, strict=True)
            for name, fitted in one.record.fitted.items()
        ],
        ignore_index=True,
    )
