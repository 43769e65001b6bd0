"""A network of somebody's own is trained, kept and known again as ours are."""

import sys

import pandas as pd
import pytest

from erc_kedro import sources
from erc_kedro.models.architectures import ArchitectureError
from erc_kedro.training.batches import assemble
from erc_kedro.training.loop import load_network, predict
from erc_kedro.training.seeds import TrainingTask, train_all, train_seeds
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TrainParameters
from tests.models.test_own import GOOD

SMALL = {"epochs": 2, "batch_utterances": 32, "seeds": 2}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes the module of the network, as if by an editor between two runs."""
    monkeypatch.syspath_prepend(tmp_path / "code")
    (tmp_path / "code").mkdir()

    def write(text=GOOD):
        sys.modules.pop("my_net", None)
        sources.version_of_module.cache_clear()
        (tmp_path / "code" / "my_net.py").write_text(text, "utf-8")

    write()
    yield write
    sys.modules.pop("my_net", None)
    sources.version_of_module.cache_clear()


def parameters(architecture="my_net:Net", **changes):
    model = {"architecture": architecture, "hidden": 16, "attention_heads": 2}
    settings = changes.pop("settings", {})
    return TrainParameters(**SMALL, **changes, model={**model, "settings": settings})


@pytest.fixture(scope="module")
def data():
    return assemble(*make_corpus(12), CLASSES)


def resumed(data, given, folder):
    return [model.resumed for model in train_seeds(data, given, folder, "")]


def test_it_is_trained_kept_and_loaded(module, data, tmp_path):
    first, second = train_seeds(data, parameters(settings={"width": 5}), tmp_path / "own", "")
    expected = first.predictions.drop(columns="seed")
    pd.testing.assert_frame_equal(predict(load_network(first.folder), data), expected)
    assert set(first.predictions["head"]) == {"tav"}
    assert not first.predictions.drop(columns="seed").equals(second.predictions.drop(columns="seed"))


def test_what_is_edited_is_trained_again_and_nothing_else(module, data, tmp_path):
    own, ours = tmp_path / "models" / "own", tmp_path / "models" / "ours"
    assert resumed(data, parameters(), own) == ["", ""]
    assert resumed(data, parameters("concat_mlp"), ours) == ["", ""]
    # Comments, and a default that is written out, are nothing.
    module("# It is small.\n" + GOOD)
    assert resumed(data, parameters(settings={"width": 8}), own) == ["done", "done"]
    module(GOOD.replace("self.settings.width)\n", "self.settings.width, bias=False)\n"))
    assert resumed(data, parameters(), own) == ["", ""]
    assert resumed(data, parameters("concat_mlp"), ours) == ["done", "done"]


def test_it_is_found_by_worker_processes(module, data, tmp_path):
    models = [*train_seeds(data, parameters(jobs=2), tmp_path / "own", "")]
    alone = [*train_seeds(data, parameters(), tmp_path / "alone" / "own", "")]
    for one, other in zip(models, alone, strict=True):
        pd.testing.assert_frame_equal(one.predictions, other.predictions)


def test_it_is_tried_before_another_is_trained(module, data, tmp_path):
    module(GOOD.replace("[None])", ")"))
    tasks = [
        TrainingTask(data, parameters(name), seed, tmp_path / name[:4] / str(seed))
        for name in ("concat_mlp", "my_net:Net")
        for seed in range(2)
    ]
    with pytest.raises(ArchitectureError, match="returns logits of shape"):
        next(train_all(tasks, tmp_path, ""))
    assert not list(tmp_path.rglob("*.safetensors"))
