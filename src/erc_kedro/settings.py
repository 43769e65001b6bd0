"""Kedro's settings for this project."""

from erc_kedro.config import ErcConfigLoader
from erc_kedro.hooks import MissingInputHooks, TrackingHooks

HOOKS = (TrackingHooks(), MissingInputHooks())
CONFIG_LOADER_CLASS = ErcConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"experiments": ["experiments/*.yml"]},
    # An environment overrides single keys instead of whole blocks.
    "merge_strategy": {"parameters": "soft", "globals": "soft", "experiments": "soft"},
}
