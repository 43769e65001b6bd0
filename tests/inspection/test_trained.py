"""Only networks that repeat the predictions on disk are inspected."""

import shutil

import pytest

from erc_kedro.config import ConfigError
from erc_kedro.inspection import trained
from erc_kedro.training.batches import assemble
from erc_kedro.training.loop import train_model
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TrainParameters

PARAMETERS = TrainParameters(seeds=1, epochs=2, warmup_epochs=1, model={"hidden": 16, "attention_heads": 2})


@pytest.fixture(scope="module")
def data():
    return assemble(*make_corpus(), CLASSES)


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return folder, train_model(data, PARAMETERS, 0, folder / "seed0").predictions


def test_a_network_that_repeats_its_predictions_is_given(made, data):
    folder, predictions = made
    assert [seed for seed, _, _ in trained(folder, {".": data}, predictions)] == [0]


def test_other_features_or_predictions_are_refused(made, data):
    folder, predictions = made
    other = assemble(*make_corpus(signal=0.5), CLASSES)
    with pytest.raises(ConfigError, match="does not make the predictions that lie on disk"):
        list(trained(folder, {".": other}, predictions))
    changed = predictions.assign(p_calm=predictions["p_glad"], p_glad=predictions["p_calm"])
    with pytest.raises(ConfigError, match=r"seed0: this network .*`kedro run --pipeline=train"):
        list(trained(folder, {".": data}, changed))
    with pytest.raises(ConfigError, match="does not make"):
        list(trained(folder, {".": data}, predictions.iloc[:-1]))


def test_a_missing_or_broken_network_is_named(made, data, tmp_path):
    folder, predictions = made
    with pytest.raises(ConfigError, match=r"seed0: no network that can be read"):
        list(trained(tmp_path, {".": data}, predictions))
    shutil.copytree(folder / "seed0", tmp_path / "seed0")
    (tmp_path / "seed0" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ConfigError, match=r"seed0: no network that can be read"):
        list(trained(tmp_path, {".": data}, predictions))
