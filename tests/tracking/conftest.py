"""A store with a run that is going on, and bundles to register."""

import json
import os
import shutil
from functools import partial

import numpy as np
import pytest
from safetensors.numpy import save_file

from erc_kedro import tracking
from erc_kedro.tracking.runs import VARIABLE


@pytest.fixture
def uri(store, tmp_path, monkeypatch):
    """Of a store without runs."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "project").mkdir()
    shutil.copy(store, tmp_path / "project" / "mlflow.db")
    yield f"sqlite:///{tmp_path / 'project' / 'mlflow.db'}"
    tracking.finish("FINISHED")
    os.environ.pop(VARIABLE, None)


@pytest.fixture
def run(uri):
    """Of a pipeline that trains or scores."""
    return tracking.start(uri, "e", "score", {"pipeline": "score"}, {})


@pytest.fixture
def bundle_of(tmp_path):
    """Makes bundles in the project, each in place of the one before."""
    return partial(make_bundle, tmp_path / "project" / "data" / "bundle")


def make_bundle(folder, seed=0, weighted_f1=0.5, readme="# A model", **said):
    """A bundle as the registry sees it: a card and files. Nothing loads these."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "extractors" / "text").mkdir(parents=True)
    for name in ("seed0.safetensors", "extractors/text/model.safetensors"):
        save_file({"w": np.full(4, seed, np.float32)}, folder / name)
    (folder / "README.md").write_text(readme, "utf-8")
    card = {
        "corpus": "meld",
        "experiment": "full",
        "protocol": "meld.official",
        "synthetic": False,
        "labels": ["glad", "cross"],
        "modalities": ["text"],
        "languages": ["en"],
        "seeds": [{}],
        "validation": {"weighted_f1": weighted_f1},
        "git_revision": "a",
        "files": {"seed0.safetensors": seed, "README.md": readme},
        "requirements": {"erc-kedro": "0.1", "torch": "2.13.0+cpu"},
        **said,
    }
    (folder / "bundle.json").write_text(json.dumps(card), "utf-8")
    return folder
