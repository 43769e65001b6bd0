"""What transfer buys: the arms' scores, against training on all of the target and on as little of it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from erc_kedro.evaluation.comparison import comparison_table
from erc_kedro.evaluation.metrics import SCORES
from erc_kedro.evaluation.units import Units
from erc_kedro.transfer.arms import ALONE, Arm

# Of an arm that is given k dialogues and starts from other weights, against one that is given them alone.
GAIN = {
    "difference": "gain",
    "difference_low": "gain_low",
    "difference_high": "gain_high",
    "p": "gain_p",
}
COLUMNS = [
    *("arm", "dialogues", "trained_on", "selected_on", "seeds"),
    *(f"{score}{end}" for score in SCORES for end in ("", "_std")),
    *(
        "low",
        "high",
        "val_weighted_f1",
        "difference",
        "difference_low",
        "difference_high",
        "p",
        "p_corrected",
    ),
    *GAIN.values(),
    *("unit", "units", "note"),
]


def transfer_table(
    predictions: pd.DataFrame,
    units: Units,
    arms: Sequence[Arm],
    notes: Mapping[str, str],
    draws: int,
) -> pd.DataFrame:
    """Test scores of the arms, and their paired tests.

    Args:
        predictions: the predictions table of the prediction's head, with a column ``experiment`` that names
            the arm.
        units: what intervals and tests are over.
        notes: by arm, why it was not trained.
        draws: of the permutation test.

    Returns:
        ``schemas.transfer``: a row an arm. ``difference`` is to the target alone, ``gain`` to the same number
        of its dialogues alone.
    """
    names = [arm.name for arm in arms]
    table = comparison_table(predictions, units, names, ALONE, draws)
    table = table.rename(columns={"experiment": "arm"})
    table["dialogues"] = [np.nan if arm.dialogues is None else float(arm.dialogues) for arm in arms]
    table["trained_on"] = [arm.trained_on for arm in arms]
    table["selected_on"] = [arm.selected_on for arm in arms]
    table[list(GAIN.values())] = np.nan
    few = {arm.dialogues: arm.name for arm in arms if arm.dialogues is not None and arm.start is None}
    for arm in arms:
        if arm.start is None or arm.dialogues is None:
            continue
        pair = [few[arm.dialogues], arm.name]
        compared = comparison_table(predictions, units, pair, pair[0], draws).iloc[1]
        table.loc[table["arm"] == arm.name, list(GAIN.values())] = compared[list(GAIN)].to_numpy(float)
    for name, note in notes.items():
        table.loc[table["arm"] == name, "note"] = note
    return table[COLUMNS]
