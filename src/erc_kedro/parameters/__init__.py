"""Typed parameters: Kedro builds these from configuration and refuses a wrong value before any node runs.

Their defaults are in conf/base, and nowhere else.
"""

from erc_kedro.parameters.base import Parameters
from erc_kedro.parameters.compare import CompareParameters
from erc_kedro.parameters.demo import DemoParameters
from erc_kedro.parameters.features import (
    EXTRACTORS,
    AudioParameters,
    FeatureParameters,
    RunnerParameters,
    TextParameters,
    VisualParameters,
    WorkerParameters,
)
from erc_kedro.parameters.finetune import FinetuneParameters, LoraParameters
from erc_kedro.parameters.ingestion import IngestionParameters, ProtocolParameters
from erc_kedro.parameters.score import ScoreParameters
from erc_kedro.parameters.train import (
    ARCHITECTURES,
    LossParameters,
    ModelParameters,
    TrainParameters,
    with_settings,
)
from erc_kedro.parameters.transfer import TransferParameters
from erc_kedro.parameters.tune import NOT_LEARNED, OWN_SETTINGS, Dimension, TuneParameters, nested, value_of
from erc_kedro.parameters.windows import WindowParameters

__all__ = [
    "ARCHITECTURES",
    "EXTRACTORS",
    "NOT_LEARNED",
    "OWN_SETTINGS",
    "AudioParameters",
    "CompareParameters",
    "DemoParameters",
    "Dimension",
    "FeatureParameters",
    "FinetuneParameters",
    "IngestionParameters",
    "LoraParameters",
    "LossParameters",
    "ModelParameters",
    "Parameters",
    "ProtocolParameters",
    "RunnerParameters",
    "ScoreParameters",
    "TextParameters",
    "TrainParameters",
    "TransferParameters",
    "TuneParameters",
    "VisualParameters",
    "WindowParameters",
    "WorkerParameters",
    "nested",
    "value_of",
    "with_settings",
]
