"""Kedro's front door: each package under ``pipelines/`` is a runnable name."""

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

# What `kedro run` does when no pipeline is named, in order.
DEFAULT = ("ingestion", "features", "train", "reporting")


def register_pipelines() -> dict[str, Pipeline]:
    """Every runnable pipeline by name; ``__default__`` goes from raw data to the report."""
    pipelines = find_pipelines(raise_errors=True)
    # Kedro loads only the pipelines that a command asks for.
    if all(name in pipelines for name in DEFAULT):
        pipelines["__default__"] = sum((pipelines[name] for name in DEFAULT), Pipeline([]))
    return pipelines
