"""Several seeds of one experiment, one after another or side by side."""

from collections.abc import Iterator
from pathlib import Path

from joblib import Parallel, delayed
from tqdm import tqdm

from erc_kedro.parameters import TrainParameters
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
        calls = (delayed(fit)(data, parameters, seed, folder / f"seed{seed}") for seed in seeds)
        results = Parallel(n_jobs=jobs, return_as="generator", inner_max_num_threads=parameters.threads)(calls)
        yield from tqdm(results, total=parameters.seeds, desc=f"Training {title}", unit="seed")
        return
    for seed in seeds:
        with tqdm(total=parameters.epochs, desc=f"Training {title}, seed {seed}", unit="epoch") as bar:

            def show(row: dict[str, float], bar: tqdm = bar) -> None:
                bar.update()
                bar.set_postfix(loss=f"{row['train_loss']:.3f}", val_wf1=f"{row['val_weighted_f1']:.3f}")

            yield fit(data, parameters, seed, folder / f"seed{seed}", show)
            # Early stopping ends a bar before its total.
            bar.total = bar.n
