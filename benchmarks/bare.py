"""Training as a plain script does it: read a corpus's tables, fit one seed. Run in a project's folder.

``python bare.py FOLDER CORPUS PARAMETERS``: the project's data folder, and ``TrainParameters``
as JSON. It prints the epochs' seconds and validation scores as JSON.
"""

import json
import sys
import tempfile
from pathlib import Path

import pandas as pd

from erc_kedro.parameters import TrainParameters
from erc_kedro.schemas import MODALITIES
from erc_kedro.training.batches import assemble
from erc_kedro.training.loop import train_model


def main(data: Path, corpus: str, parameters: TrainParameters) -> dict[str, list[float]]:
    """Fits seed 0 in a folder that is thrown away."""
    utterances = pd.read_parquet(data / "03_primary" / corpus / "utterances.parquet")
    features = {
        name: pd.read_parquet(data / "04_feature" / corpus / f"{name}.parquet") for name in MODALITIES
    }
    description = json.loads((data / "03_primary" / corpus / "description.json").read_text("utf-8"))
    dialogues = assemble(utterances, features, description["labels"], parameters.scaling)
    with tempfile.TemporaryDirectory() as folder:
        history = train_model(dialogues, parameters, 0, Path(folder)).history
    return {name: history[name].tolist() for name in ("seconds", "val_loss")}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], TrainParameters(**json.loads(sys.argv[3])))))
