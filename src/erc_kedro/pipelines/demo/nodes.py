"""Nodes of the demo pipeline."""

from pathlib import Path
from typing import Any

from erc_kedro.parameters import DemoParameters


def write_corpora(parameters: DemoParameters) -> dict[str, Any]:
    """Writes the embedded corpora and says where."""
    from erc_kedro.demo.corpora import write

    write(
        Path(parameters.folder),
        seed=parameters.seed,
        meld_dialogues=parameters.meld_dialogues,
        iemocap_dialogues_per_session=parameters.iemocap_dialogues_per_session,
        n_jobs=parameters.n_jobs,
    )
    return {"synthetic": True, **parameters.model_dump()}
