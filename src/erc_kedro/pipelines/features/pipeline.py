"""Utterances to vectors, one table a modality."""

from kedro.pipeline import Node, Pipeline

from erc_kedro.pipelines import per_corpus
from erc_kedro.pipelines.features.nodes import (
    audio_features,
    audit_features,
    text_features,
    visual_features,
)


def create_pipeline() -> Pipeline:
    """Makes and audits each corpus's features."""
    return per_corpus(
        Pipeline(
            [
                Node(
                    text_features,
                    ["utterances", "text_cache", "params:features.text"],
                    "text_features",
                    name="text_features",
                ),
                Node(
                    audio_features,
                    ["utterances", "card", "params:features.audio"],
                    "audio_features",
                    name="audio_features",
                ),
                Node(
                    visual_features,
                    ["utterances", "card", "params:features.visual"],
                    "visual_features",
                    name="visual_features",
                ),
                Node(
                    audit_features,
                    ["text_features", "audio_features", "visual_features", "utterances", "audit"],
                    ["features_audit", "full_audit_page"],
                    name="audit_features",
                ),
            ]
        )
    )
