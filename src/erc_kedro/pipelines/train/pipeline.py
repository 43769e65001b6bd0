"""Features to models, predictions and metrics."""

from kedro.pipeline import Node, Pipeline

from erc_kedro.pipelines import CORPUS, CORPUS_CHECK, per_corpus
from erc_kedro.pipelines.train.nodes import train_corpus


def create_pipeline() -> Pipeline:
    """Trains every seed of the chosen experiment on each corpus."""
    return per_corpus(
        Pipeline(
            [
                CORPUS_CHECK,
                Node(
                    train_corpus,
                    {
                        **CORPUS,
                        "audit": "audit",
                        "features_audit": "features_audit",
                        "models": "models",
                        "parameters": "params:train",
                        "champion": "params:champion",
                    },
                    ["predictions", "metrics", "history", "training_summary"],
                    name="train",
                ),
            ]
        ),
        shared=["params:champion"],
    )
