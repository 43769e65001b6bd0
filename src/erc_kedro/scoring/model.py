"""A bundle in use: from a recording's utterances to probabilities."""

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.torch import load_file

from erc_kedro import schemas
from erc_kedro.errors import PlainError
from erc_kedro.escaping import line
from erc_kedro.models.architectures import build
from erc_kedro.models.base import Network
from erc_kedro.parameters import TrainParameters, WorkerParameters
from erc_kedro.processes import draws_alone
from erc_kedro.schemas import MODALITIES
from erc_kedro.scoring import bundle, probe
from erc_kedro.scoring.bundle import BundleError, Card
from erc_kedro.scoring.confidence import ACCURACY, Threshold, ensemble, threshold
from erc_kedro.scoring.distance import FAR, Distance, share_nearer
from erc_kedro.scoring.extraction import ALONE, Extraction, Features
from erc_kedro.scoring.tables import utterances_of
from erc_kedro.training.batches import Dialogues, assemble
from erc_kedro.training.loop import predict
from erc_kedro.training.scaling import Statistics


class Model:
    """A trained model, ready for recordings.

    Attributes:
        folder: of its bundle.
        card: what the bundle says of itself.
    """

    def __init__(self, folder: Path, allow: Collection[str] = ()) -> None:
        """Reads and checks a bundle; ``load`` says what it may raise."""
        self.folder = folder
        try:
            self._read(allow)
        except PlainError:
            raise
        except Exception as error:
            raise BundleError(
                f"{folder} cannot be used as it stands ({type(error).__name__}: {line(error, 300)}); copy "
                "the whole bundle again, or train it anew"
            ) from error

    def _read(self, allow: Collection[str]) -> None:
        self.card: Card = bundle.read(self.folder)
        bundle.check_allowed(self.folder, "network", self.card.architecture, allow)
        self._networks = self._built()
        found = bundle.arrays(self.folder, bundle.STATISTICS)
        self._validation = bundle.arrays(self.folder, bundle.VALIDATION)
        if self._validation["confidence"].shape != self._validation["correct"].shape:
            raise ValueError(f"the arrays of {bundle.VALIDATION} do not fit together")
        self._statistics: dict[str, Statistics | None] = dict.fromkeys(MODALITIES)
        self._distances = {}
        for modality, width in zip(MODALITIES, self.card.dimensions, strict=True):
            if modality in self.card.modalities:
                own = _of(found, modality)
                if not _fit(own, width):
                    raise ValueError(f"the {modality} arrays of {bundle.STATISTICS} are no such statistics")
                known = Statistics(own.pop("mean"), own.pop("deviation"))
                self._statistics[modality] = known
                self._distances[modality] = Distance(known, own)
        self.extraction = Extraction(self.folder, self.card, allow)

    @draws_alone
    def _built(self) -> list[Network]:
        parameters = TrainParameters(**self.card.parameters)
        networks = []
        for seed in self.card.seeds:
            network = build(parameters.model, self.card.dimensions, len(self.card.labels))
            try:
                network.load_state_dict(load_file(self.folder / seed.file))
            except RuntimeError as error:
                raise self._of_other_code() from error
            networks.append(network.eval())
        if not probe.same(networks, bundle.arrays(self.folder, bundle.PROBE)):
            raise self._of_other_code()
        return networks

    def _of_other_code(self) -> BundleError:
        made, name = self.card.requirements, self.card.architecture
        code = f", and {name} as it was in training" if ":" in name else ""
        return BundleError(
            f"{self.folder}: its networks would answer otherwise here than in training; install what it was "
            f"made with: erc-kedro=={made['erc-kedro']}, torch=={made['torch']}{code}"
        )

    @property
    def labels(self) -> list[str]:
        """In the order of the probabilities."""
        return self.card.labels

    @property
    def scaling(self) -> dict[str, str]:
        """How each modality of a recording is scaled.

        What a speaker says in one recording tells little of that speaker's scale, and much of the mood: where
        training had all that a speaker says (``speaker``), a recording is scaled by training's statistics,
        which lost far less of the accuracy (docs/decisions/0018-scoring.md).
        """
        return {name: "train" if how == "speaker" else how for name, how in self.card.scaling.items()}

    def threshold(self, accuracy: float) -> Threshold:
        """The confidence from which validation's utterances were right as often as asked."""
        known = self._validation
        return threshold(known["confidence"], known["correct"], accuracy)

    def features(
        self, utterances: pd.DataFrame, cache: Path | None = None, workers: WorkerParameters = ALONE
    ) -> Features:
        """Features of every modality, as training made them.

        Args:
            utterances: ``schemas.recorded``, of as many recordings as one likes.
            cache: a folder that keeps vectors by content; without it, nothing is kept.
            workers: where media are decoded.
        """
        if cache is not None:
            return self.extraction.features(utterances, cache, workers)
        with tempfile.TemporaryDirectory() as folder:
            return self.extraction.features(utterances, Path(folder), workers)

    def predictions(self, utterances: pd.DataFrame, features: Mapping[str, pd.DataFrame]) -> np.ndarray:
        """Each seed's own probabilities, not calibrated: float32 [S, N, C], in the table's order.

        Args:
            utterances: ``schemas.recorded`` of as many recordings as one likes.
            features: by modality, of these utterances.
        """
        data = self._assembled(utterances, features)
        rows = pd.Index(data.utterance_id).get_indexer(pd.Index(utterances["utterance_id"]))
        columns = [f"p_{label}" for label in self.labels]
        each = []
        for network in self._networks:
            made = predict(network, data)
            each.append(made[made["head"] == network.heads[-1]][columns].to_numpy()[rows])
        return np.stack(each)

    def _assembled(self, utterances: pd.DataFrame, features: Mapping[str, pd.DataFrame]) -> Dialogues:
        for modality, width in zip(MODALITIES, self.card.dimensions, strict=True):
            made = len(features[modality]["vector"].iloc[0])
            if made != width:
                raise BundleError(
                    f"{self.folder}: {modality} features of {made} numbers where training had {width}; give "
                    "those of the extractor that the bundle names"
                )
        unlabelled = utterances.assign(label=pd.Series(None, utterances.index, dtype="str"))
        data = assemble(unlabelled, features, self.labels, self.scaling, self._statistics)
        return data.only(self.card.modalities)

    def timeline(
        self, utterances: pd.DataFrame, features: Mapping[str, pd.DataFrame], accuracy: float
    ) -> pd.DataFrame:
        """Who felt what when (``schemas.timeline``), in the order of the utterances.

        Args:
            utterances: ``schemas.recorded`` of as many recordings as one likes.
            features: by modality, of these utterances and perhaps others.
            accuracy: of what is decided.
        """
        ids = utterances["utterance_id"]
        own = {
            name: table.set_index("utterance_id").loc[ids].reset_index() for name, table in features.items()
        }
        each = self.predictions(utterances, own)
        mean = ensemble(each, [seed.temperature for seed in self.card.seeds])
        made = utterances[["turn", "utterance_id", "position", "speaker", "start_s", "end_s", "text"]]
        made = made.reset_index(drop=True)
        made.insert(0, "recording", utterances["dialogue_id"].to_numpy())
        there = np.any([own[name]["present"].to_numpy(bool) for name in self.card.modalities], axis=0)
        order = np.argsort(-mean, axis=1, kind="stable")
        names = np.array(self.labels, object)
        confidence = mean.max(1)
        least = self.threshold(accuracy).value
        sure = np.zeros(len(mean), bool) if least is None else confidence >= least
        made["emotion"] = pd.Series(names[order[:, 0]], dtype="str").where(there)
        made["status"] = pd.Series(np.where(there, np.where(sure, "decided", "unsure"), "empty"), dtype="str")
        made["confidence"] = np.where(there, confidence, np.nan)
        second = names[order[:, min(1, len(names) - 1)]]
        made["runner_up"] = pd.Series(second, dtype="str").where(there)
        disagreement = (each.argmax(2) != order[:, 0]).mean(0)
        made["disagreement"] = np.where(there, disagreement, np.nan)
        for at, label in enumerate(self.labels):
            made[f"p_{label}"] = np.where(there, mean[:, at], np.nan)
        for modality in MODALITIES:
            made[f"{modality}_reason"] = own[modality]["reason"].astype("str")
        far: list[list[str]] = [[] for _ in ids]
        for modality in MODALITIES:
            nearer = self._nearer(modality, own[modality])
            made[f"{modality}_distance"] = nearer
            for row in np.flatnonzero(nearer > FAR):
                far[row].append(modality)
        made["far_from_training"] = pd.Series([", ".join(one) for one in far], dtype="str")
        made["label"] = utterances["label"].astype("str").to_numpy()
        return schemas.timeline.validate(made)

    def _nearer(self, modality: str, table: pd.DataFrame) -> np.ndarray:
        shares = np.full(len(table), np.nan)
        present = table["present"].to_numpy(bool)
        if modality in self._distances and present.any():
            vectors = np.stack(table.loc[present, "vector"].to_list()).astype(np.float32)
            known = self._validation[f"{modality}.distances"]
            shares[present] = share_nearer(self._distances[modality].of(vectors), known)
        return shares

    def score(self, table: pd.DataFrame, accuracy: float = ACCURACY) -> pd.DataFrame:
        """Who felt what, for a plain table of utterances: ``schemas.timeline``, in the table's order.

        Args:
            table: dialogue_id, speaker and text, and where there are any position, clip, start_s, end_s (of
                the utterance in its clip), channel, frame_side; each dialogue is a recording.
            accuracy: of what is decided.

        Raises:
            ValueError: a column is missing, or a cell cannot be read.
        """
        utterances = utterances_of(table)
        return self.timeline(utterances, self.features(utterances).tables, accuracy)


def load(where: str | Path, allow: Collection[str] = ()) -> Model:
    """A bundle, ready for recordings; no project, corpus or network is needed.

    Args:
        where: the folder of a bundle, or an MLflow model such as ``models:/erc-meld@champion``.
        allow: extractors and networks outside of this package whose code may run, as
            ``package.module:Class``.

    Raises:
        BundleError: it is no bundle, or another format, file, extractor, width or version than it says.
    """
    if str(where).startswith("models:"):
        from erc_kedro import tracking

        where = tracking.resolve(str(where))
    return Model(Path(where), allow)


def _fit(arrays: Mapping[str, np.ndarray], width: int) -> bool:
    """Whether one modality's statistics are numbers, and of features of this width."""
    count = len(arrays["variances"])
    shapes = {"mean": (width,), "deviation": (width,), "middle": (width,), "directions": (count, width)}
    shapes |= {"variances": (count,), "rest": (1,)}
    return all(
        arrays[name].shape == shape and arrays[name].dtype.kind == "f" and not np.isnan(arrays[name]).any()
        for name, shape in shapes.items()
    )


def _of(arrays: Mapping[str, np.ndarray], modality: str) -> dict[str, np.ndarray]:
    prefix = f"{modality}."
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
