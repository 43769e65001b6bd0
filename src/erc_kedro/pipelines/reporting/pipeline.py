"""What is on disk, as figures and one page; nothing is trained here."""

import warnings

from kedro.pipeline import Node, Pipeline

from erc_kedro.hooks import ACCEPTS_MISSING
from erc_kedro.pipelines import corpora, per_corpus
from erc_kedro.pipelines.reporting.nodes import draw_figures, gather_results, write_report


def create_pipeline() -> Pipeline:
    """Draws each corpus's figures and writes the page over all corpora, as far as they have been made."""
    each = Pipeline(
        [
            Node(
                gather_results,
                [
                    "utterances",
                    "card",
                    "audit",
                    "features_audit",
                    "predictions",
                    "metrics",
                    "history",
                    "training_card",
                    "tuning",
                ],
                "results",
                name="gather_results",
                tags=[ACCEPTS_MISSING],
            ),
            Node(
                draw_figures,
                "results",
                ["confusion_figure", "per_class_figure", "learning_curves_figure"],
                name="draw_figures",
            ),
        ]
    )
    with warnings.catch_warnings():
        # The one node that reads across namespaces.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        page = Node(
            write_report,
            ["params:experiment", *(f"{corpus}.results" for corpus in corpora())],
            ["report", "report_table"],
            name="write_report",
        )
    return per_corpus(each) + Pipeline([page])
