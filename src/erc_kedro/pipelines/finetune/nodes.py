"""Nodes of the finetune pipeline."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from erc_kedro.parameters import FinetuneParameters

logger = logging.getLogger(__name__)


def finetune_corpus(
    utterances: DataFrame,
    description: dict[str, Any],
    audit: dict[str, Any],
    folder: Path,
    parameters: FinetuneParameters,
) -> tuple[Path, dict[str, Any], DataFrame]:
    """Fine-tunes the corpus's text encoders; the test split has no part in it.

    Returns:
        The folder, what it says of itself, and a row an encoder and epoch.
    """
    from erc_kedro import tracking
    from erc_kedro.audit.checks import refuse_training
    from erc_kedro.extractors import finetuned
    from erc_kedro.finetuning import encoders

    refuse_training(audit)
    corpus = folder.name
    tags = {"corpus": corpus, "protocol": description["protocol"], "synthetic": description["synthetic"]}
    with tracking.child(f"{corpus} finetune", {**tags, "level": "finetune"}) as run:
        run.parameters({"finetune": parameters})
        made = encoders.finetune(utterances, description, corpus, parameters, folder, run.id)
        found = finetuned.find("finetuned", folder)
        assert found is not None
        history = pd.concat(
            [
                pd.DataFrame(fitted.history).assign(encoder=".".join(filter(None, (beside, name))) or "all")
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
        resumed = encoders.resumed(folder, made)
        run.tags({"resumed": resumed[""] or "no", "fitted_by": made.run, "folder": folder})
        run.text(made.model_dump_json(indent=1), finetuned.RECORD)
    logger.info(
        "%s: weighted F1 %.4f on validation, epoch %d of %s (%s); %s",
        corpus,
        made.fitted[""].weighted_f1,
        made.fitted[""].epoch,
        made.encoder,
        found.shown,
        f"{len(made.fitted) - 1} more for out-of-fold vectors" if len(made.fitted) > 1 else "no folds",
    )
    return folder, made.model_dump(mode="json"), history
