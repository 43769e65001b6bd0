"""Some corpora teach another one."""

import warnings

from kedro.pipeline import Node, Pipeline

from erc_kedro.config import ConfigError, written_parameters
from erc_kedro.escaping import line
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
    sources, target = _chosen()
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


def _chosen() -> tuple[list[str], str | None]:
    """The corpora that teach another one, and that one: ``from`` and ``to``; none where they are not chosen.

    Raises:
        ConfigError: one of them is no corpus, or is there twice.
    """
    written = written_parameters()
    named, target = written.get("from"), written.get("to")
    if not named or not target:
        return [], None
    sources = named if isinstance(named, list) else [named]
    for key, names in (("from", sources), ("to", [target])):
        for name in names:
            if name not in corpora():
                raise ConfigError(
                    f"{key}: {line(name, 60)} is no corpus; globals.yml has {', '.join(corpora())}"
                )
    if len({*sources, target}) <= len(sources):
        raise ConfigError(
            f"from, to: {', '.join(sources)} to {target}; name each corpus once, the one in `to` there alone"
        )
    return list(sources), target
