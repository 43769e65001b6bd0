"""Parameters of the embedded corpora."""

from pydantic import Field

from erc_kedro.parameters.base import Parameters


class DemoParameters(Parameters):
    """The embedded corpora."""

    folder: str
    seed: int
    # About five utterances each.
    meld_dialogues: int = Field(ge=6)
    iemocap_dialogues_per_session: int = Field(ge=2, le=30)
    # Processes that draw and encode.
    n_jobs: int = Field(ge=1)
