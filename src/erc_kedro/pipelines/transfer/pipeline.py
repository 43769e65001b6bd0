"""Some corpora teach another one."""

import warnings

from kedro.pipeline import Node, Pipeline

from erc_kedro.config import transfer_corpora
from erc_kedro.pipelines import CORPUS, corpora
from erc_kedro.pipelines.transfer.nodes import (
    compare_arms,
    read_labels,
    share_corpus,
    train_arms,
)


def create_pipeline() -> Pipeline:
    """Trains on the corpora in ``from`` and tests on the one in ``to``, beside what ``to`` alone gives.

    Before they are chosen, as in a list of pipelines, it is drawn for all corpora.
    """
    sources, target = transfer_corpora()
    used = corpora() if target is None else [*sources, target]
    name = "source_to_target" if target is None else f"{'_'.join(sources)}_to_{target}"
    share = Pipeline(
        [
            Node(
                share_corpus,
                {
                    **CORPUS,
                    "audit": "audit",
                    "features_audit": "features_audit",
                    "train": "params:train",
                    "corpus": "all_models",
                    "labels": "transfer_labels",
                },
                "shared",
                name="share_corpus",
            )
        ]
    )
    each = (Pipeline(share, namespace=corpus, inputs={"transfer_labels"}) for corpus in used)
    with warnings.catch_warnings():
        # Nodes that read across namespaces.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        chosen = ["params:from", "params:to", "params:labels"]
        first = Node(read_labels, chosen, "transfer_labels", name="read_labels")
        train = Node(
            train_arms,
            {
                "labels": "transfer_labels",
                "parameters": "params:transfer",
                "train": f"params:{target or used[-1]}.train",
                "models": f"{name}.transfer_models",
                **{f"corpus{at}": f"{corpus}.shared" for at, corpus in enumerate(used)},
            },
            [f"{name}.transfer_predictions", f"{name}.transfer_summary"],
            name="train_arms",
        )
        page = Node(
            compare_arms,
            {
                "predictions": f"{name}.transfer_predictions",
                "summary": f"{name}.transfer_summary",
                "utterances": f"{target or used[-1]}.utterances",
                "parameters": "params:transfer",
                "folder": "transfer_pages",
            },
            [f"{name}.transfer_table", f"{name}.transfer_page"],
            name="compare_arms",
        )
        return sum(each, Pipeline([first, train, page]))
