"""The same small search for every experiment: a few settings, of which validation chooses in each fold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from erc_kedro.models.architectures import network_class
from erc_kedro.models.base import ClosedForm
from erc_kedro.parameters import TrainParameters, with_settings
from erc_kedro.training.batches import Dialogues
from erc_kedro.training.seeds import DivergedError, Folds, TrainingTask, try_all

# Apart from the seeds of the models that are scored, so that the score that chose is not theirs.
SEED = 1000


def searched(
    experiments: Mapping[str, Folds], settings: Sequence[Mapping[str, Any]], models: Path, title: str
) -> tuple[dict[str, Folds], dict[str, dict[str, Any]]]:
    """Trains every experiment with each of some settings, once a fold, and takes what validation prefers.

    The test split has no say: of these models, none is scored on it.

    Args:
        experiments: by name, what their folds' models read, and their parameters.
        settings: nested as in ``train``, over the experiment's own.
        models: the corpus's folder, which keeps the models below each experiment's and fold's.

    Returns:
        the experiments with what was chosen, each fold in a folder of its settings; and for each of them and
        its folds ``chosen``, the place of the settings with the best validation weighted F1 (the first of
        equal ones), and ``scores``, that of each (-1 where the loss became infinite). Those that are not
        trained by steps have nothing to set, and stay as they are.

    Raises:
        DivergedError: an experiment's loss stays finite with none of the settings.
    """
    tasks, of_task = [], []
    for name, folds in experiments.items():
        for fold, (data, base) in folds.items():
            if issubclass(network_class(base.model.architecture), ClosedForm):
                continue
            # What is withheld later is there in training.
            whole = base.model_copy(update={"withhold": ()})
            for number, changes in enumerate(settings):
                folder = models / name / fold / f"settings{number}" / f"seed{SEED}"
                tasks.append(TrainingTask(data, with_settings(whole, changes), SEED, folder))
                of_task.append((name, fold))
    scores: dict[str, dict[str, list[float]]] = {}
    for (name, fold), made in zip(of_task, try_all(tasks, models, f"{title}, search"), strict=True):
        # What diverges is worse than anything.
        score = -1.0
        if not isinstance(made, FloatingPointError):
            # Of the epoch that is kept, which need not be the best one.
            score = float(made.history.loc[made.history["selected"], "val_weighted_f1"].iloc[0])
        scores.setdefault(name, {}).setdefault(fold, []).append(score)
    chosen: dict[str, Folds] = dict(experiments)
    found: dict[str, dict[str, Any]] = {}
    for name, by_fold in scores.items():
        of_experiment: dict[str, tuple[Dialogues, TrainParameters]] = {}
        for fold, own in by_fold.items():
            data, base = experiments[name][fold]
            number = own.index(max(own))
            if own[number] < 0:
                raise DivergedError(
                    f"compare.search: with none of its {len(own)} settings the loss of {name} stays finite; "
                    "add one with a lower learning_rate"
                )
            # The experiment's own folder is for its own settings, as the train pipeline leaves them.
            place = str(Path(fold) / f"settings{number}") if settings[number] else fold
            of_experiment[place] = data, with_settings(base, settings[number])
            found.setdefault(name, {})[fold] = {"chosen": number, "scores": own}
        chosen[name] = of_experiment
    return chosen, found
