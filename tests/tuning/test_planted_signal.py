"""A search finds what is better than the default, where the data say that there is something."""

from erc_kedro.tuning import trial as trials
from erc_kedro.tuning.results import outcome
from erc_kedro.tuning.search import search
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TrainParameters, TuneParameters

# Vectors tell the labels beyond doubt, but so small a step never leaves the initial weights.
SIGNAL = 6.0
IDLE = TrainParameters(
    epochs=15,
    patience=15,
    batch_utterances=32,
    learning_rate=1e-12,
    model={"hidden": 16, "attention_heads": 2},
)


def test_a_search_beats_a_default_that_learns_nothing(tmp_path):
    table, features = make_corpus(24, signal=SIGNAL)
    tune = TuneParameters(
        trials=3,
        seeds=1,
        workers=1,
        sampler_seed=0,
        space={"learning_rate": {"low": 5e-3, "high": 2e-2, "log": True}},
        experiment="full",
    )
    chosen = trials.prepare("meld", table, features, CLASSES, IDLE, tune, tmp_path / "meld")
    found = outcome(search(chosen), chosen)
    assert found["default"] < 0.7
    assert found["search"] > 0.9
    assert 5e-3 <= found["values"]["learning_rate"] <= 2e-2
