"""What each modality contributes to each utterance, from models that are trained already."""

from kedro.pipeline import Node, Pipeline

from erc_kedro.pipelines import CORPUS, per_corpus
from erc_kedro.pipelines.contributions.nodes import read_contributions


def create_pipeline() -> Pipeline:
    """Gates and fusion weights of the chosen experiment, as one table a corpus."""
    return per_corpus(
        Pipeline(
            [
                Node(
                    read_contributions,
                    {
                        **CORPUS,
                        "predictions": "predictions",
                        "training_summary": "training_summary",
                        "models": "models",
                        "parameters": "params:train",
                    },
                    "contributions",
                    name="read_contributions",
                )
            ]
        )
    )
