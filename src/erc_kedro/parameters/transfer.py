"""Parameters of learning on some corpora for another one."""

from typing import Annotated

from pydantic import Field, field_validator

from erc_kedro.parameters.base import Modality, Parameters
from erc_kedro.parameters.train import Scaling


class TransferParameters(Parameters):
    """From corpora with labels to one that has few or none."""

    # How many of the target's training dialogues networks are fine-tuned on, and trained on alone.
    dialogues: tuple[Annotated[int, Field(ge=1)], ...]
    # As TrainParameters.scaling, whose place it takes: a corpus's own statistics would be the target's, test
    # included.
    scaling: dict[Modality, Scaling]
    draws: int = Field(ge=100)

    @field_validator("dialogues")
    @classmethod
    def _each_once(cls, dialogues: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(dialogues)))
