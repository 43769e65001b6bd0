"""Searches that are over in a second."""

import pandas as pd

from erc_kedro.tuning import trial as trials
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TrainParameters, TuneParameters

BASE = TrainParameters(
    epochs=2, patience=2, batch_utterances=32, learning_rate=0.002, model={"hidden": 16, "attention_heads": 2}
)
QUICK = BASE.model_copy(update={"epochs": 1, "patience": 1})
SPACE = {
    "learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
    "model": {"dropout": {"low": 0.0, "high": 0.5}, "context_encoder": {"choices": ["gru", "transformer"]}},
}


def given(folder, base=BASE, corpus=None, **parameters):
    table, features = corpus or make_corpus(12)
    options = {"trials": 4, "seeds": 1, "workers": 1, "sampler_seed": 0, "space": SPACE, "experiment": "full"}
    tune = TuneParameters(**options | parameters)
    return trials.prepare("meld", table, features, CLASSES, base, tune, folder / "meld")


def states(study):
    return pd.Series([trial.state.name for trial in study.trials]).value_counts().to_dict()
