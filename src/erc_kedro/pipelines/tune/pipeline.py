"""Search for training parameters, judged on validation alone."""

from kedro.pipeline import Node, Pipeline

from erc_kedro.pipelines import CORPUS, CORPUS_CHECK, per_corpus
from erc_kedro.pipelines.tune.nodes import FIGURES, tune_corpus


def create_pipeline() -> Pipeline:
    """Fills each corpus's study to its budget, and writes the best trial as an experiment."""
    return per_corpus(
        Pipeline(
            [
                CORPUS_CHECK,
                Node(
                    tune_corpus,
                    {
                        **CORPUS,
                        "audit": "audit",
                        "features_audit": "features_audit",
                        "folder": "studies",
                        "train": "params:train",
                        "parameters": "params:tune",
                    },
                    ["trials", "tuning", "best_experiment", *(f"{name}_search" for name in FIGURES)],
                    name="tune",
                ),
            ]
        )
    )
