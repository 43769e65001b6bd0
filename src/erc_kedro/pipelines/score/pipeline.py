"""Recordings to who felt what when."""

from kedro.pipeline import Node, Pipeline

from erc_kedro.pipelines.score.nodes import score_recordings


def create_pipeline() -> Pipeline:
    """Scores recordings with a trained model, and writes results for each, and a page over all."""
    inputs = {
        "where": "params:recordings",
        "name": "params:model",
        "parameters": "params:score",
        "models": "trained_models",
        "folder": "scored_recordings",
        "cache": "recordings_cache",
    }
    return Pipeline([Node(score_recordings, inputs, "scored_summary", name="score_recordings")])
