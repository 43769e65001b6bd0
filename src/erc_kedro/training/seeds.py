"""Several seeds of one experiment, one after another or side by side."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from erc_kedro.parameters import TrainParameters
from erc_kedro.progress import bar as progress_bar
from erc_kedro.training.batches import Dialogues
from erc_kedro.training.loop import Fit, fit


def fit_seeds(data: Dialogues, parameters: TrainParameters, folder: Path, title: str) -> Iterator[Fit]:
    """Fits seeds 0, 1, 2, …, yielding each when it is done; a finished one is taken up, not repeated.

    Args:
        folder: gets one subfolder a seed.
        title: what the progress bar says.
    """
    seeds = range(parameters.seeds)
    jobs = min(parameters.jobs, parameters.seeds)
    if jobs > 1:
        alive = partial(_stop_if_orphaned, os.getpid())
        calls = (delayed(fit)(data, parameters, seed, folder / f"seed{seed}", alive) for seed in seeds)
        results = Parallel(n_jobs=jobs, return_as="generator", inner_max_num_threads=parameters.threads)(
            calls
        )
        with progress_bar(parameters.seeds, f"Training {title}, {jobs} seeds at once", "seed") as bar:
            for result in results:
                bar.update()
                yield result
        return
    for seed in seeds:
        with progress_bar(parameters.epochs, f"Training {title}, seed {seed}", "epoch") as bar:

            def show(row: dict[str, float], bar: Any = bar) -> None:
                bar.update()
                bar.set_postfix(loss=f"{row['train_loss']:.3f}", val_wf1=f"{row['val_weighted_f1']:.3f}")

            yield fit(data, parameters, seed, folder / f"seed{seed}", show)
            # Early stopping ends a bar before its total.
            bar.total = bar.n


def _stop_if_orphaned(parent: int, row: dict[str, float]) -> None:
    """A worker whose parent was killed outright would train on beside the run that takes its place."""
    if os.getppid() != parent:
        raise SystemExit(f"the run that started this fit (process {parent}) is gone")
