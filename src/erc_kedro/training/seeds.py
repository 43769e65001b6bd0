"""Many models, trained one after another or side by side."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed

from erc_kedro import processes, surroundings
from erc_kedro.errors import PlainError
from erc_kedro.folds import name_of, pooled_rows
from erc_kedro.models.architectures import build
from erc_kedro.parameters import ARCHITECTURES, TrainParameters
from erc_kedro.progress import bar as progress_bar
from erc_kedro.training import checkpoint
from erc_kedro.training.batches import Dialogues
from erc_kedro.training.loop import TrainedModel, train_model

# What each fold's models read, and their parameters, by the fold's folder (``folds.View.folder``).
Folds = Mapping[str, tuple[Dialogues, TrainParameters]]


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """One seed of one experiment.

    Attributes:
        folder: where its model lives.
        start: the folder of the finished model whose weights training starts from; None: random ones.
    """

    data: Dialogues
    parameters: TrainParameters
    seed: int
    folder: Path
    start: Path | None = None


@dataclass(frozen=True)
class TrainedSeed:
    """What one seed leaves behind, over all folds.

    Attributes:
        predictions: the predictions table of this seed; of folds, their test and validation rows pooled.
        history: as ``TrainedModel`` has it; of folds, with the column ``fold``.
        models: one a fold, by its folder below the experiment's.
    """

    predictions: pd.DataFrame
    history: pd.DataFrame
    models: dict[str, TrainedModel]


def tasks_of(folds: Folds, seeds: int, folder: Path) -> list[TrainingTask]:
    """A task a seed and fold, all folds of a seed before the next seed, each in its own folder below."""
    return [
        TrainingTask(data, parameters, seed, folder / name / f"seed{seed}")
        for seed in range(seeds)
        for name, (data, parameters) in folds.items()
    ]


def by_seed(models: Iterable[TrainedModel], names: Sequence[str]) -> Iterator[TrainedSeed]:
    """The models of ``tasks_of``, each seed's folds together.

    Args:
        names: the folds' folders, in the order of the tasks.
    """
    models = iter(models)
    while of_seed := list(islice(models, len(names))):
        made = dict(zip(names, of_seed, strict=True))
        histories = [
            model.history if len(names) == 1 else model.history.assign(fold=name_of(name))
            for name, model in made.items()
        ]
        yield TrainedSeed(
            pooled_rows([model.predictions for model in of_seed]),
            pd.concat(histories, ignore_index=True),
            made,
        )


def train_seeds(
    data: Dialogues, parameters: TrainParameters, folder: Path, title: str
) -> Iterator[TrainedModel]:
    """Trains seeds 0, 1, 2, …, yielding each when it is done; a finished one is reused, not repeated.

    Args:
        folder: gets one subfolder a seed; a model of the same content in a folder beside it is reused, too.
        title: what the progress bar says.
    """
    tasks = tasks_of({".": (data, parameters)}, parameters.seeds, folder)
    return train_all(tasks, folder.parent, title)


class DivergedError(PlainError, ValueError):
    """A model whose loss became infinite; the message has its folder and the mend."""


def train_all(tasks: Sequence[TrainingTask], shared: Path, title: str) -> Iterator[TrainedModel]:
    """Trains every task, ``jobs`` at once, and yields the models in the order of the tasks.

    Of tasks that would train the same, the first one trains and the others reuse its model.

    Raises:
        ArchitectureError: one of the networks cannot be had; nothing was trained.
        DivergedError: a loss became infinite.
    """
    for task, made in zip(tasks, try_all(tasks, shared, title), strict=True):
        if isinstance(made, FloatingPointError):
            raise DivergedError(f"{task.folder}: {made}")
        yield made


def try_all(
    tasks: Sequence[TrainingTask], shared: Path, title: str
) -> Iterator[TrainedModel | FloatingPointError]:
    """The same, where a loss that becomes infinite is a result like others."""
    first: dict[str, int] = {}
    for at, task in enumerate(tasks):
        first.setdefault(checkpoint.weights_key(task.data, task.parameters, task.seed, task.start), at)
    leaders = [tasks[at] for at in first.values()]
    _try_networks(leaders)
    with progress_bar(len(tasks), f"Training {title}", "model") as bar:

        def show(row: dict[str, float]) -> None:
            bar.set_postfix(epoch=int(row["epoch"]), val_wf1=f"{row['val_weighted_f1']:.3f}")

        def train() -> Iterator[TrainedModel | FloatingPointError]:
            # Each experiment has its own number of models at once, and of threads.
            for (jobs, threads), part in groupby(
                leaders, lambda t: (t.parameters.jobs, t.parameters.threads)
            ):
                together = list(part)
                jobs = min(surroundings.workers(jobs, "train.jobs"), len(together))
                if jobs > 1:
                    calls = (delayed(_tried)(t, shared) for t in together)
                    options = {"return_as": "generator", "inner_max_num_threads": threads}
                    yield from Parallel(jobs, "loky", **options, **processes.pool_options())(calls)
                else:
                    yield from (_tried(t, shared, show) for t in together)

        trained = train()
        for at, task in enumerate(tasks):
            if at in first.values():
                yield next(trained)
            else:
                yield _tried(task, shared, show)
            bar.update()


@processes.draws_alone
def _try_networks(tasks: Sequence[TrainingTask]) -> None:
    """Builds each network that is none of ours once, before hours of training others."""
    for task in tasks:
        if task.seed == tasks[0].seed and task.parameters.model.architecture not in ARCHITECTURES:
            model = checkpoint.effective(task.parameters, task.data).model
            build(model, task.data.dimensions, len(task.data.classes))


def _tried(
    task: TrainingTask, shared: Path, show: Callable[[dict[str, float]], None] = lambda row: None
) -> TrainedModel | FloatingPointError:
    try:
        return train_model(task.data, task.parameters, task.seed, task.folder, show, shared, task.start)
    except FloatingPointError as error:
        return error
