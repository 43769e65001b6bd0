"""Intervals and tests are over dialogues, and over speakers where every dialogue is one clip."""

import pandas as pd
import pytest

from erc_kedro.evaluation.units import counted, few_units, units_of


def table(dialogues, speakers, **columns):
    ids = [f"u{n}" for n in range(len(dialogues))]
    return pd.DataFrame({"utterance_id": ids, "dialogue_id": dialogues, "speaker": speakers, **columns})


CLIPS = [f"d{n}" for n in range(20)]


def test_dialogues_are_the_units_of_conversations():
    units = units_of(table(["a", "a", "b", "b"], ["x", "y", "x", "y"], fold=["1", "1", "2", "2"]))
    assert units.kind == "dialogue"
    assert units.of.to_dict() == {"u0": "a", "u1": "a", "u2": "b", "u3": "b"}


def test_speakers_are_the_units_of_clips():
    units = units_of(table(CLIPS, ["x"] * 12 + ["y"] * 8, fold=["1", "2"] * 10))
    assert (units.kind, units.of.nunique()) == ("speaker", 2)


def test_folds_are_the_units_of_clips_whose_speakers_are_not_told_apart():
    units = units_of(table(CLIPS, ["unknown"] * 20, fold=["1", "2"] * 10))
    assert (units.kind, units.of["u1"]) == ("fold", "2")


def test_clips_are_units_where_nothing_groups_them():
    assert units_of(table(CLIPS, ["unknown"] * 20)).kind == "dialogue"
    assert units_of(table(CLIPS, ["unknown"] * 20, fold=[None] * 20)).kind == "dialogue"


@pytest.mark.parametrize(("longer", "kind"), [(2, "speaker"), (3, "dialogue")])
def test_a_few_longer_dialogues_among_clips_change_nothing(longer, kind):
    dialogues = [*CLIPS, *CLIPS[:longer]]
    assert units_of(table(dialogues, ["x", "y"] * 5 + ["z"] * (10 + longer))).kind == kind


def test_few_units_are_warned_of():
    assert few_units(0, "dialogue") == few_units(15, "dialogue") == ""
    assert "14 speakers: intervals over fewer than 15 are rough" in few_units(14, "speaker")
    assert "no p below" not in few_units(1, "dialogue")
    assert few_units(1, "dialogue") == "Test has only 1 dialogue: there is no interval and no paired test."
    # Eight exchanges of two ways each: all together, or none, are the two most extreme of 256.
    assert few_units(8, "dialogue").endswith("no paired test can find p below .0078.")
    assert counted(1234, "fold") == "1,234 folds"
