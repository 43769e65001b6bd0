"""Many fits, one after another or side by side."""

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
from erc_kedro.training.loop import Fit, fit


@dataclass(frozen=True, eq=False)
class Task:
    """One fit of one experiment; ``folder`` is where it lives."""

    data: Dialogues
    parameters: TrainParameters
    seed: int
    folder: Path


def fit_seeds(data: Dialogues, parameters: TrainParameters, folder: Path, title: str) -> Iterator[Fit]:
    """Fits seeds 0, 1, 2, …, yielding each when it is done; a finished one is taken up, not repeated.

    Args:
        folder: gets one subfolder a seed; a fit of the same content in a folder beside it is taken up, too.
        title: what the progress bar says.
    """
    tasks = [Task(data, parameters, seed, folder / f"seed{seed}") for seed in range(parameters.seeds)]
    return fit_all(tasks, folder.parent, title)


def fit_all(tasks: Sequence[Task], shared: Path, title: str) -> Iterator[Fit]:
    """Fits every task, ``jobs`` at once, and yields the fits in the order of the tasks.

    Of tasks that would train the same, the first one trains and the others take up what it made.
    """
    first: dict[str, int] = {}
    for at, task in enumerate(tasks):
        first.setdefault(checkpoint.training_key(task.data, task.parameters, task.seed), at)
    leaders = [tasks[at] for at in first.values()]
    with progress_bar(len(tasks), f"Training {title}", "model") as bar:

        def show(row: dict[str, float]) -> None:
            bar.set_postfix(epoch=int(row["epoch"]), val_wf1=f"{row['val_weighted_f1']:.3f}")

        def train() -> Iterator[Fit]:
            # Each experiment has its own number of fits at once, and of threads.
            for (jobs, threads), part in groupby(
                leaders, lambda t: (t.parameters.jobs, t.parameters.threads)
            ):
                together = list(part)
                jobs = min(surroundings.workers(jobs, "train.jobs"), len(together))
                if jobs > 1:
                    calls = (delayed(fit)(*_arguments(t), shared=shared) for t in together)
                    options = {"return_as": "generator", "inner_max_num_threads": threads}
                    yield from Parallel(jobs, "loky", **options, **processes.pool_options())(calls)
                else:
                    yield from (fit(*_arguments(t), show, shared) for t in together)

        trained = train()
        for at, task in enumerate(tasks):
            if at in first.values():
                yield next(trained)
            else:
                yield fit(*_arguments(task), show, shared)
            bar.update()


def _arguments(task: Task) -> tuple[Dialogues, TrainParameters, int, Path]:
    return task.data, task.parameters, task.seed, task.folder
