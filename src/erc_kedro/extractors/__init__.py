"""From an utterance's words, voice and face to a vector; nothing here knows a corpus.

To add an extractor, write a class that follows ``base.Extractor``; docs/features.md shows one.
"""

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from erc_kedro.extractors.base import Card, ExtractionError, fingerprint
from erc_kedro.parameters import EXTRACTORS

logger = logging.getLogger(__name__)


def resolved(parameters: Any) -> Any:
    """``extractor: auto`` of the voice as the names of what is installed; other parameters as they are."""
    if parameters.extractor != "auto":
        return parameters
    from erc_kedro.extractors import whisper

    if whisper.installed():
        return parameters.model_copy(update={"extractor": ("librosa", "whisper")})
    logger.info(
        'features.audio.extractor: auto is librosa alone; with pip install -e ".[whisper]" a Whisper '
        "listens beside it"
    )
    return parameters.model_copy(update={"extractor": "librosa"})


def build(modality: str, parameters: Any, **context: Any) -> Any:
    """The extractor that ``parameters.extractor`` names, as its class makes it from the parameters.

    The name is one of ``parameters.EXTRACTORS``, or ``package.module:Class`` for one that lives elsewhere.
    Several names make one extractor of them all.

    Raises:
        ExtractionError: there is no such class, or it cannot be made: no such model, say.
    """
    parameters = resolved(parameters)
    if not isinstance(parameters.extractor, str):
        each = [parameters.model_copy(update={"extractor": name}) for name in parameters.extractor]
        return Several([build(modality, one, **context) for one in each])
    where = EXTRACTORS[modality].get(parameters.extractor, parameters.extractor)
    module, name = where.split(":")
    try:
        made = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ExtractionError(
            f"features.{modality}.extractor: {where} cannot be imported ({error})"
        ) from error
    try:
        extractor = made(parameters, **context)
    except (ValueError, TypeError) as error:
        raise ExtractionError(f"features.{modality}.extractor: {error}") from error
    if not isinstance(getattr(extractor, "card", None), Card):
        raise ExtractionError(
            f"features.{modality}.extractor: {where} has no `card`; docs/features.md says what one needs"
        )
    return extractor


class Several:
    """Extractors of one modality, whose vectors are put beside each other; what stops one stops all."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts
        cards = [part.card for part in parts]
        self.card = Card(
            " + ".join(card.name for card in cards),
            sum(card.dimension for card in cards),
            "; ".join(card.licence for card in cards),
            fingerprint(*(f"{card.name} {card.dimension} {card.version}" for card in cards)),
        )

    def __call__(self, signals: Sequence[Any]) -> np.ndarray:
        return np.hstack([checked(part(signals), len(signals), part.card) for part in self._parts])


def identity(card: Card, parameters: Any) -> str:
    """All that a vector depends on besides its signal; part of the cache's key."""
    settings = parameters.model_dump_json(exclude={"path", "field", "batch_size"})
    return f"{card.name} {card.dimension} {card.version} {settings}"


def checked(vectors: Any, count: int, card: Card) -> np.ndarray:
    """What an extractor returned, as float32 [count, card.dimension].

    Raises:
        ValueError: it has another shape, or numbers that are not finite.
    """
    made = np.asarray(vectors, np.float32)
    if made.shape != (count, card.dimension):
        raise ValueError(
            f"{card.name} gave numbers of shape {made.shape} where {(count, card.dimension)} was declared"
        )
    if not np.isfinite(made).all():
        raise ValueError(f"{card.name} gave numbers that are not finite")
    return made
