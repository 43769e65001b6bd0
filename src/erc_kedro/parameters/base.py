"""What all parameters have in common."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Weight = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Modality = Literal["text", "audio", "visual"]


class Parameters(BaseModel):
    """The base of all: an unknown name is an error, and so is a missing one.

    Defaults are in conf/base alone. Only of a block that stands there as null or not at all (``lora``, a
    dimension of ``space``) are they here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
