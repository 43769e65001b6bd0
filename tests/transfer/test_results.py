"""The table of a transfer: each arm against the target alone, and each fine-tuned one against no transfer."""

import numpy as np
import pandas as pd
import pytest

from erc_kedro import schemas
from erc_kedro.evaluation.metrics import classification_metrics
from erc_kedro.evaluation.units import Units
from erc_kedro.transfer.arms import arms_of
from erc_kedro.transfer.results import transfer_table
from tests.transfer.made import corpus

CLASSES = ["calm", "glad"]


def predictions(arm, skill, seeds=2, dialogues=20, size=4):
    draw = np.random.default_rng(len(arm))
    parts = []
    for seed in range(seeds):
        truth = np.random.default_rng(0).integers(0, 2, dialogues * size)
        right = draw.random(len(truth)) < skill
        p = np.where(right, truth, 1 - truth)
        parts.append(
            pd.DataFrame(
                {
                    "seed": seed,
                    "utterance_id": [f"u{at}" for at in range(len(truth))],
                    "split": "test",
                    "head": "tav",
                    "label": [CLASSES[code] for code in truth],
                    "p_calm": (1 - p).astype(np.float32),
                    "p_glad": p.astype(np.float32),
                    "experiment": arm,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_differences_and_gains_are_to_the_rows_that_they_name():
    skills = {
        "target_alone": 0.9,
        "target_majority": 0.5,
        "zero_shot": 0.6,
        "joint": 0.9,
        "fine_tuned_5": 0.85,
        "alone_5": 0.55,
    }
    arms = arms_of(corpus("clips"), [corpus("talks")], [5, 50])
    every = pd.concat([predictions(arm, skill) for arm, skill in skills.items()], ignore_index=True)
    units = Units("dialogue", pd.Series({f"u{at}": f"d{at // 4}" for at in range(80)}))
    notes = dict.fromkeys(("fine_tuned_50", "alone_50"), "not trained: too few")
    table = schemas.transfer.validate(transfer_table(every, units, arms, notes, 500)).set_index("arm")
    assert list(table.index) == [arm.name for arm in arms]
    own = every[every["experiment"] == "fine_tuned_5"].groupby("seed")
    scores = [
        classification_metrics(rows["label"], rows[["p_calm", "p_glad"]].to_numpy(), CLASSES)["weighted_f1"]
        for _, rows in own
    ]
    assert table.loc["fine_tuned_5", "weighted_f1"] == pytest.approx(np.mean(scores))
    f1 = table["weighted_f1"]
    assert table.loc["fine_tuned_5", "difference"] == pytest.approx(f1["fine_tuned_5"] - f1["target_alone"])
    assert table.loc["fine_tuned_5", "gain"] == pytest.approx(f1["fine_tuned_5"] - f1["alone_5"])
    assert table.loc["fine_tuned_5", "gain_low"] > 0
    assert table.loc["fine_tuned_5", "gain_p"] < 0.05
    assert table["gain"].notna().sum() == 1
    assert np.isnan(table.loc["target_alone", "difference"])
    assert table.loc["alone_50", "note"] == "not trained: too few"
    assert table.loc["alone_50", "seeds"] == 0
    assert table.loc["fine_tuned_5", "trained_on"] == "5 dialogues of Clips, from zero-shot"
    assert table.loc["fine_tuned_5", "selected_on"] == "none: the last epoch"
