"""Stopping a trial early: by the epochs of its first seed, and between seeds."""

import copy
import warnings

import optuna
from optuna.trial import FrozenTrial, TrialState

from erc_kedro.parameters import TuneParameters

# Steps below count epochs of the first seed, those from here on count seeds.
SEEDS = 100_000
# The point that is never pruned: the base's own parameters.
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
        # Hyperband is asked of the default, too: what it notes of it is what others are compared with.
        worse = self._by_epochs(study, trial) if last < SEEDS else self._by_seeds(study, trial)
        return worse and trial.user_attrs.get("point") != DEFAULT

    def _by_epochs(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return self._epochs is not None and self._epochs.prune(study, _part(trial, seeds=False))

    def _by_seeds(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        if self._seeds is None or not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            return False
        # Wilcoxon's test takes all that the best trial reported: it is shown a study of its seeds alone.
        shown = optuna.create_study(direction=study.direction)
        shown.add_trial(_part(study.best_trial, seeds=True))
        return self._seeds.prune(shown, _part(trial, seeds=True))


def _part(trial: FrozenTrial, seeds: bool) -> FrozenTrial:
    part = copy.copy(trial)
    values = trial.intermediate_values.items()
    part.intermediate_values = {step: value for step, value in values if (step >= SEEDS) == seeds}
    return part
