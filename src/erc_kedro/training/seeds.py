"""Many models, trained one after another or side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from joblib import Parallel, delayed

from erc_kedro import processes, surroundings
from erc_kedro.parameters import TrainParameters
from erc_kedro.progress import bar as progress_bar
from erc_kedro.training import checkpoint
from erc_kedro.training.batches import Dialogues
from erc_kedro.training.loop import TrainedModel, train_model


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


def train_seeds(
    data: Dialogues, parameters: TrainParameters, folder: Path, title: str
) -> Iterator[TrainedModel]:
    """Trains seeds 0, 1, 2, …, yielding each when it is done; a finished one is reused, not repeated.

    Args:
        folder: gets one subfolder a seed; a model of the same content in a folder beside it is reused, too.
        title: what the progress bar says.
    """
    tasks = [TrainingTask(data, parameters, seed, folder / f"seed{seed}") for seed in range(parameters.seeds)]
    return train_all(tasks, folder.parent, title)


def train_all(tasks: Sequence[TrainingTask], shared: Path, title: str) -> Iterator[TrainedModel]:
    """Trains every task, ``jobs`` at once, and yields the models in the order of the tasks.

    Of tasks that would train the same, the first one trains and the others reuse its model.
    """
    first: dict[str, int] = {}
    for at, task in enumerate(tasks):
        first.setdefault(checkpoint.weights_key(task.data, task.parameters, task.seed, task.start), at)
    leaders = [tasks[at] for at in first.values()]
    with progress_bar(len(tasks), f"Training {title}", "model") as bar:

        def show(row: dict[str, float]) -> None:
            bar.set_postfix(epoch=int(row["epoch"]), val_wf1=f"{row['val_weighted_f1']:.3f}")

        def train() -> Iterator[TrainedModel]:
            # Each experiment has its own number of models at once, and of threads.
            for (jobs, threads), part in groupby(
                leaders, lambda t: (t.parameters.jobs, t.parameters.threads)
            ):
                together = list(part)
                jobs = min(surroundings.workers(jobs, "train.jobs"), len(together))
                if jobs > 1:
                    calls = (delayed(train_model)(*_arguments(t), shared=shared, start=t.start) for t in together)
                    options = {"return_as": "generator", "inner_max_num_threads": threads}
                    yield from Parallel(jobs, "loky", **options, **processes.pool_options())(calls)
                else:
                    yield from (train_model(*_arguments(t), show, shared, t.start) for t in together)

        trained = train()
        for at, task in enumerate(tasks):
            if at in first.values():
                yield next(trained)
            else:
                yield train_model(*_arguments(task), show, shared, task.start)
            bar.update()


def _arguments(task: TrainingTask) -> tuple[Dialogues, TrainParameters, int, Path]:
    return task.data, task.parameters, task.seed, task.folder
