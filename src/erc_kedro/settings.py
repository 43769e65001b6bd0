"""Kedro's settings for this project."""

import warnings

from erc_kedro.config import ErcConfigLoader
from erc_kedro.hooks import (
    InterruptionHooks,
    LockHooks,
    MissingInputHooks,
    RefusalHooks,
    TrackingHooks,
)
from erc_kedro.session import ProjectSession

# Users write `kedro run --pipeline=train`; Kedro 1.7 says each time that it prefers --pipelines.
warnings.filterwarnings("ignore", message="Option '--pipeline' is deprecated")

# The last one is called first: what is refused leaves no run behind.
HOOKS = (TrackingHooks(), LockHooks(), MissingInputHooks(), InterruptionHooks(), RefusalHooks())
SESSION_CLASS = ProjectSession
CONFIG_LOADER_CLASS = ErcConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"experiments": ["experiments/*.yml"]},
    # An environment overrides single keys instead of whole blocks.
    "merge_strategy": {"parameters": "soft", "globals": "soft", "experiments": "soft"},
}
