"""Parameters of the train stage: model, loss, optimisation and selection."""

from typing import Literal

from pydantic import Field, model_validator

from erc_kedro.parameters.base import Modality, Parameters, Probability, Weight

Scaling = Literal["train", "speaker", "speaker_past", "none"]


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
    modalities: tuple[Modality, ...] = ("text", "audio", "visual")

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
    scaling: dict[Modality, Scaling] = Field(default_factory=dict)
    # Modalities that the trained model is not shown when it predicts.
    withhold: tuple[Modality, ...] = ()
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
