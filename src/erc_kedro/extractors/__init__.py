"""From an utterance's words, voice and face to a vector; nothing here knows a corpus.

To add an extractor, write a class that follows ``base.Extractor``; docs/features.md shows one.
"""

from importlib import import_module
from typing import Any

from erc_kedro.extractors.base import ExtractionError
from erc_kedro.parameters import EXTRACTORS


def build(modality: str, parameters: Any, **context: Any) -> Any:
    """The extractor that ``parameters.extractor`` names, as its class makes it from the parameters.

    The name is one of ``parameters.EXTRACTORS``, or ``package.module:Class`` for one that lives elsewhere.

    Raises:
        ExtractionError: there is no such class, or it cannot be made: no such model, say.
    """
    where = EXTRACTORS[modality].get(parameters.extractor, parameters.extractor)
    module, name = where.split(":")
    try:
        made = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ExtractionError(
            f"features.{modality}.extractor: {where} cannot be imported ({error})"
        ) from error
    try:
        return made(parameters, **context)
    except ValueError as error:
        raise ExtractionError(str(error)) from error
