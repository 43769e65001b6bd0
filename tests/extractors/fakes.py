"""Extractors of tests, chosen as ``tests.extractors.fakes:Name``; each notes what it was given."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from erc_kedro.extractors.base import Metadata

# A folder in which every call leaves a file; set in the environment, since workers are other processes.
NOTES = "ERC_TEST_NOTES"


def note(what: str) -> None:
    folder = os.environ.get(NOTES)
    if folder:
        (Path(folder) / f"{what}-{os.getpid()}-{time.monotonic_ns()}").touch()


class Loudness:
    """Peak, mean and duration of a sound."""

    def __init__(self, parameters):
        self.metadata = Metadata("loudness", 3, "none", f"1 {parameters.layers}")

    def __call__(self, signals):
        note("audio")
        return np.array([[np.abs(s).max(), np.abs(s).mean(), len(s) / 16_000] for s in signals], np.float32)


class Deadly(Loudness):
    """Dies of a sound at full scale, as a decoder dies of a file that it cannot take."""

    def __call__(self, signals):
        if any(np.abs(s).max() > 0.99 for s in signals):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(signals)


class Faulty(Loudness):
    """Raises for loud sounds, and gives features that are not finite for quiet ones."""

    def __call__(self, signals):
        if np.abs(signals[0]).max() > 0.99:
            raise RuntimeError("too loud for me")
        return super().__call__(signals) * (np.nan if np.abs(signals[0]).max() < 0.05 else 1)


class Other(Loudness):
    """Another extractor of the same version and dimension."""

    def __init__(self, parameters):
        super().__init__(parameters)
        self.metadata = Metadata("other", 3, "none", self.metadata.version)

    def __call__(self, signals):
        return [[1.0, 2.0, 3.0] for _ in signals]


class Narrow(Loudness):
    """Gives fewer features than it declares."""

    def __call__(self, signals):
        return super().__call__(signals)[:, :2]


class WithoutMetadata:
    """Says nothing of itself."""

    def __init__(self, parameters):
        pass


class Stubborn:
    """Takes no parameters."""


class Mute:
    """A text extractor that fails."""

    def __init__(self, parameters, training=()):
        self.metadata = Metadata("mute", 2, "none", "1")

    def __call__(self, signals):
        raise RuntimeError("no words")


class Slow(Loudness):
    """Takes its time, so that a run can be killed halfway."""

    def __call__(self, signals):
        time.sleep(0.3)
        return super().__call__(signals)


class Gray:
    """Mean brightness of the face, number of frames, and where it was on average."""

    def __init__(self, parameters):
        self.metadata = Metadata("gray", 3, "none", "1")

    def __call__(self, signals):
        note("visual")
        return np.array([[s.gray.mean(), len(s.gray), s.box[:, 0].mean()] for s in signals], np.float32)
