from pathlib import Path

import pandas as pd
import pytest

from erc_kedro.corpora import meld
from tests.corpora.releases import meld_row, write_meld


@pytest.fixture
def talk(tmp_path: Path) -> pd.DataFrame:
    """MELD dialogues: train 0 (2 utterances) and 2 (1), dev 0 (2), test 1 (2)."""
    rows = {
        "train": [meld_row(0, 0), meld_row(0, 3), meld_row(2, 0)],
        "test": [meld_row(1, 0), meld_row(1, 1)],
    }
    return meld.read(write_meld(tmp_path / "meld", **rows)).utterances
