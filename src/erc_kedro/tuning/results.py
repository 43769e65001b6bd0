"""The results of a study: a table, the winner, and an experiment's file."""

import json
import warnings
from typing import Any

import optuna
import pandas as pd
import yaml
from optuna.trial import FrozenTrial, TrialState

from erc_kedro.config import ConfigError, merge
from erc_kedro.folds import folder_of, name_of
from erc_kedro.parameters import NOT_LEARNED, TuneParameters
from erc_kedro.tuning import study as studies
from erc_kedro.tuning.pruner import DEFAULT
from erc_kedro.tuning.space import of_trial, with_values
from erc_kedro.tuning.trial import Search

LOST = "its process ended before it; another trial repeats it"


def trials_table(study: optuna.Study) -> pd.DataFrame:
    """A row a trial that has begun (``trial_row``)."""
    return pd.DataFrame([trial_row(trial) for trial in studies.begun(study)])


def trial_row(trial: FrozenTrial) -> dict[str, Any]:
    """Number, state, reason, point, value(s), scores of seeds, seconds, values by parameter, and history."""
    attributes = trial.user_attrs
    lost = trial.state == TrialState.FAIL and "reason" not in attributes
    return {
        "trial": trial.number,
        "state": "LOST" if lost else trial.state.name,
        "reason": LOST if lost else attributes.get("reason", ""),
        "point": attributes.get("point", ""),
        "value": trial.values[0] if trial.values else None,
        "second_value": trial.values[1] if trial.values and len(trial.values) > 1 else None,
        "scores": json.dumps(attributes.get("scores", [])),
        "seconds": attributes.get("seconds"),
        "values": json.dumps(of_trial(trial)),
        "history": json.dumps(attributes.get("history", [])),
    }


def winner(study: optuna.Study, number: int | None = None) -> FrozenTrial:
    """The complete trial with the best validation weighted F1, the earliest of equal ones; or a named one.

    Raises:
        ConfigError: the named trial is not a complete one.
    """
    complete = [trial for trial in studies.finished(study) if trial.state == TrialState.COMPLETE]
    if number is not None:
        known = {trial.number: trial for trial in complete}
        if number not in known:
            raise ConfigError(
                f"tune.winner: {number} is no complete trial of the study; complete are {sorted(known)}"
            )
        return known[number]
    return max(complete, key=lambda trial: (trial.values[0], -trial.number))


def winners_in_folds(study: optuna.Study) -> dict[str, FrozenTrial]:
    """For each fold the complete trial that its own validation prefers, the earliest of equal ones.

    A fold's test dialogues validate another fold, so that the score of all folds together has seen them.
    Empty where the splits are fixed.
    """
    complete = [trial for trial in studies.finished(study) if trial.state == TrialState.COMPLETE]
    return {
        name_of(name): max(complete, key=lambda one: (_mean(one.user_attrs["folds"][name]), -one.number))
        for name in complete[0].user_attrs.get("folds", {})
    }


def _mean(scores: list[float]) -> float:
    return sum(scores) / len(scores)


def _differing(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What a nested mapping has otherwise than another one, or has alone."""
    found = {}
    for name, value in base.items():
        if isinstance(value, dict) and isinstance(own.get(name), dict):
            if inner := _differing(value, own[name]):
                found[name] = inner
        elif name in own and own[name] != value:
            found[name] = own[name]
    return found | {name: value for name, value in own.items() if name not in base}


def outcome(study: optuna.Study, search: Search) -> dict[str, Any]:
    """What the report and the summary of the search say, JSON-able.

    Raises:
        ValueError: the default configuration was not trained.
    """
    done = studies.finished(study)
    tune = search.parameters
    first = next(trial for trial in done if trial.user_attrs.get("point") == DEFAULT)
    if first.state != TrialState.COMPLETE:
        raise ValueError(f"tune: the default configuration was not trained: {first.user_attrs['reason']}")
    best = winner(study, tune.winner)
    train = with_values(search.base, of_trial(best)).model_dump(mode="json", exclude=NOT_LEARNED)
    in_fold = {} if tune.winner is not None else winners_in_folds(study)
    own = {
        fold: with_values(search.base, of_trial(trial)).model_dump(mode="json", exclude=NOT_LEARNED)
        for fold, trial in in_fold.items()
    }
    train["in_fold"] = {fold: changes for fold, one in own.items() if (changes := _differing(train, one))}
    return {
        "corpus": search.corpus,
        "experiment": f"{search.corpus}_best",
        "tuned": tune.experiment,
        "study": search.name,
        "trials": len(done),
        "states": pd.Series([trial.state.name for trial in done]).value_counts().to_dict(),
        "seconds": sum(trial.user_attrs.get("seconds", 0.0) for trial in done),
        "trial": best.number,
        # The best of many is too good by chance; training on other seeds says how good it is.
        "search": best.values[0],
        "default": first.values[0],
        "seeds": [tune.first_seed + number for number in range(tune.seeds)],
        "second_objective": tune.second_objective,
        "front": [{"trial": trial.number, "values": trial.values} for trial in study.best_trials]
        if tune.second_objective
        else [],
        "values": of_trial(best),
        "in_fold": {
            fold: {"trial": trial.number, "search": _mean(trial.user_attrs["folds"][folder_of(fold)])}
            for fold, trial in in_fold.items()
        },
        "train": train,
        "importances": importances(study),
    }


def importances(study: optuna.Study) -> dict[str, float]:
    """How much of the objective's variance each parameter explains; empty where too few trials say it."""
    target = (lambda trial: trial.values[0]) if len(study.directions) > 1 else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = optuna.importance.get_param_importances(study, target=target)
        except (ValueError, RuntimeError):
            return {}
    return {name: float(value) for name, value in found.items()}


def best_experiment(result: dict[str, Any], parameters: TuneParameters) -> str:
    """The winner as a file of ``conf/<env>/experiments``."""
    # The whole configuration, in the corpus's own section, which goes before what others say of it.
    found = {result["corpus"]: {"train": result["train"]}}
    content = merge(parameters.experiment_settings, found)
    page = yaml.safe_dump({result["experiment"]: content}, sort_keys=False, allow_unicode=True)
    return (
        f"# Written by `kedro run --pipeline=tune`: trial {result['trial']} of {result['trials']}\n"
        f"# of the study {result['study']!r}, over {result['tuned']}.\n"
        f"# Validation weighted F1 in the search {result['search']:.4f}, which is optimistic; "
        f"of the default {result['default']:.4f}.\n" + page
    )
