"""One trial: parameters from the study, a fit a seed, and the scores."""

import itertools
import shutil
import time
import timeit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import sklearn
import torch
from optuna.trial import Trial, TrialState
from pydantic import ValidationError

from erc_kedro.config import ConfigError
from erc_kedro.evaluation.metrics import PREDICTION, class_columns, class_names, classification_metrics
from erc_kedro.extractors.base import fingerprint
from erc_kedro.folds import of_view, pooled_rows, views
from erc_kedro.models.architectures import ArchitectureError, resolved
from erc_kedro.parameters import NOT_LEARNED, TrainParameters, TuneParameters, value_of
from erc_kedro.training import checkpoint
from erc_kedro.training.batches import Dialogues, assemble, batch_of
from erc_kedro.training.loop import load_network, train_model
from erc_kedro.tuning import study as studies
from erc_kedro.tuning.pruner import DEFAULT, SEEDS
from erc_kedro.tuning.space import check_settings, suggest, with_values


@dataclass(frozen=True, eq=False)
class Search:
    """What every process that takes part in a study knows of it.

    Attributes:
        name: of the study.
        corpus: that it is for.
        data: training and validation dialogues, by how they are scaled (``scaled_by``) and by fold; no
            others.
        folder: where fits live while they run; the journal lies beside it.
        threads: of each fit.
    """

    name: str
    corpus: str
    parameters: TuneParameters
    base: TrainParameters
    data: dict[str, dict[str, Dialogues]]
    folder: Path
    threads: int

    @property
    def fits(self) -> Path:
        """Where its trials' fits live while they run."""
        return self.folder / "fits" / self.name.replace(" ", "_")

    def open(self, **facts: Any) -> optuna.Study:
        """Its study."""
        epochs = self.parameters.space.get("epochs")
        highest = max(epochs.values) if epochs else self.base.epochs
        return studies.open_study(self.name, self.parameters, self.folder.parent, highest, **facts)


def prepare(
    corpus: str,
    utterances: pd.DataFrame,
    features: Mapping[str, pd.DataFrame],
    classes: Sequence[str],
    base: TrainParameters,
    parameters: TuneParameters,
    folder: Path,
) -> Search:
    """A search whose study is named after all that decides what a trial scores.

    Other data, another space or another base are another study; another budget, sampler or number of workers
    go on with the same one.

    Args:
        utterances: ``schemas.utterances``, of which those of test are left out.
        folder: the corpus's own; the journal lies beside it.
    Raises:
        ConfigError: the search would use training's seeds, or set what its network has not.
    """
    if parameters.first_seed < base.seeds:
        raise ConfigError(
            f"tune.first_seed is {parameters.first_seed}, but the seeds 0 to {base.seeds - 1} are for "
            "training and must stay fresh; write 1000"
        )
    base = base.model_copy(update={"model": resolved(base.model)})
    check_settings(parameters.space, base)
    # A causal model's scaling knows the past alone, and only one architecture may be causal.
    decisive = ("model.causal", "model.architecture")
    scaled = [name for name in parameters.space if name.startswith("scaling.") or name in decisive]
    data = {}
    for chosen in itertools.product(*(_choices(parameters, base, name) for name in scaled)):
        try:
            variant = with_values(base, dict(zip(scaled, chosen, strict=True)))
        except ValidationError:
            # What does not fit together is no trial's either.
            continue
        data[scaled_by(variant)] = {
            view.folder: assemble(
                view.utterances[view.utterances["split"] != "test"],
                {modality: of_view(table, view) for modality, table in features.items()},
                classes,
                variant.scaling,
            )
            for view in views(utterances)
        }
    searched = parameters.space.get("model.architecture")
    architectures = (searched and searched.choices) or (base.model.architecture,)
    decides = {"space", "seeds", "first_seed", "second_objective", "prune_epochs", "prune_seeds"}
    digest = fingerprint(
        # Each: numbers that differ may be alike once they are scaled.
        *(f"{how} {one.fingerprint}" for how in sorted(data) for one in data[how].values()),
        torch.__version__,
        sklearn.__version__,
        base.model_dump_json(exclude=NOT_LEARNED),
        parameters.model_dump_json(include=decides),
        *(checkpoint.code_version(architecture) for architecture in architectures),
    )
    name = f"{corpus} {parameters.experiment} {digest[:8]}"
    return Search(name, corpus, parameters, base, data, folder, base.threads)


def _choices(parameters: TuneParameters, base: TrainParameters, name: str) -> set[Any]:
    return {*(parameters.space[name].choices or ()), value_of(base, name)}


def scaled_by(parameters: TrainParameters) -> str:
    """The key of ``Search.data`` for these parameters."""
    how = {name: how for name, how in parameters.scaling.items() if how != "train"}
    return repr(sorted(how.items()))


def run_next(search: Search) -> int | None:
    """Runs the next trial and returns its number, or None where no more are wanted.

    What cannot be trained is noted with its reason and counts as a trial.

    Raises:
        ValueError: the default configuration cannot be trained.
    """
    study = search.open()
    trial = studies.claim(study, search.parameters)
    if trial is None:
        return None
    try:
        with studies.beating(trial):
            state, values = _judged(search, trial)
        study.tell(trial, values, state=state, skip_if_finished=True)
    except optuna.exceptions.UpdateFinishedTrialError:
        # Silent for too long (a suspended laptop), it was taken for lost and is repeated elsewhere.
        return None
    except BaseException:
        studies.give_back(study, trial)
        raise
    shutil.rmtree(_folder(search, trial), ignore_errors=True)
    return trial.number


