"""A corpus with a model that was trained on it in seconds, and its bundle."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from erc_kedro import scoring
from erc_kedro.extractors import text
from erc_kedro.training.batches import Dialogues, assemble
from erc_kedro.training.seeds import train_seeds
from tests import tiny
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TextParameters, TrainParameters

FACTS = {"data_fingerprint": "d", "code_version": "c", "git_revision": "g"}
DESCRIPTION = {
    "name": "Calls",
    "protocol": "manifest",
    "synthetic": False,
    "labels": list(CLASSES),
    "languages": ["en"],
    "speech": "acted",
}


@dataclass
class Trained:
    """What a training has, and the folder of its models.

    Attributes:
        features: by modality; text is what the extractor makes of the utterances, the others were published.
    """

    models: Path
    utterances: pd.DataFrame
    features: dict[str, pd.DataFrame]
    provenance: dict
    data: Dialogues
    parameters: object
    predictions: pd.DataFrame

    @property
    def bundle(self) -> Path:
        return self.models / "bundle"

    def export(self, **changes):
        given = {"provenance": self.provenance, "description": DESCRIPTION, **changes}
        return scoring.export(
            self.models,
            given["description"],
            self.utterances,
            self.features,
            self.data,
            self.parameters,
            given["provenance"],
            self.predictions,
            FACTS,
        )

    def recorded(self, split: str = "test") -> pd.DataFrame:
        """The utterances of a split, as those of recordings."""
        rows = self.utterances[self.utterances["split"] == split].reset_index(drop=True)
        return rows.assign(turn=rows["position"], channel=pd.Series(None, rows.index, dtype="str"))

    def expected(self, utterances: pd.DataFrame):
        """Each seed's probabilities [S, N, C] as training predicted them."""
        rows = self.predictions[self.predictions["head"] == "tav"]
        columns = [f"p_{label}" for label in CLASSES]
        return [
            own.set_index("utterance_id").loc[utterances["utterance_id"], columns].to_numpy()
            for _, own in rows.groupby("seed")
        ]


def train(folder: Path, dialogues: int = 24, encoder: Path | None = None, **changes) -> Trained:
    """Trains two seeds and writes their bundle; text is read by the encoder, or a tiny one."""
    utterances, features = make_corpus(dialogues)
    draw = np.random.default_rng(0)
    utterances["text"] = [" ".join(draw.choice(tiny.WORDS, 3)) for _ in range(len(utterances))]
    asked = TextParameters(encoder=str(encoder or tiny.bert(folder / "encoder")), pooling="own")
    made = text.extract(utterances, asked, folder / "cache")
    features["text"] = features["text"].assign(vector=list(made.vectors))
    extractor = {"name": asked.encoder, "version": made.metadata.version, "licence": "none"}
    records = {
        "text": {"extractor": {**extractor, "settings": asked.model_dump(mode="json")}, "encoder": None},
        **{
            name: {
                "extractor": {"name": f"published:{name}.npz", "version": "1", "settings": {}},
                "encoder": None,
            }
            for name in ("audio", "visual")
        },
    }
    small = {"epochs": 3, "learning_rate": 0.005, "batch_utterances": 32, "seeds": 2}
    parameters = TrainParameters(**{**small, "model": {"hidden": 16, "attention_heads": 2}, **changes})
    data = assemble(utterances, features, CLASSES, parameters.scaling)
    models = folder / "06_models" / "calls" / "full"
    trained = [*train_seeds(data, parameters, models, "calls")]
    predictions = pd.concat([one.predictions for one in trained], ignore_index=True)
    made = Trained(models, utterances, features, records, data, parameters, predictions)
    made.export()
    return made


@pytest.fixture(scope="package")
def trained(tmp_path_factory):
    """Look, do not touch."""
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def model(trained):
    return scoring.load(trained.bundle)
