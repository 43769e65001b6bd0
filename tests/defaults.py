"""Parameters as conf/base has them but for what is named, so that a test names only what it is about.

``TrainParameters(epochs=2, model={"hidden": 16})`` makes a ``TrainParameters`` of the package: each name here
calls the class of that name. A mapping changes single keys of a block, anything else replaces it.
"""

from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import yaml

from erc_kedro import parameters
from erc_kedro.config import merge

CONF = Path(__file__).resolve().parents[1] / "conf" / "base"
# A test starts no processes of its own, names the whole space that it searches, and has what configuration
# fills in from the chosen experiments.
APART: dict[str, dict[str, Any]] = {
    "train": {"jobs": 1},
    "tune": {"workers": 1, "space": None, "experiment": "full", "experiment_settings": {}},
    "compare": {"experiments": {}, "features": {}, "finetune": {}, "refused": {}},
}

Kind = TypeVar("Kind", bound=parameters.Parameters)


@cache
def stage(name: str) -> dict[str, Any]:
    """A stage's block of conf/base, as tests need it."""
    text = (CONF / f"parameters_{name}.yml").read_text("utf-8")
    return merge(yaml.safe_load(text)[name], APART.get(name))


def _made(kind: type[Kind], where: str, /, **changes: Any) -> Kind:
    name, *path = where.split(".")
    block = stage(name)
    for part in path:
        block = block[part]
    return kind(**merge(block, changes))


IngestionParameters = partial(_made, parameters.IngestionParameters, "ingestion")
ProtocolParameters = partial(_made, parameters.ProtocolParameters, "ingestion.protocol")
TextParameters = partial(_made, parameters.TextParameters, "features.text")
AudioParameters = partial(_made, parameters.AudioParameters, "features.audio")
VisualParameters = partial(_made, parameters.VisualParameters, "features.visual")
RunnerParameters = partial(_made, parameters.RunnerParameters, "features.runner")
FeatureParameters = partial(_made, parameters.FeatureParameters, "features")
FinetuneParameters = partial(_made, parameters.FinetuneParameters, "finetune")
ModelParameters = partial(_made, parameters.ModelParameters, "train.model")
LossParameters = partial(_made, parameters.LossParameters, "train.loss")
TrainParameters = partial(_made, parameters.TrainParameters, "train")
CompareParameters = partial(_made, parameters.CompareParameters, "compare")
ScoreParameters = partial(_made, parameters.ScoreParameters, "score")
TuneParameters = partial(_made, parameters.TuneParameters, "tune")
TransferParameters = partial(_made, parameters.TransferParameters, "transfer")
