"""One package a runnable name; a node reads like a sentence and calls the rooms below."""

from functools import cache
from pathlib import Path

from kedro.pipeline import Pipeline

from erc_kedro.config import active_corpora


@cache
def corpora() -> tuple[str, ...]:
    """The corpora that pipelines are built for."""
    return tuple(active_corpora(Path(__file__).resolve().parents[3] / "conf"))


def per_corpus(pipeline: Pipeline) -> Pipeline:
    """The same pipeline once for each corpus, in its namespace."""
    return sum((Pipeline(pipeline, namespace=corpus) for corpus in corpora()), Pipeline([]))
