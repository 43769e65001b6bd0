"""One package a runnable name; a node reads like a sentence and calls the rooms below."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kedro.pipeline import Node, Pipeline

from erc_kedro.config import active_corpora as corpora

# What every node that trains or loads models reads of its corpus.
CORPUS = {
    "utterances": "utterances",
    "text": "text_features",
    "audio": "audio_features",
    "visual": "visual_features",
    "description": "description",
}


def check_corpus(audit: dict[str, Any], cache: Path) -> Path:
    """Refuses a corpus that cannot be learned from; features that are asked for with training wait for it."""
    from erc_kedro.audit.checks import refuse_training

    refuse_training(audit)
    return cache


# In every pipeline that learns: extraction takes hours, and is in vain for a corpus that training refuses.
CORPUS_CHECK = Node(check_corpus, ["audit", "extraction_cache"], "features_cache", name="check_corpus")


def per_corpus(pipeline: Pipeline, shared: Sequence[str] = ()) -> Pipeline:
    """The same pipeline once for each corpus, in its namespace.

    Args:
        shared: parameters that are the same for all.
    """
    each = (Pipeline(pipeline, namespace=corpus, parameters={*shared}) for corpus in corpora())
    return sum(each, Pipeline([]))


__all__ = ["CORPUS", "CORPUS_CHECK", "corpora", "per_corpus"]
