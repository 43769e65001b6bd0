"""All encoders of a corpus: one fine-tuned on all training dialogues, and one a fold without the fold's."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro import files, processes, surroundings
from erc_kedro.audit import overlaps
from erc_kedro.errors import PlainError
from erc_kedro.extractors.base import fingerprint
from erc_kedro.extractors.finetuned import FIT, HEAD, RECORD, EncoderRecord, Outcome, outcome
from erc_kedro.finetuning.loop import finetune_encoder
from erc_kedro.finetuning.task import FinetuningTask, code_version
from erc_kedro.parameters import FinetuneParameters


class FinetuningError(PlainError, ValueError):
    """An encoder that cannot be fitted, and why."""


def finetune(
    utterances: pd.DataFrame,
    description: Mapping[str, Any],
    corpus: str,
    parameters: FinetuneParameters,
    folder: Path,
    run: str | None = None,
) -> EncoderRecord:
    """Fits what ``folder`` does not hold yet, and describes it there.

    The test split has no part in it: its utterances are dropped first.

    Args:
        description: what the reader says of the corpus: labels, protocol.
        run: the MLflow run that this is; a folder that was finished before keeps the run that fitted it.
    Returns:
        the first encoder's record; those beside it have theirs in subfolders.
    Raises:
        FinetuningError: there is no such encoder, or it was fine-tuned before; or the training dialogues are
            fewer than the folds. What the folder holds is as it was.
    """
    first, *others = parameters.each
    made = [
        _finetune(utterances, description, corpus, other, folder / f"beside{number}", run)
        for number, other in enumerate(others, 1)
    ]
    # Last, so that what its record says of the others is true.
    return _finetune(utterances, description, corpus, first, folder, run, made)


def _finetune(
    utterances: pd.DataFrame,
    description: Mapping[str, Any],
    corpus: str,
    parameters: FinetuneParameters,
    folder: Path,
    run: str | None,
    beside: Sequence[EncoderRecord] = (),
) -> EncoderRecord:
    import torch
    import transformers

    known = utterances[utterances["split"].isin(["train", "val"])]
    for split in ("train", "val"):
        if not known.loc[known["split"] == split, "label"].notna().any():
            raise FinetuningError(f"finetune: the {split} split of {corpus} has no labelled utterance")
    if any((Path(parameters.encoder) / name).is_file() for name in (RECORD, FIT, HEAD)):
        raise FinetuningError(
            f"finetune.encoder: {parameters.encoder} was fine-tuned before, and no audit would know on which "
            "dialogues; start from what it started from"
        )
    tasks = _tasks(known, tuple(description["labels"]), corpus, parameters, folder)
    earlier = _read(folder)
    try:
        _fit_all(tasks, parameters)
    except ValueError as error:
        raise FinetuningError(str(error)) from error
    outcomes = {name: _finished(task) for name, task in tasks.items()}
    whole = outcomes[""]
    made = EncoderRecord(
        corpus=corpus,
        protocol=description["protocol"],
        split_fingerprint=fingerprint(*sorted(utterances["utterance_id"] + " " + utterances["split"])),
        classes=list(description["labels"]),
        encoder=parameters.encoder,
        licence=whole.licence,
        digest=whole.digest,
        settings={
            # As JSON has several: the identity is compared with that of a record that was read.
            "pooling": parameters.model_dump(mode="json")["pooling"],
            "context": parameters.context,
            "following": parameters.following,
            "speaker_names": parameters.speaker_names,
            "template": parameters.template,
            "question": parameters.asked,
            "max_tokens": parameters.max_tokens,
        },
        read=parameters.read,
        parameters=parameters.model_dump(mode="json"),
        run=run,
        fitted={name: found.fitted for name, found in outcomes.items()},
        beside={f"beside{number}": other.identity for number, other in enumerate(beside, 1)},
        versions={
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "code": code_version(),
        },
    )
    if earlier is not None and earlier.fitted == made.fitted:
        made = made.model_copy(update={"run": earlier.run})
    text = made.model_dump_json(indent=1) + "\n"
    with files.replacing(folder / RECORD) as path:
        path.write_text(text, "utf-8")
    return made


def resumed(folder: Path, made: EncoderRecord) -> dict[str, str]:
    """Of each encoder: "done" if nothing was fitted anew, "epoch E step S" if it went on there, else ""."""
    found = {name: outcome(folder / name) for name in made.fitted}
    return {name: one.resumed for name, one in found.items() if one is not None}


def _tasks(
    known: pd.DataFrame,
    classes: tuple[str, ...],
    corpus: str,
    parameters: FinetuneParameters,
    folder: Path,
) -> dict[str, FinetuningTask]:
    whole = FinetuningTask(corpus, known, classes, parameters, parameters.seed, folder)
    tasks = {"": whole}
    for fold, held_out in enumerate(_folds(known, parameters)):
        name = f"fold{fold}"
        rest = known[~known["dialogue_id"].isin(held_out)]
        # The same first weights and head for all, so that the vectors of all lie in one space.
        tasks[name] = replace(whole, name=f"{corpus} {name}", utterances=rest, folder=folder / name)
    return tasks


def _folds(known: pd.DataFrame, parameters: FinetuneParameters) -> list[set[str]]:
    """Training dialogues in ``folds`` parts with alike shares of the classes.

    Dialogues that hold the same recording are in one part: an encoder that had learned from one would know
    the other.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if not parameters.folds:
        return []
    training = known[known["split"] == "train"]
    dialogues = training["dialogue_id"].to_numpy()
    groups = training["dialogue_id"].map(overlaps.together(training)).to_numpy()
    if len(np.unique(groups)) < parameters.folds:
        raise FinetuningError(
            f"finetune.folds is {parameters.folds}, but training has {len(np.unique(groups))} dialogues"
        )
    split = StratifiedGroupKFold(parameters.folds, shuffle=True, random_state=parameters.seed)
    labels = training["label"].fillna("none")
    import warnings

    with warnings.catch_warnings():
        # A class with fewer utterances than folds is spread as far as it goes.
        warnings.simplefilter("ignore", UserWarning)
        parts = list(split.split(labels, labels, groups))
    return [set(dialogues[held_out]) for _, held_out in parts]


