"""Raw layout to utterance table and audit."""

from kedro.pipeline import Node, Pipeline

from erc_kedro.pipelines import per_corpus
from erc_kedro.pipelines.ingestion.nodes import audit_corpus, read_corpus


def create_pipeline() -> Pipeline:
    """Reads and audits each corpus."""
    return per_corpus(
        Pipeline(
            [
                Node(
                    read_corpus,
                    "params:ingestion",
                    ["utterances", "description", "irregularities"],
                    name="read_corpus",
                ),
                Node(
                    audit_corpus,
                    ["utterances", "description", "irregularities"],
                    ["audit", "audit_page"],
                    name="audit_corpus",
                ),
            ]
        )
    )
