"""Small data that tests generate."""

import gc
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

# One thread and no outside world, whatever the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Collecting imports for seconds, and what that makes stays: a fifth of the time went in looking for garbage.
gc.disable()

CLASSES = ("calm", "glad", "cross")


def examples(number: int) -> int:
    """How many hypothesis draws where each costs much: ten times as many with HYPOTHESIS_PROFILE=thorough."""
    return 10 * number if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else number


# What takes longest goes first, so that no worker of pytest-xdist is left alone with it at the end. Of the
# first two, the one makes the integration tests' demo and the other does not need it.
LONGEST = (
    "integration/test_default_pipeline.py",
    "demo",
    "integration",
    "pipelines",
    "corpora",
    "tuning",
    "finetuning",
    "extractors",
)
# Folders and files that `make test-fast` leaves out: they train, encode media or start processes.
SLOW = (
    "audit/test_fitted.py",
    "benchmarks",
    "corpora/test_real_annotations.py",
    "demo",
    "evaluation/test_results.py",
    "extractors/media/test_player.py",
    "extractors/test_documented.py",
    "extractors/test_runner.py",
    "finetuning/test_encoders.py",
    "integration",
    "models/test_properties.py",
    "models/test_recurrence.py",
    "pipelines",
    "report/pages/test_conversations.py",
    "report/pages/test_model_card.py",
    "report/pages/test_report.py",
    "report/tables/test_files.py",
    "test_config.py",
    "test_files.py",
    "test_processes.py",
    "test_surroundings.py",
    "test_tracking.py",
    "tracking",
    "training/test_loop.py",
    "training/test_own.py",
    "training/test_planted_signal.py",
    "training/test_properties.py",
    "training/test_seeds.py",
    "training/test_start.py",
    "transfer/test_arms.py",
    "tuning/test_planted_signal.py",
    "tuning/test_search.py",
    "tuning/test_storage.py",
    "tuning/test_study.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    moved = [name for name in (*LONGEST, *SLOW) if not (Path(__file__).parent / name).exists()]
    if moved:
        raise pytest.UsageError(f"tests/conftest.py names what is not there: {', '.join(moved)}")
    for item in items:
        if names(item) & {*SLOW}:
            item.add_marker(pytest.mark.slow)
    items.sort(key=turn)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


def names(item):
    """A test's file, and the folders that it is in."""
    path = item.path.relative_to(Path(__file__).parent)
    return {path.as_posix(), *(parent.as_posix() for parent in path.parents)}


def turn(item):
    return next((number for number, name in enumerate(LONGEST) if name in names(item)), len(LONGEST))


@pytest.fixture(autouse=True)
def one_thread():
    """Whoever asks for more threads has them to the end of a test.

    OpenMP's wait for each other by spinning: where another process had the cores, all that came after one
    such test took ten times its time.
    """
    yield
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Makes a folder by a function of it, once for all workers of pytest-xdist. Look, do not touch."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name, make):
        folder = shared / name
        done = shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                # One that failed half way is made anew.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def store(made_once):
    """A migrated store; migrating takes seconds, copying does not."""

    def migrate(folder):
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()

    return made_once("store", migrate) / "mlflow.db"


@pytest.fixture
def corpus():
    return make_corpus()


def make_corpus(dialogues: int = 12, seed: int = 0, signal: float = 2.0):
    """An utterance table and three feature tables whose vectors tell the label, more or less."""
    draw = np.random.default_rng(seed)
    rows = []
    for d in range(dialogues):
        split = "test" if d % 4 == 3 else "val" if d % 4 == 2 else "train"
        for i in range(int(draw.integers(1, 7))):
            label = CLASSES[draw.integers(len(CLASSES))]
            rows.append((f"d{d}_u{i}", f"d{d}", i, f"s{draw.integers(3)}", f"words {d} {i}", label, split))
    table = pd.DataFrame(
        rows, columns=["utterance_id", "dialogue_id", "position", "speaker", "text", "label", "split"]
    )
    for column in ("start_s", "end_s", "clip_start_s", "clip_end_s"):
        table[column] = np.nan
    for column in ("clip", "wav", "frame_side"):
        table[column] = pd.Series(np.nan, index=table.index, dtype="str")
    from erc_kedro.corpora import UTTERANCE_COLUMNS

    code = table["label"].map({name: i for i, name in enumerate(CLASSES)}).to_numpy()
    features = {}
    for modality, size in (("text", 6), ("audio", 5), ("visual", 4)):
        x = draw.normal(size=(len(table), size)).astype(np.float32)
        x[np.arange(len(table)), code] += signal
        features[modality] = pd.DataFrame(
            {"utterance_id": table["utterance_id"], "vector": list(x), "present": True, "reason": "ok"}
        )
    return table[UTTERANCE_COLUMNS], features
