"""What is on disk, as figures and pages; nothing is trained here."""

import warnings

from kedro.pipeline import Node, Pipeline

from erc_kedro.hooks import ACCEPTS_MISSING
from erc_kedro.pipelines import CORPUS, corpora, per_corpus
from erc_kedro.pipelines.reporting.nodes import (
    FIGURES,
    compare_runs,
    draw_figures,
    evaluate_results,
    gather_results,
    inspect_networks,
    write_report,
)


def create_pipeline() -> Pipeline:
    """Inspects each corpus's networks, computes and draws its results, and writes the pages over all."""
    inspected = ["shown_contributions", "degraded", "layout"]
    each = Pipeline(
        [
            Node(
                inspect_networks,
                {
                    **CORPUS,
                    "predictions": "predictions",
                    "training_summary": "training_summary",
                    "models": "models",
                },
                inspected,
                name="inspect_networks",
                tags=[ACCEPTS_MISSING],
            ),
            Node(
                gather_results,
                [
                    "utterances",
                    "description",
                    "audit",
                    "features_audit",
                    "predictions",
                    "metrics",
                    "history",
                    "training_summary",
                    "tuning",
                    "comparison",
                    "compared_summary",
                    *inspected,
                    "models",
                ],
                "gathered",
                name="gather_results",
                tags=[ACCEPTS_MISSING],
            ),
            Node(evaluate_results, "gathered", "results", name="evaluate_results"),
            Node(
                draw_figures,
                "results",
                ["figures", *(f"{name}_figure" for name in FIGURES)],
                name="draw_figures",
            ),
        ]
    )
    with warnings.catch_warnings():
        # The nodes that read across namespaces.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        pages = [
            Node(
                write_report,
                [
                    "params:experiment",
                    *(f"{corpus}.{made}" for made in ("results", "figures") for corpus in corpora()),
                ],
                ["report", "report_table", "report_tables", "model_cards"],
                name="write_report",
            ),
            Node(
                compare_runs,
                # The report is read so that what it shows is tracked before the runs are listed.
                [
                    "params:runs",
                    "params:experiment",
                    "report_table",
                    *(f"{corpus}.utterances" for corpus in corpora()),
                ],
                ["runs_page", "runs_tables"],
                name="compare_runs",
                tags=[ACCEPTS_MISSING],
            ),
        ]
    return per_corpus(each) + Pipeline(pages)
