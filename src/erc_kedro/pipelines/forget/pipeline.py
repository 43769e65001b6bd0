"""A recording's traces, removed."""

from kedro.pipeline import Node, Pipeline

from erc_kedro.pipelines.forget.nodes import forget_recording


def create_pipeline() -> Pipeline:
    """Removes what scoring derived and kept of one recording."""
    inputs = {"name": "params:recording", "folder": "scored_recordings", "cache": "recordings_cache"}
    return Pipeline([Node(forget_recording, inputs, "forgotten", name="forget_recording")])
