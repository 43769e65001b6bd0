"""The embedded corpora."""

from kedro.pipeline import Node, Pipeline

from erc_kedro.pipelines.demo.nodes import write_corpora


def create_pipeline() -> Pipeline:
    """Writes two small synthetic corpora in the two release layouts, and a recording to be scored."""
    return Pipeline([Node(write_corpora, "params:demo", "demo_facts", name="write_synthetic_corpora")])
