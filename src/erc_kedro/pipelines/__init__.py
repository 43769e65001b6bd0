"""One package a runnable name; a node reads like a sentence and calls the rooms below."""

from kedro.pipeline import Pipeline

from erc_kedro.config import active_corpora as corpora


def per_corpus(pipeline: Pipeline) -> Pipeline:
    """The same pipeline once for each corpus, in its namespace."""
    return sum((Pipeline(pipeline, namespace=corpus) for corpus in corpora()), Pipeline([]))


__all__ = ["corpora", "per_corpus"]
