"""Small data that tests generate."""

import os
import signal

import numpy as np
import pandas as pd
import pytest

# One thread and no outside world, whatever the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

CLASSES = ("calm", "glad", "cross")


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A migrated store; migrating takes seconds, copying does not."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


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
