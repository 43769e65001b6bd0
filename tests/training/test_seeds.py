"""Many fits: each as if it were alone, and each with its own experiment's processes."""

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import torch

from erc_kedro.training import seeds
from erc_kedro.training.batches import assemble
from erc_kedro.training.loop import load_network, train_model
from erc_kedro.training.seeds import TrainingTask, train_all
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TrainParameters

SMALL = TrainParameters(
    epochs=4, patience=4, batch_utterances=16, model={"hidden": 16, "attention_heads": 2, "dropout": 0.3}
)


@pytest.fixture
def data():
    return assemble(*make_corpus(16), CLASSES)


def test_fits_in_several_threads_are_those_of_fits_alone(data, tmp_path):
    alone = [train_model(data, SMALL, seed, tmp_path / f"alone{seed}").predictions for seed in range(4)]

    def beside(seed):
        made = train_model(data, SMALL, seed, tmp_path / f"beside{seed}")
        load_network(made.folder)
        return made.predictions

    with ThreadPoolExecutor(4) as pool:
        for expected, got in zip(alone, pool.map(beside, range(4)), strict=True):
            pd.testing.assert_frame_equal(got, expected)


def test_each_experiment_has_its_own_number_of_jobs_and_threads(data, tmp_path, monkeypatch):
    asked = []

    class Parallel:
        def __init__(self, n_jobs, backend, inner_max_num_threads, **options):
            asked.append((n_jobs, inner_max_num_threads))

        def __call__(self, calls):
            return (function(*arguments, **named) for function, arguments, named in calls)

    monkeypatch.setattr(seeds, "Parallel", Parallel)
    # Fits are in this process here, and two threads of it wait for each other by spinning.
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    experiments = [
        SMALL.model_copy(update={"jobs": jobs, "epochs": epochs, "threads": threads})
        for jobs, epochs, threads in ((1, 1, 1), (3, 2, 1), (2, 3, 2))
    ]
    tasks = [
        TrainingTask(data, train, seed, tmp_path / f"e{train.epochs}" / f"seed{seed}")
        for train in experiments
        for seed in range(3)
    ]
    folders = [made.folder for made in train_all(tasks, tmp_path, "three experiments")]
    assert folders == [task.folder for task in tasks]
    assert asked == [(3, 1), (2, 2)]
