"""Features that know the labels of training are told from those that do not, whatever test's labels are."""

import json
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erc_kedro.audit.checks import check_before_training
from erc_kedro.audit.corpus import audit_corpus
from erc_kedro.audit.features import audit_features
from erc_kedro.audit.fitted import fitted_features
from erc_kedro.audit.page import audit_page
from erc_kedro.audit.probes import folds_of
from erc_kedro.audit.provenance import provenance
from tests.audit.simulated import Layout, of_two_classes, simulated
from tests.audit.tables import DESCRIPTION, NOTHING, corpus, features

LAYOUTS = get_args(Layout)


def test_measured_features_raise_hardly_an_alarm() -> None:
    alarms = []
    for layout in LAYOUTS:
        for seed in range(5):
            made = simulated(layout, seed)
            found = fitted_features(made.tables(), made.utterances, {})
            assert found["probes"].keys() == {"text", "visual"}
            alarms += [
                (layout, seed, said) for said in (*found["warnings"].values(), *found["hints"].values())
            ]
    assert len(alarms) <= 1, alarms


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_network_that_was_fitted_on_training_and_validation_is_found_by_text_and_test(
    layout: Layout,
) -> None:
    made = simulated(layout, 0)
    found = fitted_features(made.tables(visual=made.fitted(40, "train", "val")), made.utterances, {})
    assert found["warnings"].keys() == {"visual"}
    said = found["warnings"]["visual"]
    shares = found["probes"]["visual"]["agreement"]["text"]
    assert f"it agrees with one of text on {shares['training']:.0%} of training utterances" in said
    assert f"on {shares['test']:.0%} of test" in said
    assert "Validation does not show it" in said
    assert "train.model.modalities" in said


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_network_that_did_not_see_validation_is_found_there(layout: Layout) -> None:
    made = simulated(layout, 0)
    visual = features(made.utterances, made.fitted(40, "train"))
    found = fitted_features({"visual": visual}, made.utterances, {})
    facts = found["probes"]["visual"]
    assert facts["training"] > 0.9 > 0.6 > facts["validation"]
    assert f"has not seen and on {facts['validation']:.0%} of validation" in found["warnings"]["visual"]
    assert "Validation does not show it" not in found["warnings"]["visual"]


@pytest.mark.parametrize("layout", ["shared", "speakers"])
def test_two_classes_and_no_other_modality_are_enough(layout: Layout) -> None:
    made = of_two_classes(simulated(layout, 1, dialogues=120))
    visual = features(made.utterances, made.fitted(60, "train", "val"))
    found = fitted_features({"visual": visual}, made.utterances, {})
    assert "it is surer of the first" in found["warnings"]["visual"]


@pytest.mark.parametrize("layout", ["shared", "speakers", "single"])
def test_another_microphone_is_a_hint_and_no_warning(layout: Layout) -> None:
    made = simulated(layout, 2)
    found = fitted_features(made.tables(visual=made.another_gain()), made.utterances, {})
    assert found["warnings"] == {}
    assert found["hints"].keys() == {"visual"}
    assert "recorded or extracted in another way" in found["hints"]["visual"]
    assert "a hint and no error" in found["hints"]["visual"]


def test_sessions_that_differ_as_much_among_themselves_are_no_hint() -> None:
    made = simulated("sessions", 2)
    facts = fitted_features(made.tables(), made.utterances, {})["probes"]["visual"]
    assert facts["apart"] > 0.7
    assert facts["apart_in_training"][0] > 0.7


def test_no_label_of_test_is_read() -> None:
    made = simulated("speakers", 3)
    tables = made.tables(visual=made.fitted(20, "train", "val"))
    known = fitted_features(tables, made.utterances, {})
    test = made.utterances["split"] == "test"
    drawn = made.utterances.assign(label=made.utterances["label"].mask(test, "class 0"))
    unknown = made.utterances.assign(label=made.utterances["label"].mask(test))
    assert known == fitted_features(tables, drawn, {}) == fitted_features(tables, unknown, {})
    assert known["warnings"]


