"""openSMILE's feature sets."""

import logging
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from erc_kedro.extractors import base
from erc_kedro.parameters import AudioParameters

logger = logging.getLogger(__name__)


class _Smile:
    """openSMILE's functionals; undefined ones are zero.

    Sounds shorter than 60 ms, of which openSMILE says nothing, are mirrored at their end up to that. What
    goes beyond -1 or 1 is clipped.
    """

    shortest = 960
    feature_set: str

    def __init__(self, parameters: AudioParameters) -> None:
        try:
            import opensmile
        except ImportError as error:
            raise ValueError(
                f"features.audio.extractor: {parameters.extractor} needs openSMILE; "
                'pip install -e ".[opensmile]"'
            ) from error
        self._smile = opensmile.Smile(
            opensmile.FeatureSet[self.feature_set], opensmile.FeatureLevel.Functionals, num_workers=1
        )
        licence = "openSMILE's: private, research and educational use only"
        logger.warning("%s: the licence of openSMILE allows research use only.", parameters.extractor)
        parts = [self.feature_set, version("opensmile"), str(self.shortest)]
        self.metadata = base.Metadata(
            f"openSMILE {self.feature_set}", self._smile.num_features, licence, base.fingerprint(*parts)
        )

    def __call__(self, signals: Sequence[np.ndarray]) -> np.ndarray:
        return base.one_by_one(signals, self._one, self.metadata.dimension)

    def _one(self, signal: np.ndarray) -> np.ndarray:
        missing = max(self.shortest - len(signal), 0)
        # The package casts to 16 bits, in which a sample of 1 would come out as -1.
        clipped = np.clip(signal, -1, 1 - 2**-15)
        padded = np.pad(clipped, (0, missing), mode="reflect")
        return np.nan_to_num(self._smile.process_signal(padded, base.RATE).to_numpy()[0])


class Egemaps(_Smile):
    """The 88 functionals of eGeMAPS v02."""

    feature_set = "eGeMAPSv02"


class Compare(_Smile):
    """The 6373 functionals of ComParE 2016."""

    feature_set = "ComParE_2016"
