"""Parameters of the train stage: model, loss, optimisation and selection."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from erc_kedro import dotted
from erc_kedro.parameters.base import Modality, Parameters, Probability, Weight

Scaling = Literal["train", "speaker", "speaker_past", "none"]

# Networks by name, and where their classes live; imported only when chosen.
ARCHITECTURES = {
    "gated_fusion": "erc_kedro.models.network:GatedFusionNetwork",
    "majority": "erc_kedro.models.baselines.classical:Majority",
    "logistic_regression": "erc_kedro.models.baselines.classical:LogisticRegression",
    "concat_mlp": "erc_kedro.models.baselines.feedforward:ConcatMlp",
    "late_fusion": "erc_kedro.models.baselines.feedforward:LateFusion",
    "bc_lstm": "erc_kedro.models.baselines.bc_lstm:BcLstm",
    "dialogue_rnn": "erc_kedro.models.baselines.dialogue_rnn:DialogueRnn",
    "mmgcn": "erc_kedro.models.baselines.mmgcn:Mmgcn",
    "sdt": "erc_kedro.models.baselines.sdt:Sdt",
}


class ModelParameters(Parameters):
    """The network (docs/model.md); each part has its switch.

    A baseline reads the sizes, dropout and modalities; the switches belong to ``gated_fusion``, and
    ``settings`` to networks that are none of these.
    """

    # One of ARCHITECTURES, or one's own as package.module:Class (docs/adding-a-model.md).
    architecture: str
    # Its own parameters: names and types are those of the class's Settings.
    settings: dict[str, Any]
    hidden: int = Field(ge=8)
    attention_heads: int = Field(ge=1)
    layers: int = Field(ge=1)
    dropout: Probability
    context_encoder: Literal["transformer", "gru"]
    causal: bool
    # With gru: a second track over each speaker's own turns.
    speaker_track: bool
    gates: bool
    guide: bool
    guide_dropout: Probability
    fusion: Literal["gated", "concat"]
    # What each modality's features say without a hidden layer is added to the heads' logits.
    linear_path: bool
    modalities: tuple[Modality, ...]

    @field_validator("architecture")
    @classmethod
    def _known(cls, name: str) -> str:
        return dotted.known(name, ARCHITECTURES, "architecture")

    @model_validator(mode="after")
    def _divisible(self) -> "ModelParameters":
        if self.hidden % (2 * self.attention_heads):
            raise ValueError(
                f"hidden ({self.hidden}) must be a multiple of twice attention_heads ({self.attention_heads})"
            )
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ValueError(
                "modalities must name each of text, audio, visual at most once, and one at least"
            )
        if self.causal and self.architecture in ARCHITECTURES and self.architecture != "gated_fusion":
            raise ValueError(f"{self.architecture} sees the whole dialogue; causal is for gated_fusion")
        return self


class LossWeights(Parameters):
    """A weight for each term but the prediction's own; 0 switches a term off and skips its computation.

    A name begins with what supervises: the labels, the teacher (which sees all modalities), or pairs of them.
    """

    label_to_pair: Weight
    label_to_single: Weight
    teacher_to_pair: Weight
    teacher_to_single: Weight
    pair_to_single: Weight
    # Only with supervision: mutual.
    student_to_teacher: Weight
    consistency: Weight
    redundancy: Weight


class LossParameters(Parameters):
    """The loss (docs/model.md#loss)."""

    weights: LossWeights
    temperature: float = Field(gt=0)
    supervision: Literal["teacher", "mutual"]
    class_weighting: Literal["none", "balanced", "sqrt"]
    focal_gamma: Weight
    label_smoothing: Probability


def with_settings(base: "TrainParameters", settings: Mapping[str, Any]) -> "TrainParameters":
    """The base with some parameters changed, nested as they are in YAML.

    Raises:
        pydantic.ValidationError: naming a parameter that is not there, or what does not fit together.
    """
    if not settings:
        return base
    return TrainParameters.model_validate(_merged(base.model_dump(), settings))


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        mapping = isinstance(value, Mapping) and isinstance(base.get(name), Mapping)
        merged[name] = _merged(base[name], value) if mapping else value
    return merged


class TrainParameters(Parameters):
    """One experiment: model, loss, optimisation and selection."""

    seeds: int = Field(ge=1)
    epochs: int = Field(ge=1)
    # Epochs without a better validation weighted F1 before training stops.
    patience: int = Field(ge=1)
    # Which epoch is kept: that with the best validation weighted F1, or the last of all.
    selection: Literal["validation", "last"]
    learning_rate: float = Field(gt=0)
    weight_decay: Weight
    warmup_epochs: int = Field(ge=0)
    gradient_clip: float = Field(gt=0)
    # Decay of the moving average of weights that is scored and kept; 0 keeps each step's own weights.
    averaging: Probability
    # Utterances in a batch, padding included.
    batch_utterances: int = Field(ge=1)
    # The chance that a training dialogue loses one or two of its modalities for a step.
    modality_dropout: Probability
    # How each modality is scaled: statistics of training utterances; or of each speaker's own utterances (no
    # labels, but all that a speaker says in a split, later utterances and test included); or of what the
    # speaker has said so far in the dialogue, which is what `speaker` becomes for a causal model; or not
    # at all.
    scaling: dict[Modality, Scaling]
    # Modalities that the trained model is not shown when it predicts.
    withhold: tuple[Modality, ...]
    # Threads that train one seed, and how many seeds are trained at once.
    threads: int = Field(ge=1)
    jobs: int = Field(ge=1)
    model: ModelParameters
    loss: LossParameters
    # What one fold's models have instead, by the fold's name: what a search chose on that fold's validation.
    in_fold: dict[str, dict[str, Any]]

    def of_fold(self, name: str) -> "TrainParameters":
        """What one fold's models have.

        Raises:
            pydantic.ValidationError: ``in_fold`` has what does not fit together.
        """
        own = with_settings(self, self.in_fold.get(name, {}))
        return own.model_copy(update={"in_fold": {}})

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
