"""Stopping a trial early: by the epochs of its first seed, and between seeds."""

import copy
import warnings

import optuna
from optuna.trial import FrozenTrial

from erc_kedro.parameters import TuneParameters

# Steps below count epochs of the first seed, those from here on count seeds.
SEEDS = 100_000
# The point that is never pruned: what one had.
DEFAULT = "default"


class ByEpochAndSeed(optuna.pruners.BasePruner):
    """Hyperband over the first seed's epochs, Wilcoxon's signed-rank test over the seeds' scores.

    A trial that was asked for as a whole (the default) is never pruned.
    """

    def __init__(self, parameters: TuneParameters, epochs: int) -> None:
        # An earlier look would compare learning rates that still warm up.
        least = max(1, epochs // 6)
        self._epochs = (
            optuna.pruners.HyperbandPruner(min_resource=least, max_resource=epochs)
            if parameters.prune_epochs
            else None
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._seeds = (
                optuna.pruners.WilcoxonPruner(p_threshold=parameters.prune_seeds)
                if parameters.prune_seeds
                else None
            )

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial looks worse than others by what it last reported."""
        last = trial.last_step
        if last is None:
            return False
        between = last >= SEEDS
        pruner = self._seeds if between else self._epochs
        if pruner is None:
            return False
        worse = bool(pruner.prune(_Seeds(study) if between else study, _part(trial, between)))
        return worse and trial.user_attrs.get("point") != DEFAULT


def _part(trial: FrozenTrial, seeds: bool) -> FrozenTrial:
    part = copy.copy(trial)
    values = trial.intermediate_values.items()
    part.intermediate_values = {step: value for step, value in values if (step >= SEEDS) == seeds}
    return part


class _Seeds(optuna.Study):
    """A study whose best trial shows only what Wilcoxon's test is to compare: its seeds' scores."""

    def __init__(self, study: optuna.Study) -> None:
        self.__dict__.update(study.__dict__)

    @property
    def best_trial(self) -> FrozenTrial:
        """Of the study."""
        return _part(super().best_trial, seeds=True)
