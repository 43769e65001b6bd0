"""Utterances to vectors, one table a modality."""

from kedro.pipeline import Node, Pipeline

from erc_kedro.pipelines import per_corpus
from erc_kedro.pipelines.features.nodes import (
    audit_features,
    clip_features,
    text_features,
)


def create_pipeline() -> Pipeline:
    """Makes and audits each corpus's features."""
    return per_corpus(
        Pipeline(
            [
                Node(
                    text_features,
                    ["utterances", "description", "features_cache", "finetuned", "params:features"],
                    ["text_features", "encoder_predictions", "text_provenance"],
                    name="text_features",
                ),
                Node(
                    clip_features,
                    ["utterances", "description", "features_cache", "params:features"],
                    [
                        "audio_features",
                        "audio_provenance",
                        "visual_features",
                        "visual_provenance",
                        "clips",
                    ],
                    name="clip_features",
                ),
                Node(
                    audit_features,
                    [
                        "text_features",
                        "audio_features",
                        "visual_features",
                        "text_provenance",
                        "audio_provenance",
                        "visual_provenance",
                        "clips",
                        "utterances",
                        "audit",
                        "finetuned",
                    ],
                    ["features_audit", "full_audit_page"],
                    name="audit_features",
                ),
            ]
        )
    )
