"""Parameters of the compare stage."""

from typing import Any

from pydantic import Field, ValidationError, model_validator

from erc_kedro.parameters.base import Parameters
from erc_kedro.parameters.features import FeatureParameters
from erc_kedro.parameters.finetune import FinetuneParameters
from erc_kedro.parameters.train import TrainParameters, with_settings


class CompareParameters(Parameters):
    """Experiments side by side, on one corpus."""

    # The one that every other is tested against.
    reference: str
    draws: int = Field(ge=100)
    # Settings, nested as in `train`, of which validation chooses, for each experiment and fold.
    search: tuple[dict[str, Any], ...]
    # Filled in from experiments/*.yml: what each trains, on which features, and what makes their encoder; and
    # why others cannot be compared.
    experiments: dict[str, TrainParameters]
    features: dict[str, FeatureParameters]
    finetune: dict[str, FinetuneParameters]
    refused: dict[str, str]

    @model_validator(mode="after")
    def _searchable(self) -> "CompareParameters":
        for name, base in self.experiments.items():
            for number, settings in enumerate(self.search, 1):
                try:
                    with_settings(base, settings)
                except ValidationError as error:
                    first = error.errors()[0]
                    where = ".".join(map(str, first["loc"]))
                    raise ValueError(
                        f"compare.search, number {number}, does not suit {name}: {where}: {first['msg']}"
                    ) from error
        return self
