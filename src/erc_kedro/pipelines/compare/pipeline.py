"""Many experiments on every corpus, and one table that compares them."""

import warnings

from kedro.pipeline import Node, Pipeline

from erc_kedro.hooks import ACCEPTS_MISSING
from erc_kedro.pipelines import CORPUS, CORPUS_CHECK, corpora, per_corpus
from erc_kedro.pipelines.compare.features import experiment_tables
from erc_kedro.pipelines.compare.modalities import compare_modalities
from erc_kedro.pipelines.compare.nodes import compare_experiments, train_experiments, write_comparison


def create_pipeline() -> Pipeline:
    """Trains what is not trained yet, and tests every experiment against the reference."""
    each = Pipeline(
        [
            CORPUS_CHECK,
            Node(
                experiment_tables,
                {
                    **CORPUS,
                    "clips": "clips",
                    "audit": "audit",
                    "features_audit": "features_audit",
                    "cache": "features_cache",
                    "encoders": "finetuned",
                    "kept": "kept_features",
                    "parameters": "params:compare",
                },
                "experiment_tables",
                name="experiment_tables",
            ),
            Node(
                train_experiments,
                {
                    "utterances": "utterances",
                    "description": "description",
                    "audit": "audit",
                    "made": "experiment_tables",
                    "models": "all_models",
                    "parameters": "params:compare",
                },
                ["compared_predictions", "compared_summary"],
                name="train_experiments",
            ),
            Node(
                compare_experiments,
                {
                    "predictions": "compared_predictions",
                    "summary": "compared_summary",
                    "utterances": "utterances",
                    "parameters": "params:compare",
                },
                "comparison",
                name="compare_experiments",
            ),
            Node(
                compare_modalities,
                {
                    "predictions": "compared_predictions",
                    "summary": "compared_summary",
                    "utterances": "utterances",
                    "parameters": "params:compare",
                },
                "compared_modalities",
                name="compare_modalities",
            ),
        ]
    )
    read = ("comparison", "compared_summary", "compared_modalities")
    inputs = [f"{corpus}.{name}" for corpus in corpora() for name in read]
    with warnings.catch_warnings():
        # The one node that reads across namespaces.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        page = Node(
            write_comparison,
            ["params:compare", *inputs],
            ["comparison", "comparison_page"],
            name="write_comparison",
            tags=[ACCEPTS_MISSING],
        )
    return per_corpus(each) + Pipeline([page])
