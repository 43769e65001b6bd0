"""From a search space to the parameters of a trial."""

import json
from collections.abc import Mapping
from typing import Any

import optuna

from erc_kedro.config import ConfigError, merge
from erc_kedro.models.architectures import ArchitectureError, check_setting
from erc_kedro.parameters import OWN_SETTINGS, Dimension, TrainParameters, nested, value_of

Space = Mapping[str, Dimension]


def defaults(space: Space, base: TrainParameters) -> dict[str, Any]:
    """What the base has, of the parameters that are searched."""
    return {name: value_of(base, name) for name in space}


def with_values(base: TrainParameters, values: Mapping[str, Any]) -> TrainParameters:
    """The base with some parameters changed, by dotted name.

    Raises:
        pydantic.ValidationError: they do not fit together.
    """
    # A default that is written out would be other parameters than one that is not.
    changed = {name: value for name, value in values.items() if value != value_of(base, name)}
    made = merge(base.model_dump(), nested(changed))
    if made["model"]["architecture"] != base.model.architecture:
        # The base's settings are those of its own network.
        own = {name.removeprefix(OWN_SETTINGS): value for name, value in changed.items() if _is_own(name)}
        made["model"]["settings"] = nested(own)
    return TrainParameters.model_validate(made)


def _is_own(name: str) -> bool:
    return name.startswith(OWN_SETTINGS)


def check_settings(space: Space, base: TrainParameters) -> None:
    """Refuses what a search would set that none of its networks has, or not to such a value.

    Raises:
        ConfigError: naming the parameter.
    """
    searched = space.get("model.architecture")
    every = [base.model.architecture, *((searched and searched.choices) or ())]
    for name, dimension in space.items():
        if not _is_own(name):
            continue
        wanted = dimension.when.get("model.architecture")
        for architecture in [wanted] if wanted else dict.fromkeys(every):
            for value in dimension.values:
                try:
                    check_setting(architecture, name.removeprefix(OWN_SETTINGS), value)
                except ArchitectureError as error:
                    raise ConfigError(f"tune.space: {error}") from error


def fixed(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """A point as Optuna keeps one: what lies in the space, lists as text."""
    return {name: _kept(value) for name, value in values.items() if _holds(space[name], value)}


def suggest(
    trial: optuna.trial.Trial, space: Space, base: TrainParameters, whole: bool = False
) -> dict[str, Any]:
    """A value for every dimension whose conditions hold.

    Args:
        whole: the trial is a whole point; what lies outside of the space stays as the base has it.
    """
    values: dict[str, Any] = {}

    def value(name: str) -> Any:
        own = value_of(base, name)
        if name not in space or (whole and not _holds(space[name], own)):
            return own
        if name not in values:
            dimension = space[name]
            if any(value(other) != wanted for other, wanted in dimension.when.items()):
                return own
            values[name] = _drawn(trial, name, dimension, base)
        return values[name]

    for name in space:
        value(name)
    return values


def of_trial(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """A trial's values by dotted name."""
    return {name: _given(value) for name, value in trial.params.items()}


def _drawn(trial: optuna.trial.Trial, name: str, dimension: Dimension, base: TrainParameters) -> Any:
    if dimension.choices is not None:
        return _given(trial.suggest_categorical(name, [_kept(choice) for choice in dimension.choices]))
    low, high, step = dimension.low, dimension.high, dimension.step
    assert low is not None
    assert high is not None
    own = value_of(base, name)
    # What the base has not is counted as the space is written.
    if isinstance(own, int) or (own is None and isinstance(low, int) and isinstance(high, int)):
        return trial.suggest_int(name, int(low), int(high), step=int(step or 1), log=dimension.log)
    return trial.suggest_float(name, float(low), float(high), step=step, log=dimension.log)


def _holds(dimension: Dimension, value: Any) -> bool:
    # A base's tuple comes as a list.
    choices = dimension.choices or ()
    return dimension.holds(value) or value in [json.loads(json.dumps(choice)) for choice in choices]


def _kept(value: Any) -> Any:
    """Optuna keeps numbers, texts, booleans and None; a list becomes text."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


def _given(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.startswith("[") else value
