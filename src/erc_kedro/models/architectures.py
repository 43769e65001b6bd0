"""Every network that ``model.architecture`` can name, and where it is written."""

from importlib import import_module
from typing import Any

from erc_kedro.models.batch import Network
from erc_kedro.parameters import ModelParameters

ARCHITECTURES = {
    "gated_fusion": ("erc_kedro.models.network", "GatedFusionNetwork"),
    "majority": ("erc_kedro.models.baselines.classical", "Majority"),
    "logistic_regression": ("erc_kedro.models.baselines.classical", "LogisticRegression"),
    "concat_mlp": ("erc_kedro.models.baselines.feedforward", "ConcatMlp"),
    "late_fusion": ("erc_kedro.models.baselines.feedforward", "LateFusion"),
    "bc_lstm": ("erc_kedro.models.baselines.bc_lstm", "BcLstm"),
    "dialogue_rnn": ("erc_kedro.models.baselines.dialogue_rnn", "DialogueRnn"),
    "mmgcn": ("erc_kedro.models.baselines.mmgcn", "Mmgcn"),
    "sdt": ("erc_kedro.models.baselines.sdt", "Sdt"),
}


def build(parameters: ModelParameters, dimensions: list[int], classes: int) -> Network:
    """A new network with random weights.

    Args:
        dimensions: D_m of text, audio and visual features; classes: C.
    """
    network: Network = network_class(parameters.architecture)(parameters, dimensions, classes)
    return network


def network_class(architecture: str) -> Any:
    """The class of an architecture, imported only now."""
    module, name = ARCHITECTURES[architecture]
    return getattr(import_module(module), name)
