"""Parameters of the embedded corpora."""

from pydantic import Field

from erc_kedro.parameters.base import Parameters


class DemoParameters(Parameters):
    """The embedded corpora."""

    folder: str
    seed: int = 0
    # About five utterances each.
    meld_dialogues: int = Field(default=12, ge=6)
    iemocap_dialogues_per_session: int = Field(default=2, ge=2, le=30)
    # Processes that draw and encode.
    n_jobs: int = Field(default=2, ge=1)
