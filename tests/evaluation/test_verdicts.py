"""A comparison's verdict is one sentence, and claims no more than was shown."""

import pytest

from erc_kedro.evaluation.verdicts import verdict

NAN = float("nan")


def row(**changed):
    return {
        "experiment": "no_gates",
        "weighted_f1": 0.6,
        "unit": "dialogue",
        "units": 31,
        "difference": -0.004,
        "difference_low": -0.011,
        "difference_high": 0.003,
        "p": 0.21,
        "p_corrected": 0.8,
        "note": "",
        **changed,
    }


FIGURES = "95 % interval -1.1 to 0.3, p .210 uncorrected, .800 corrected for 12 comparisons"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, f"no_gates is 0.4 points below full ({FIGURES}): no difference is shown."),
        ({"difference": 0.0102}, f"no_gates is 1.0 point above full ({FIGURES}): no difference is shown."),
        ({"difference": -0.0004}, f"no_gates is level with full ({FIGURES}): no difference is shown."),
        ({"units": 8}, f"no_gates is 0.4 points below full ({FIGURES}): 8 dialogues are too few to say."),
        ({"experiment": "full"}, "full is what the others are tested against."),
        ({"weighted_f1": NAN, "p": NAN}, "no_gates has no score on test."),
        ({"p": NAN, "note": "not tested: no seed"}, "no_gates is not tested against full: no seed."),
        (
            {"p": NAN, "units": 1, "unit": "speaker"},
            "no_gates is not tested against full: test has a single speaker.",
        ),
        ({"p": NAN}, "no_gates is not tested against full: full has no score on test."),
    ],
)
def test_each_case_has_its_sentence(changed, expected):
    assert verdict(row(**changed), "full", 12) == expected


@pytest.mark.parametrize(
    ("p", "corrected", "difference", "expected"),
    [
        (0.0002, 0.004, -0.02, "it is shown to be worse."),
        (0.0002, 0.004, 0.02, "it is shown to be better."),
        (0.02, 0.24, 0.02, "no difference is shown once the number of comparisons is allowed for."),
    ],
)
def test_only_what_survives_the_correction_is_shown(p, corrected, difference, expected):
    said = verdict(row(p=p, p_corrected=corrected, difference=difference), "full", 12)
    assert said.endswith(f"): {expected}")


def test_one_comparison_needs_no_correction():
    said = verdict(row(p_corrected=0.21), "full", 1)
    assert "(95 % interval -1.1 to 0.3, p .210): no difference is shown." in said


def test_the_same_model_is_not_compared():
    assert (
        verdict(row(), "full", 12, "full") == "no_gates and full are the same model: they predict the same."
    )