def _fit_all(tasks: Mapping[str, FinetuningTask], parameters: FinetuneParameters) -> None:
    import torch
    from joblib import Parallel, cpu_count, delayed

    gpu = torch.cuda.is_available()
    jobs = 1
    if not gpu and parameters.processes == 1:
        jobs = min(surroundings.workers(parameters.jobs, "finetune.jobs"), len(tasks), cpu_count())
    threads = max(1, cpu_count() // max(jobs, parameters.processes))
    threads = min(threads, int(os.environ.get("OMP_NUM_THREADS", threads)))
    shared = [replace(task, threads=threads, line=at % jobs) for at, task in enumerate(tasks.values())]
    if parameters.processes > 1:
        from accelerate.launchers import debug_launcher, notebook_launcher

        # The one for debugging is the one that starts processes on a CPU.
        launch = notebook_launcher if gpu else debug_launcher
        for task in shared:
            launch(_fit_tied, (task, os.getpid()), num_processes=parameters.processes)
    elif jobs > 1:
        work = (delayed(finetune_encoder)(task) for task in shared)
        Parallel(jobs, "loky", inner_max_num_threads=threads, **processes.pool_options())(work)
    else:
        for task in shared:
            finetune_encoder(task)


def _fit_tied(task: FinetuningTask, parent: int) -> None:
    processes.end_with(parent)
    finetune_encoder(task)


def _finished(task: FinetuningTask) -> Outcome:
    found = outcome(task.folder)
    assert found is not None, f"{task.folder} has no finished fit"
    return found


def _read(folder: Path) -> EncoderRecord | None:
    try:
        return EncoderRecord.model_validate_json((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
