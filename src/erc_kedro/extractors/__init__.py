"""From an utterance's words, voice and face to a vector; nothing here knows a corpus.

To add an extractor, write a class that follows ``base.Extractor`` and name it below; docs/features.md shows
one.
"""

from importlib import import_module
from typing import Any

# By modality and by name in the parameters; imported only when chosen.
EXTRACTORS = {
    "text": {
        "transformers": "erc_kedro.extractors.text:Transformer",
        "tfidf": "erc_kedro.extractors.text:TfidfSvd",
    },
    "audio": {
        "librosa": "erc_kedro.extractors.audio:LibrosaFunctionals",
        "egemaps": "erc_kedro.extractors.audio:Egemaps",
        "compare": "erc_kedro.extractors.audio:Compare",
        "transformers": "erc_kedro.extractors.audio:SpeechTransformer",
    },
    "visual": {
        "opencv": "erc_kedro.extractors.visual:FaceDescriptor",
        "transformers": "erc_kedro.extractors.visual:FaceTransformer",
    },
}


def build(modality: str, parameters: Any, **context: Any) -> Any:
    """The extractor that ``parameters.extractor`` names, as its class makes it from the parameters.

    The name is one of ``EXTRACTORS``, or ``package.module:Class`` for one that lives elsewhere.
    """
    where = EXTRACTORS[modality].get(parameters.extractor, parameters.extractor)
    module, name = where.split(":")
    return getattr(import_module(module), name)(parameters, **context)
