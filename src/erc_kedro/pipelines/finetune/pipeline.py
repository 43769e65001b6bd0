"""A text encoder that knows the task, for `features.text.encoder: finetuned`."""

from kedro.pipeline import Node, Pipeline

from erc_kedro.pipelines import CORPUS_CHECK, per_corpus
from erc_kedro.pipelines.finetune.nodes import finetune_corpus


def create_pipeline() -> Pipeline:
    """Fine-tunes each corpus's text encoder on its training dialogues."""
    return per_corpus(
        Pipeline(
            [
                CORPUS_CHECK,
                Node(
                    finetune_corpus,
                    ["utterances", "description", "audit", "encoders", "params:finetune"],
                    ["finetuned", "encoder_summary", "encoder_history"],
                    name="finetune_encoder",
                ),
            ]
        )
    )