def _judged(search: Search, trial: Trial) -> tuple[TrialState, float | list[float] | None]:
    try:
        return TrialState.COMPLETE, _run(search, trial)
    except optuna.exceptions.UpdateFinishedTrialError:
        raise
    except optuna.TrialPruned as pruned:
        state, why = TrialState.PRUNED, str(pruned)
    except (ValidationError, ArchitectureError, FloatingPointError) as error:
        _refuse_default(trial, error)
        state = TrialState.PRUNED
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
    except Exception as error:
        interruption = _interruption(error)
        if interruption is not None:
            raise interruption from error
        _refuse_default(trial, error)
        state, why = TrialState.FAIL, f"{type(error).__name__}: {error}"[:500]
    trial.set_user_attr("reason", why)
    return state, None


def _interruption(error: BaseException) -> BaseException | None:
    """The Ctrl-C that an error came of: the journal's lock turns one that it is hit by into an error."""
    while error.__context__ is not None:
        error = error.__context__
        if not isinstance(error, Exception):
            return error
    return None


def _refuse_default(trial: Trial, error: Exception) -> None:
    if trial.user_attrs.get("point") == DEFAULT:
        raise ValueError(f"tune: the default configuration cannot be trained: {error}") from error


def _run(search: Search, trial: Trial) -> float | list[float]:
    """The objectives' values.

    Raises:
        optuna.TrialPruned: it looks worse than others.
        pydantic.ValidationError: what was drawn does not fit together.
    """
    tune = search.parameters
    is_default = trial.user_attrs.get("point") == DEFAULT
    values = suggest(trial, tune.space, search.base, whole=is_default)
    parameters = with_values(search.base, values).model_copy(update={"threads": search.threads})
    folds = search.data[scaled_by(parameters)]
    scores: list[float] = []
    of_folds: dict[str, list[float]] = {name: [] for name in folds}
    accuracies: list[float] = []
    history: list[dict[str, float]] = []
    started = time.monotonic()

    def on_epoch(row: dict[str, float]) -> None:
        _keep(history, row)
        # A resumed fit gives its earlier epochs only at its end: too little to judge it by.
        whole = len(history) == int(row["epoch"]) + 1
        if not scores and whole and tune.second_objective is None:
            best = max(one["val_weighted_f1"] for one in history)
            epoch = int(row["epoch"]) + 1
            trial.report(best, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned(f"epoch {epoch}: {best:.4f} is behind other trials (Hyperband)")

    try:
        for number in range(tune.seeds):
            seed = tune.first_seed + number
            predicted = []
            for name, data in folds.items():
                # Epochs are judged on the first fold alone, which all trials have.
                first = name == next(iter(folds))
                folder = _folder(search, trial) / name / f"seed{seed}"
                made = train_model(data, parameters, seed, folder, on_epoch if first else lambda row: None)
                best = made.history.loc[made.history["selected"]].iloc[0]
                of_folds[name].append(float(best["val_weighted_f1"]))
                predicted.append(made.predictions)
                if first:
                    # A resumed model gives its earlier epochs only here.
                    history[:] = [row for row in history if row["seed"] != seed]
                    for row in made.history.to_dict("records"):
                        _keep(history, row)
            if len(folds) == 1:
                scores.append(float(best["val_weighted_f1"]))
                accuracies.append(float(best["val_accuracy"]))
            else:
                pooled = _pooled(predicted)
                scores.append(pooled["weighted_f1"])
                accuracies.append(pooled["accuracy"])
            if tune.second_objective is None:
                trial.report(scores[-1], SEEDS + number)
                if number + 1 < tune.seeds and trial.should_prune():
                    raise optuna.TrialPruned(
                        f"after {number + 1} seeds: {np.mean(scores):.4f} is behind the best trial (Wilcoxon)"
                    )
    finally:
        trial.set_user_attr("scores", scores)
        if len(folds) > 1:
            trial.set_user_attr("folds", of_folds)
        trial.set_user_attr("history", history)
        trial.set_user_attr("seconds", time.monotonic() - started)
    score = float(np.mean(scores))
    if tune.second_objective is None:
        return score
    if tune.second_objective == "accuracy":
        return [score, float(np.mean(accuracies))]
    network = load_network(made.folder)
    if tune.second_objective == "parameters":
        return [score, float(sum(weight.numel() for weight in network.parameters()))]
    return [score, _latency_ms(network, data)]


def _pooled(predicted: list[pd.DataFrame]) -> dict[str, float]:
    """Scores of the folds' validation dialogues, taken together."""
    rows = pooled_rows(predicted)
    rows = rows[(rows["split"] == "val") & (rows["head"] == PREDICTION) & rows["label"].notna()]
    return classification_metrics(rows["label"], rows[class_columns(rows)].to_numpy(), class_names(rows))


def _keep(history: list[dict[str, float]], row: Mapping[Any, Any]) -> None:
    names = ("seed", "epoch", "train_loss", "val_loss", "val_weighted_f1", "val_accuracy")
    history.append({name: round(float(row[name]), 6) for name in names if name in row})


def _latency_ms(network: Any, data: Dialogues) -> float:
    """Milliseconds for one dialogue of median length: the median of twenty."""
    import torch

    median = int(np.argsort(data.length)[len(data.length) // 2])
    batch = batch_of(data, np.array([median]))
    with torch.inference_mode():
        return float(np.median(timeit.repeat(lambda: network(batch), number=1, repeat=20))) * 1e3


def _folder(search: Search, trial: Trial) -> Path:
    # One that repeats a lost trial goes on where that one was.
    return search.fits / str(trial.user_attrs.get("origin", trial.number))
