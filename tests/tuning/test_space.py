"""A space that cannot be searched is refused by name; one that can gives parameters that fit."""

import optuna
import pytest
from pydantic import ValidationError

from erc_kedro.tuning.space import defaults, fixed, of_trial, suggest, with_values
from tests.defaults import TrainParameters, TuneParameters

RATE = {"low": 1e-4, "high": 1e-2, "log": True}


@pytest.mark.parametrize(
    ("space", "named", "says"),
    [
        ({"learning_rat": RATE}, "learning_rat", "no parameter"),
        ({"model": {"contxt": {"choices": [1]}}}, "model.contxt", "no parameter"),
        ({"mode": {"context_encoder": {"choices": ["gru"]}}}, "mode.context_encoder", "no parameter"),
        ({"learning_rate": {"low": 1, "high": 0.1}}, "learning_rate", "low (1) is above high (0.1)"),
        ({"learning_rate": {"low": 0, "high": 0.1, "log": True}}, "learning_rate", "above 0"),
        ({"model": {"hidden": {"choices": []}}}, "model.hidden", "choices is empty"),
        ({"model": {"hidden": {"choices": [64], "low": 1}}}, "model.hidden", "choices stand alone"),
        ({"model": {"dropout": {"low": 0.1}}}, "model.dropout", "write low and high"),
        ({"model": {"dropout": {"low": 0.0, "high": 1.5}}}, "model.dropout", "1.5 is not possible"),
        ({"model": {"layers": {"low": 0.5, "high": 2.5}}}, "model.layers", "0.5 is not possible"),
        (
            {"model": {"context_encoder": {"choices": ["gru", "lstm"]}}},
            "model.context_encoder",
            "'lstm' is not possible",
        ),
        ({"model": {"gates": {"low": 0, "high": 1}}}, "model.gates", "write choices"),
        ({"scaling": {"smell": {"choices": ["train"]}}}, "scaling.smell", "not possible"),
        ({"learning_rate": {**RATE, "hgih": 1}}, "learning_rate.hgih", "not permitted"),
        ({"learning_rate": {**RATE, "step": 0.1}}, "learning_rate", "no step"),
        ({"learning_rate": {**RATE, "when": {"model": {"kontext": "gru"}}}}, "model.kontext", "no parameter"),
        ({"learning_rate": {**RATE, "when": "gru"}}, "learning_rate", "valid dictionary"),
        ({"model": {"layers": {"low": 1, "high": 3, "step": 0.5}}}, "model.layers.step", "no whole number"),
        ({"learning_rate": {"low": 0.1, "high": float("inf")}}, "learning_rate.high", "finite"),
        ({"scaling": {"choices": [{"audio": "speaker"}]}}, "scaling", "search each by its own name"),
        ({"learning_rate": 0.1}, "learning_rate", "valid dictionary"),
        ({"seeds": {"low": 1, "high": 3}}, "seeds", "does not decide"),
        ({}, "space", "is empty"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(space, named, says):
    with pytest.raises(ValidationError) as refused:
        TuneParameters(space=space)
    assert named in str(refused.value)
    assert says in str(refused.value)


def test_conditions_in_a_circle_are_refused():
    space = {
        "epochs": {"low": 1, "high": 2, "when": {"patience": 1}},
        "patience": {"low": 1, "high": 2, "when": {"epochs": 1}},
    }
    with pytest.raises(ValidationError, match="goes in a circle"):
        TuneParameters(space=space)


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ({"epochs": 3}, "epochs is not in the space"),
        ({"learning_rate": 0.5}, "outside of the space"),
        ({"learning_rate": "0.001"}, "outside of the space"),
    ],
)
def test_known_points_lie_in_the_space(point, says):
    with pytest.raises(ValidationError, match=says):
        TuneParameters(space={"learning_rate": RATE}, enqueue=[point])


def test_a_condition_that_never_holds_is_refused():
    layers = {"low": 1, "high": 2, "when": {"model": {"context_encoder": "gru"}}}
    model = {"context_encoder": {"choices": ["transformer"]}, "layers": layers}
    with pytest.raises(ValidationError, match=r"'gru' is not among the choices of model\.context"):
        TuneParameters(space={"model": model})


def test_what_is_logged_has_no_password():
    kept = TuneParameters(space={"learning_rate": RATE}, storage="postgresql://me:secret@host/db")
    assert "secret" not in kept.model_dump_json()
    assert kept.storage == "postgresql://me:secret@host/db"


def test_an_environment_can_take_a_dimension_out():
    assert set(TuneParameters(space={"learning_rate": RATE, "weight_decay": None}).space) == {"learning_rate"}


SPACE = TuneParameters(
    space={
        "learning_rate": RATE,
        "model": {
            "layers": {"low": 1, "high": 3},
            "context_encoder": {"choices": ["gru", "transformer"]},
            "speaker_track": {"choices": [True, False], "when": {"model": {"context_encoder": "gru"}}},
            "modalities": {"choices": [["text"], ["text", "audio"]]},
        },
        "scaling": {"audio": {"choices": ["train", "speaker"]}},
    }
).space


def test_draws_become_parameters_that_training_takes():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(40):
        trial = study.ask()
        values = suggest(trial, SPACE, TrainParameters())
        made = with_values(TrainParameters(), values)
        assert 1e-4 <= made.learning_rate <= 1e-2
        assert type(values["model.layers"]) is int
        # Searched only where it means something.
        assert ("model.speaker_track" in values) == (made.model.context_encoder == "gru")
        assert of_trial(study.trials[-1]) == values
        seen.add((made.model.modalities, made.scaling.get("audio", "train"), made.model.layers))
    assert len(seen) == 12


def test_the_default_is_itself_even_outside_of_the_space():
    base = TrainParameters(learning_rate=0.5, model={"layers": 2})
    study = optuna.create_study()
    study.enqueue_trial(fixed(SPACE, defaults(SPACE, base)))
    values = suggest(study.ask(), SPACE, base, whole=True)
    assert with_values(base, values) == base
    assert "learning_rate" not in values
    assert values["model.layers"] == 2
