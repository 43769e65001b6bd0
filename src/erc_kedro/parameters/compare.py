"""Parameters of the compare stage."""

from pydantic import Field

from erc_kedro.parameters.base import Parameters
from erc_kedro.parameters.features import FeatureParameters
from erc_kedro.parameters.finetune import FinetuneParameters
from erc_kedro.parameters.train import TrainParameters


class CompareParameters(Parameters):
    """Experiments side by side, on one corpus."""

    # The one that every other is tested against.
    reference: str
    draws: int = Field(ge=100)
    # Filled in from experiments/*.yml: what each trains, on which features, and what makes their encoder; and
    # why others cannot be compared.
    experiments: dict[str, TrainParameters]
    features: dict[str, FeatureParameters]
    finetune: dict[str, FinetuneParameters]
    refused: dict[str, str]
