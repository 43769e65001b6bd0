"""Kedro's front door: each package under ``pipelines/`` is a runnable name."""

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

# What `kedro run` does when no pipeline is named, in the order of the walk.
WALK = ("ingestion", "features", "train", "reporting")


def register_pipelines() -> dict[str, Pipeline]:
    """Every runnable pipeline by name; ``__default__`` is the walk from raw data to the report."""
    pipelines = find_pipelines(raise_errors=True)
    # Kedro loads only the pipelines that a command asks for.
    if all(name in pipelines for name in WALK):
        pipelines["__default__"] = sum((pipelines[name] for name in WALK), Pipeline([]))
    return pipelines
