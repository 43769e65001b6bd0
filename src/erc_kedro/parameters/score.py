"""Parameters of scoring recordings with a trained model."""

from typing import Literal

from pydantic import Field

from erc_kedro.parameters.base import Parameters
from erc_kedro.parameters.features import WorkerParameters

Side = Literal["left", "right"]


class ScoreParameters(Parameters):
    """From recordings to who felt what when."""

    # How often a decided emotion is to be right, as measured on validation; others are unsure.
    accuracy: float = Field(gt=0, le=1)
    # Of what is derived from a recording: nothing but the results; features, in the cache, so that nothing is
    # extracted twice; all: features beside the results, and the results with the MLflow run.
    keep: Literal["nothing", "features", "all"]
    # Extractors and networks outside of this package, as package.module:Class, whose code a bundle may run.
    allow: tuple[str, ...]
    runner: WorkerParameters
    # Who is heard on which channel of a sound with two, such as {left: Agent, right: Customer}.
    channels: dict[Side, str]
    # In which half of a split screen a speaker is seen, by the transcript's name.
    frame_side: dict[str, Side]
    # Other names for the transcript's speakers.
    speakers: dict[str, str]
    # A longer turn is split at sentence ends.
    longest_turn_s: float = Field(gt=0)
    longest_turn_words: int = Field(ge=1)
    # Of what is said, such as de; null: as the transcript says, if it does.
    language: str | None
    # Of transcripts that are neither UTF-8 nor have a byte-order mark.
    encoding: str | None
    # The model's labels for a transcript's, or the path of a YAML file with such a mapping.
    labels: dict[str, str] | str
