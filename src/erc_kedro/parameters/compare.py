"""Parameters of the compare stage."""

from pydantic import Field

from erc_kedro.parameters.base import Parameters
from erc_kedro.parameters.train import TrainParameters


class CompareParameters(Parameters):
    """Experiments side by side, on one corpus."""

    # The one that every other is tested against.
    reference: str
    draws: int = Field(ge=100)
    # What each experiment trains, filled in from experiments/*.yml; and why others cannot be compared.
    experiments: dict[str, TrainParameters]
    refused: dict[str, str]
