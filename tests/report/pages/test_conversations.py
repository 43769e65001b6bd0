"""The conversation viewer shows what was predicted, under the right utterance."""

import json

import numpy as np
import pytest

from erc_kedro.evaluation.metrics import class_columns
from erc_kedro.report.pages import conversations as viewer
from tests.report.sections import CLASSES, EVIL, WEIGHTS, changed, rendered, section


@pytest.fixture(scope="module")
def whole():
    return section()


def test_each_turn_is_its_utterance(whole):
    shown = viewer.conversations(whole)
    test = whole.utterances.query("split == 'test'").sort_values(["dialogue_id", "position"])
    turns = [turn for dialogue in shown["dialogues"] for turn in dialogue["turns"]]
    assert [turn[1] for turn in turns] == test["text"].tolist()
    assert [turn[2] for turn in turns] == [
        CLASSES.index(label) if isinstance(label, str) else -1 for label in test["label"]
    ]
    assert [d["id"] for d in shown["dialogues"]] == sorted(test["dialogue_id"].unique())
    own = test["utterance_id"].iloc[7]
    for index, head in enumerate(shown["heads"]):
        rows = whole.predictions[
            (whole.predictions["utterance_id"] == own) & (whole.predictions["head"] == head)
        ]
        assert turns[7][3][index] == (100 * rows[class_columns(rows)].mean()).round().astype(int).tolist()
    weights = whole.contributions.query("kind == 'fusion' and part == 'tv'")
    weights = weights[weights["utterance_id"] == own]
    parts = [f"{kind} {part}" for kind in ("gate", "fusion") for part in WEIGHTS[kind]]
    assert shown["weights"] == parts
    at = shown["weights"].index("fusion tv")
    assert turns[7][4][at] == round(100 * weights["weight"].mean())


def test_a_weight_that_is_not_there_is_null(whole):
    gone = whole.contributions.copy()
    test = whole.utterances.query("split == 'test'").sort_values(["dialogue_id", "position"])
    own = test["utterance_id"].iloc[0]
    gone.loc[(gone["utterance_id"] == own) & (gone["part"] == "tv"), "weight"] = np.nan
    shown = viewer.conversations(changed(whole, contributions=gone))
    turn = shown["dialogues"][0]["turns"][0]
    assert turn[4][shown["weights"].index("fusion tv")] is None
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert viewer.conversations(changed(whole, contributions=None))["weights"] == []


def test_long_corpora_are_cut_at_a_dialogue_and_it_is_said(whole, monkeypatch):
    monkeypatch.setattr(viewer, "MOST_UTTERANCES", 25)
    shown = viewer.conversations(whole)
    assert [len(dialogue["turns"]) for dialogue in shown["dialogues"]] == [10, 10]
    assert shown["left_out"] == 4
    monkeypatch.setattr(viewer, "MOST_UTTERANCES", 3)
    assert [len(dialogue["turns"]) for dialogue in viewer.conversations(whole)["dialogues"]] == [10]
    monkeypatch.setattr(viewer, "MOST_UTTERANCES", 25)
    assert "4 further dialogues are left out" in rendered([whole])


def test_what_people_said_cannot_leave_its_script(whole):
    utterances = whole.utterances.assign(text=f"</script>{EVIL}")
    page = rendered([changed(whole, utterances=utterances)])
    assert f"</script>{EVIL}" not in page
    assert page.count("</script>") == page.count("<script")


def test_no_predictions_no_viewer(whole):
    assert viewer.conversations(changed(whole, predictions=None)) is None
    assert viewer.conversations(changed(whole, utterances=None)) is None
    blind = whole.utterances.assign(split="train")
    assert viewer.conversations(changed(whole, utterances=blind)) is None


def test_heads_that_were_never_trained_are_not_shown(whole):
    metrics = whole.metrics[~whole.metrics["head"].isin(["v", "av"])]
    shown = viewer.conversations(changed(whole, metrics=metrics))
    assert shown["heads"] == ["t", "a", "ta", "tv", "tav"]
