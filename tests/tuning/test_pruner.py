"""A trial is stopped by its epochs or between seeds, where others were better; the default never."""

import optuna
import pytest
from optuna.trial import TrialState

from erc_kedro.tuning.pruner import DEFAULT, SEEDS, ByEpochAndSeed
from tests.defaults import TuneParameters

SPACE = {"learning_rate": {"low": 0.1, "high": 1.0}}
EPOCHS = 30


def study_with(**parameters):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = ByEpochAndSeed(TuneParameters(space=SPACE, **parameters), EPOCHS)
    # Hyperband draws a trial's bracket from the study's name, and one bracket prunes nothing early.
    return optuna.create_study(study_name="search", direction="maximize", pruner=pruner)


def trial_of(study, epochs=(), seeds=(), point=None):
    """Reports until it is pruned; says at which step, or None."""
    study.enqueue_trial({}, user_attrs={"point": point})
    trial = study.ask()
    steps = [*enumerate(epochs, 1), *((SEEDS + number, score) for number, score in enumerate(seeds))]
    for step, value in steps:
        trial.report(value, step)
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return step
    study.tell(trial, sum(seeds) / len(seeds) if seeds else value)
    return None


def test_a_hopeless_trial_ends_at_an_early_epoch():
    study = study_with()
    for _ in range(6):
        trial_of(study, [0.6] * EPOCHS, [0.6] * 5, DEFAULT)
    assert trial_of(study, [0.1] * EPOCHS, [0.6] * 5) in range(1, EPOCHS)
    assert trial_of(study_with(prune_epochs=False), [0.1] * EPOCHS, [0.6] * 5) is None


def test_seeds_that_are_all_worse_end_a_trial_early():
    study = study_with(prune_epochs=False, prune_seeds=0.15)
    rising = [0.02 * epoch for epoch in range(EPOCHS)]
    trial_of(study, rising, [0.60, 0.61, 0.62, 0.63, 0.64])
    assert trial_of(study, rising, [0.57, 0.58, 0.585, 0.59, 0.59]) == SEEDS + 2
    sooner = study_with(prune_epochs=False, prune_seeds=0.3)
    trial_of(sooner, seeds=[0.60, 0.61, 0.62])
    assert trial_of(sooner, seeds=[0.50, 0.52, 0.7]) == SEEDS + 1
    # Sometimes better, sometimes worse: no reason to stop.
    assert trial_of(study, [0.1] * EPOCHS, [0.62, 0.58, 0.65, 0.60, 0.66]) is None
    never = study_with(prune_epochs=False, prune_seeds=0)
    trial_of(never, seeds=[0.6] * 5)
    assert trial_of(never, seeds=[0.1] * 5) is None


@pytest.mark.parametrize("point", [DEFAULT, "enqueued 0"])
def test_only_the_default_is_never_stopped(point):
    study = study_with()
    for _ in range(6):
        trial_of(study, [0.6] * EPOCHS, [0.6] * 5, DEFAULT)
    assert (trial_of(study, [0.1] * EPOCHS, [0.1] * 5, point) is None) == (point == DEFAULT)
