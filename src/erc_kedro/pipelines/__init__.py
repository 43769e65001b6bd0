"""One package a runnable name; a node reads like a sentence and calls the rooms below."""

from kedro.pipeline import Pipeline

from erc_kedro.config import active_corpora as corpora

# What every node that trains or loads models reads of its corpus.
CORPUS = {
    "utterances": "utterances",
    "text": "text_features",
    "audio": "audio_features",
    "visual": "visual_features",
    "card": "card",
}


def per_corpus(pipeline: Pipeline) -> Pipeline:
    """The same pipeline once for each corpus, in its namespace."""
    return sum((Pipeline(pipeline, namespace=corpus) for corpus in corpora()), Pipeline([]))


__all__ = ["CORPUS", "corpora", "per_corpus"]
