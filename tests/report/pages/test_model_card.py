"""A model card says what the models are for, for whom they fail, and what must not be done with them."""

from dataclasses import replace

import pytest

from erc_kedro.report.pages.model_card import model_card
from erc_kedro.report.tables import tables_of
from erc_kedro.report.tables.files import files
from tests.report.sections import FACTS, changed, section

GROUPS = {"name": "speaker's sex", "of": {"A": "female", "B": "male"}}


@pytest.fixture(scope="module")
def whole():
    return section(groups=GROUPS)


def test_it_warns_and_scores_groups_apart(whole):
    card = model_card(whole, FACTS)
    assert "Do not let these models decide about people" in card
    for word in ("interviews", "health", "joy, anger, neutral", "gated_fusion", "def5678"):
        assert word in card
    group = files("group", tables_of(whole)["group"])["group.md"].strip()
    assert group in card
    assert "By speaker's sex" in card
    assert "| female |" in card


def test_what_is_unknown_is_said_to_be(whole):
    card = model_card(section(), FACTS)
    assert "The corpus names no groups of speakers" in card
    unlabelled = whole.metrics[whole.metrics["split"] == "train"]
    card = model_card(changed(whole, metrics=unlabelled, degraded=None), FACTS)
    assert "No score" in card
    assert "was not measured" in card


def test_synthetic_models_are_called_so():
    assert "**SYNTHETIC DATA, not a result.**" in model_card(section(synthetic=True), FACTS)
    assert "SYNTHETIC" not in model_card(section(), FACTS)


@pytest.mark.parametrize(
    ("name", "described", "said"),
    [
        ("meld", {}, "actors of a sitcom"),
        ("iemocap", {"protocol": "community"}, "actors who played scripts and improvised"),
        ("friends", {"name": "MELD"}, "actors of a sitcom"),
        ("meld", {"synthetic": True}, "what a program was told to express"),
        ("iemocap", {"synthetic": True}, "what a program was told to express"),
        ("meld", {"name": "meld", "protocol": "manifest"}, "whether the speakers spoke or acted, is not"),
        ("interviews", {"name": "interviews", "protocol": "manifest"}, "Who gave them"),
    ],
)
def test_it_says_of_the_speakers_only_what_is_known_of_them(name, described, said):
    given = section(name)
    page = model_card(replace(given, description={**given.description, **described}), FACTS)
    assert said in page
    own = described.get("protocol") == "manifest"
    made_up = bool(described.get("synthetic"))
    assert ("actors" in page) == (not own and not made_up)
    assert ("raters" in page) == (not own and not made_up)
    assert ("a program" in page) == made_up
    # Nor does it offer for use what was learned from no person.
    assert ("Research on recognising emotion" in page) == (not made_up)
    assert ("other languages, accents" in page) == (not made_up)


def test_it_names_only_modalities_that_there_are(whole):
    extractors = {
        "text": {"name": "minilm", "licence": ""},
        "audio": {"name": "none"},
        "visual": {"name": "none", "version": ""},
    }
    card = model_card(replace(whole, training={**whole.training, "extractors": extractors}), FACTS)
    assert "its label would be, from text, looking at earlier and later utterances" in card
    assert "- Features, visual: none\n" in card
    assert "- Features, text: name `minilm`\n" in card
    alone = {"parameters": {"model": {"architecture": "logistic_regression", "modalities": ["text"]}}}
    assert "from text, each for itself." in model_card(replace(whole, training=alone), FACTS)


def test_a_modality_that_predictions_are_not_shown_is_not_what_they_come_from(whole):
    parameters = {"model": {"architecture": "gated_fusion"}, "withhold": ["audio", "visual"]}
    card = model_card(replace(whole, training={"parameters": parameters}), FACTS)
    assert "from text, looking at" in card


@pytest.mark.parametrize(
    ("model", "scaling", "text", "said"),
    [
        ({"causal": True}, {"audio": "speaker"}, {}, "looking at earlier utterances only"),
        ({}, {"audio": "speaker_past"}, {}, "looking at earlier and later utterances"),
        ({"architecture": "concat_mlp"}, {"audio": "speaker"}, {}, "looking at earlier and later utterances"),
        ({"architecture": "concat_mlp"}, {"audio": "speaker_past"}, {}, "looking at earlier utterances only"),
        ({"architecture": "concat_mlp"}, {}, {"context": 2}, "looking at earlier utterances only"),
        ({"architecture": "concat_mlp"}, {}, {"following": 1}, "looking at earlier and later utterances"),
        ({"architecture": "concat_mlp"}, {"audio": "train"}, {}, "each for itself"),
        ({"architecture": "concat_mlp", "modalities": ["text"]}, {"audio": "speaker"}, {}, "each for itself"),
        # Of a modality that the model is not built for, nothing is looked at.
        (
            {"architecture": "concat_mlp", "modalities": ["visual"]},
            {"audio": "speaker"},
            {"following": 1},
            "from visual, each for itself",
        ),
    ],
)
def test_what_a_prediction_looks_at_is_the_network_s_its_scaling_s_and_its_vectors_(
    whole, model, scaling, text, said
):
    training = {
        "parameters": {"model": {"architecture": "gated_fusion", **model}, "scaling": scaling},
        "extractors": {"text": {"name": "minilm", "settings": text}},
    }
    card = model_card(replace(whole, training=training), FACTS)
    assert said in card
    # Nothing else on the card says otherwise.
    assert ("later utterances included" in card) == (
        scaling.get("audio") == "speaker" and not {"causal", "modalities"} & model.keys()
    )
