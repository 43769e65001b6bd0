"""The page of a transfer says what was learned from what, what was left out, and what it came to."""

import numpy as np
import pandas as pd

from erc_kedro.report.pages.transfer import transfer_markdown, verdict


def table(gain=0.05, low=0.01):
    rows = [
        ("target_alone", np.nan, 0.6, np.nan, np.nan, np.nan),
        ("target_majority", np.nan, 0.2, -0.4, np.nan, np.nan),
        ("zero_shot", np.nan, 0.4, -0.2, np.nan, np.nan),
        ("joint", np.nan, 0.61, 0.01, np.nan, np.nan),
        ("fine_tuned_5", 5.0, 0.45, -0.15, gain, low),
        ("alone_5", 5.0, 0.4, -0.2, np.nan, np.nan),
    ]
    made = pd.DataFrame(rows, columns=["arm", "dialogues", "weighted_f1", "difference", "gain", "gain_low"])
    made["difference_low"], made["difference_high"] = made["difference"] - 0.02, made["difference"] + 0.02
    made["gain_high"] = made["gain"] + 0.04
    for name in ("accuracy", "uar"):
        made[name] = made["weighted_f1"]
    for name in ("accuracy_std", "weighted_f1_std", "uar_std"):
        made[name] = 0.01
    made["low"], made["high"] = made["weighted_f1"] - 0.03, made["weighted_f1"] + 0.03
    for name in ("p_corrected", "gain_p"):
        made[name] = 0.03
    made["seeds"], made["note"], made["trained_on"], made["selected_on"] = 2, "", "training", "validation"
    made["unit"], made["units"] = "dialogue", 31
    return made


def summary(**changes):
    count = {"train": 3, "val": 2, "test": 1}
    return {
        "from": ["Talks"],
        "to": "Clips",
        "target": "clips",
        "synthetic": False,
        "labels": {"path": "map.yml", "source": "a paper"},
        "counts": [
            {"corpus": "clips", "label": "happy", "shared": "glad", **count},
            {"corpus": "clips", "label": "bored", "shared": None, **count},
            {"corpus": "clips", "label": None, "shared": None, "train": 0, "val": 0, "test": 0},
        ],
        "modalities": ["text"],
        "left_out": ["Audio is left out: they differ."],
        "cautions": [],
        "parameters": {"scaling": {}},
        **changes,
    }


def test_the_page_says_what_was_compared_and_left_out():
    page = transfer_markdown(table(), summary(cautions=["Scenes repeat."]))
    assert page.startswith("# From Talks to Clips\n")
    assert "(1 of 2)" in page
    assert "Left out: 6 of 12 labelled utterances of clips (50 %)." in page
    assert "| clips | bored | left out | 3 | 2 | 1 |" in page
    assert "unlabelled" not in page
    assert "Audio is left out: they differ." in page
    assert "**Scenes repeat.**" in page
    assert "SYNTHETIC" not in page
    row = next(line for line in page.splitlines() if line.startswith("| fine_tuned_5"))
    assert "45.0 ± 1.0" in row
    assert "+5.0" in row
    assert "SYNTHETIC DATA" in transfer_markdown(table(), summary(synthetic=True))


def test_the_verdict_is_a_sentence_a_question_with_its_interval():
    zero, joint, few = verdict(table(), summary())
    assert "zero-shot" in zero
    assert "40.0 (37.0 to 43.0)" in zero
    assert "-20.0 points (-22.0 to -18.0), a loss" in zero
    assert "+1.0 points (-1.0 to +3.0), no difference is shown" in joint
    assert few.startswith("5 dialogues of Clips: fine-tuned 45.0, alone 40.0")
    assert "+5.0 points (+1.0 to +9.0), a gain" in few
    (*_, few) = verdict(table(low=-0.01), summary())
    assert "no difference is shown" in few
