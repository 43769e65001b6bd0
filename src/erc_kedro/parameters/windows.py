"""What a text encoder is shown of an utterance: parameters that features and fine-tuning share."""

from string import Formatter
from typing import Literal

from pydantic import Field, model_validator

from erc_kedro.parameters.base import Parameters

Pooling = Literal["mean", "cls", "last_four", "own", "mask", "log_probabilities"]


class WindowParameters(Parameters):
    """What an encoder is shown of an utterance and of what is said around it, and what becomes its vector."""

    # The mean over the utterance's tokens, of the last layer or the last four; or cls, the first token; or
    # own, the mean of the last layer without special tokens; or mask, the vector at the question's mask.
    # Several are put beside each other. log_probabilities are those of a fine-tuned encoder's head.
    pooling: Pooling | tuple[Pooling, ...]
    # How many of the utterances before and after it are shown, and whether with speakers' names, or with
    # letters, which are the same for speakers that training never heard: A is who speaks first in the
    # dialogue, and so on. With any following ones a prediction is no longer causal.
    context: int = Field(ge=0)
    following: int = Field(ge=0)
    speaker_names: bool | Literal["letters"]
    # How an utterance reads where its speaker is shown; elsewhere it is the text alone.
    template: str
    # What is asked after the utterance, answered by the vector at the encoder's mask; null: nothing.
    question: str | None

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
