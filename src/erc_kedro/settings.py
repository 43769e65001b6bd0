"""Kedro's settings for this project."""

import warnings

from erc_kedro.config import CONFIG_LOADER_ARGS, ErcConfigLoader
from erc_kedro.hooks import (
    InterruptionHooks,
    LockHooks,
    LoggingHooks,
    MissingInputHooks,
    RefusalHooks,
    TrackingHooks,
)
from erc_kedro.session import ProjectSession

# Users write `kedro run --pipeline=train`; Kedro 1.7 says each time that it prefers --pipelines.
warnings.filterwarnings("ignore", message="Option '--pipeline' is deprecated")

# The last one is called first: what is refused leaves no run behind.
HOOKS = (
    TrackingHooks(),
    LockHooks(),
    MissingInputHooks(),
    LoggingHooks(),
    InterruptionHooks(),
    RefusalHooks(),
)
SESSION_CLASS = ProjectSession
CONFIG_LOADER_CLASS = ErcConfigLoader

__all__ = ["CONFIG_LOADER_ARGS", "CONFIG_LOADER_CLASS", "HOOKS", "SESSION_CLASS"]
