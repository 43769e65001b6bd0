"""A machine that lacks something: a sentence with the mend, or work without it, and nothing half-written."""

import ast
import errno
import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from kedro.io import DatasetError
from safetensors import SafetensorError

import erc_kedro
from erc_kedro import surroundings
from erc_kedro.datasets import Table
from erc_kedro.errors import PlainError
from erc_kedro.training import checkpoint

SOURCES = Path(erc_kedro.__file__).parent
REPOSITORY = SOURCES.parents[1]


def caught(error, cause=None):
    with pytest.raises(type(error)) as raised:
        raise error from cause
    return raised.value


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/d/a.parquet"), "on the disk of /d/a.parquet"),
        (
            caught(DatasetError("Failed while saving"), OSError(errno.EDQUOT, "quota", "/d/a.json")),
            "on the disk of /d/a.json",
        ),
        # Neither number nor name.
        (SafetensorError("I/O error: No space left on device (os error 28)"), "no space is left on the disk"),
        (sqlite3.OperationalError("database or disk is full"), "no space is left on the disk of"),
        (PermissionError(errno.EACCES, "denied", "/d/a.json"), "/d/a.json: Permission denied"),
        (OSError(errno.EROFS, "read-only", "/d/a.json"), "/d/a.json: Read-only file system"),
        (MemoryError("Unable to allocate 7.45 GiB"), r"memory ran out \(Unable to allocate 7.45 GiB\)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory ran out"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory ran out"),
    ],
)
def test_what_a_machine_lacks_is_said_with_the_file_and_the_mend(error, said):
    sentence = surroundings.explained(error)
    assert sentence is not None
    assert pd.Series([sentence]).str.contains(said).all(), sentence
    assert any(mend in sentence for mend in ("free some", "lower ", "Give this account the right"))


def test_what_the_surroundings_did_not_end_is_left_as_it_is():
    quoted = DatasetError("not unique: 'we are out of memory', said Ann, 'and the disk is full'")
    for error in (
        quoted,
        ValueError("out of bounds"),
        KeyError("x"),
        FileNotFoundError(2, "no", "/x"),
        SystemExit(1),
    ):
        assert surroundings.explained(error) is None


def test_a_killed_worker_is_said_with_the_parameter_of_the_pipeline_that_ran():
    def fit():
        Parallel(n_jobs=2)(delayed(os._exit)(1) for _ in range(2))

    # Called as by a node.
    with pytest.raises(Exception, match="terminated") as raised:
        eval("fit()", {"__name__": "erc_kedro.pipelines.train.nodes", "fit": fit})
    sentence = surroundings.explained(raised.value)
    assert sentence is not None
    assert "a worker process was killed" in sentence
    assert "lower train.jobs or train.batch_utterances" in sentence


@contextmanager
def no_file_over(size):
    """As a full disk is: the first bytes are written, the next ones are not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before_and_names_its_file(tmp_path):
    checkpoint.save(tmp_path, "key", {"epoch": 1})
    with (
        no_file_over(40_000),
        pytest.raises(PlainError, match=rf"{tmp_path}/checkpoint\.pt.*ulimit -f"),
    ):
        checkpoint.save(tmp_path, "key", {"epoch": 2, "weights": torch.zeros(50_000)})
    assert checkpoint.load(tmp_path, "key")["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_table_that_finds_no_room_leaves_the_one_before_and_names_its_file(tmp_path):
    dataset = Table(filepath=str(tmp_path / "table.parquet"))
    dataset.save(pd.DataFrame({"x": [1.0]}))
    large = pd.DataFrame({"x": np.random.default_rng(0).normal(size=50_000)})
    with no_file_over(40_000), pytest.raises(DatasetError) as raised:
        dataset.save(large)
    assert f"{tmp_path}/table.parquet" in surroundings.explained(raised.value)
    assert dataset.load()["x"].tolist() == [1.0]
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


WITHOUT_SEMAPHORES = """
import _multiprocessing, errno, logging, sys
from pathlib import Path

class SemLock:
    SEM_VALUE_MAX = 1
    def __init__(self, *given, **named):
        raise OSError(errno.ENOSYS, "Function not implemented")

_multiprocessing.SemLock = SemLock
logging.basicConfig()
from tests.conftest import CLASSES, make_corpus
from tests.extractors import clips
from tests.extractors.extraction import settings, table
from erc_kedro.extractors import runner
from tests.defaults import TrainParameters
from erc_kedro.training.batches import assemble
from erc_kedro.training.seeds import train_seeds

folder = Path(sys.argv[1])
sounds = [clips.wav(folder / f"{number}.wav", clips.voice(0.3)) for number in range(2)]
for jobs in (1, 2):
    found = runner.extract(table(wav=sounds), settings(n_jobs=jobs), folder / f"cache{jobs}")
    print([result.reason for result in found["audio"][1]])
small = TrainParameters(epochs=1, patience=1, seeds=2, jobs=2, model={"hidden": 16, "attention_heads": 2})
fits = list(train_seeds(assemble(*make_corpus(), CLASSES), small, folder / "models", "here"))
print([int(fit.predictions["seed"].iloc[0]) for fit in fits])
"""


def test_without_shared_semaphores_one_process_does_the_work_of_all(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SEMAPHORES, str(tmp_path)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": f"{SOURCES.parent}"},
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['ok', 'ok']", "['ok', 'ok']", "[0, 1]"]
    for parameter in ("runner.n_jobs", "train.jobs"):
        assert done.stderr.count(f"{parameter} is 2, but this machine has no semaphores") == 1


def test_every_file_is_opened_in_an_encoding_that_is_named():
    unnamed = []
    for path in SOURCES.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and _in_the_machine_s_encoding(call):
                unnamed.append(f"{path.relative_to(SOURCES)}:{call.lineno}")
    assert unnamed == []


def _in_the_machine_s_encoding(call):
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    named = {word.arg for word in call.keywords}
    if {"encoding", None} & named:
        return False
    # By position: the encoding, or for a file that is opened its mode, without which it is text.
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name == "open" and not isinstance(call.func, ast.Attribute):
        return not any("b" in str(getattr(word, "value", "")) for word in call.args[1:])
    return name in ("run", "Popen", "check_output") and "text" in named