@pytest.mark.parametrize(
    ("layout", "compared"),
    [("shared", "dialogues"), ("sessions", "speakers"), ("speakers", "speakers"), ("single", "speakers")],
)
def test_what_test_differs_by_is_held_out(layout: Layout, compared: str) -> None:
    made = simulated(layout, 0)
    assert fitted_features(made.tables(), made.utterances, {})["compared"] == compared


def test_folds_are_held_out_where_speakers_do_not_tell() -> None:
    made = simulated("sessions", 0)
    session = made.utterances["speaker"].str[1:].astype(int) // 2
    named = made.utterances.assign(speaker="a", fold=session.astype(str))
    assert fitted_features(made.tables(), named, {})["compared"] == "folds"


def test_what_cannot_be_told_is_skipped_with_its_reason() -> None:
    made = simulated("shared", 0)
    count = len(made.utterances)
    tables = made.tables(audio=np.ones((count, 5)), visual=np.zeros((count, 1)))
    tables["visual"]["present"] = False
    records = {"text": {"encoder": {"folds": 5}}}
    assert fitted_features(tables, made.utterances, records)["skipped"] == {
        "audio": "its vectors are all the same",
        "text": "its encoder is known to have made training's vectors without their dialogues",
        "visual": "no training utterance has it",
    }
    small = corpus()
    found = fitted_features({"audio": features(small, np.eye(12))}, small, {})
    assert found["skipped"] == {
        "audio": "4 labelled training utterances in 2 dialogues say too little; 200 in 20 are asked for"
    }
    one = made.utterances.assign(label="class 0")
    assert "fewer than two classes" in fitted_features(made.tables(), one, {})["skipped"]["text"]


def test_vectors_that_are_missing_or_broken_are_left_out() -> None:
    made = simulated("shared", 4)
    tables = made.tables()
    tables["visual"].loc[::3, "present"] = False
    broken = tables["visual"]["vector"].copy()
    broken[1] = np.full(60, np.nan, np.float32)
    tables["visual"]["vector"] = broken
    found = fitted_features(tables, made.utterances, {})
    assert found["skipped"] == found["warnings"] == {}
    assert 0.25 < found["probes"]["visual"]["training"] < 0.6


def test_a_large_corpus_is_probed_by_whole_dialogues_of_it() -> None:
    made = simulated("shared", 5, dialogues=1000)
    found = fitted_features(made.tables(), made.utterances, {})
    assert found["warnings"] == found["hints"] == {}
    assert found == fitted_features(made.tables(), made.utterances, {})


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40), st.integers(1, 6))
def test_a_group_lies_in_one_fold(groups: list[str], most: int) -> None:
    folds = folds_of(np.array(groups), most)
    table = pd.DataFrame({"group": groups, "fold": folds})
    assert (table.groupby("group")["fold"].nunique() == 1).all()
    assert set(folds) == set(range(min(most, len(set(groups)))))


def test_the_warning_is_on_the_page_and_beside_the_scores_of_whoever_reads_the_modality() -> None:
    made = simulated("shared", 0)
    tables = made.tables(visual=made.fitted(40, "train", "val"))
    records = {
        modality: provenance(table, made.utterances, {"name": "made", "settings": {}})
        for modality, table in tables.items()
    }
    findings = audit_features(tables, made.utterances, records)
    assert json.loads(json.dumps(findings)) == findings
    said = findings["fitted"]["warnings"]["visual"]
    assert findings["errors"] == []
    assert findings["warnings"] == [said]
    of_corpus = audit_corpus(made.utterances, DESCRIPTION, NOTHING)
    page = audit_page(of_corpus, findings)
    assert "- The visual features seem to know the labels of training" in page
    assert "Linear probes, each fitted without some dialogues" in page
    assert "\n| visual | 0.9" in page or "\n| visual | 1.0" in page

    def cautions(*modalities: str) -> list[str]:
        audit = {**of_corpus, "errors": [], "not_learnable": []}
        return check_before_training(
            "full", audit, findings, tables, made.utterances, "talk", False, modalities
        )

    assert cautions("text", "visual") == [said]
    assert cautions("text", "audio") == []
