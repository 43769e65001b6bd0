"""Runs of the extraction runner with the extractors of ``fakes``."""

import pandas as pd

from erc_kedro.extractors import runner
from tests.defaults import AudioParameters, RunnerParameters, VisualParameters

HERE = "tests.extractors.fakes"


def settings(audio="Loudness", visual=None, **options):
    return runner.Settings(
        AudioParameters(extractor=f"{HERE}:{audio}") if audio else None,
        VisualParameters(extractor=f"{HERE}:{visual}") if visual else None,
        RunnerParameters(**options),
    )


def table(clip=None, wav=None, start=None, end=None, side=None, channel=None, shared=None):
    """Utterances; the columns that corpora have not are there where they are named."""
    count = len(clip or wav)

    def texts(values):
        return pd.Series([None if v is None else str(v) for v in values or [None] * count], dtype="str")

    made = pd.DataFrame(
        {
            "clip": texts(clip),
            "clip_start_s": pd.Series(start or [None] * count, dtype="float64"),
            "clip_end_s": pd.Series(end or [None] * count, dtype="float64"),
            "wav": texts(wav),
            "frame_side": texts(side),
        }
    )
    if channel is not None:
        made["channel"] = texts(channel)
    if shared is not None:
        made["shared_frame"] = shared
    return made


def vectors(found, modality="audio"):
    return [None if r.vector is None else r.vector.tolist() for r in found[modality][1]]
