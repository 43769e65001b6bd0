"""A modality's worth is the difference to the same model without it, tested as other differences are."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from erc_kedro import schemas
from erc_kedro.evaluation.modalities import modality_table
from tests.evaluation.test_comparison import dialogues, predicted

ALL = ["text", "audio", "visual"]


def facts(modalities, withhold=(), scaling="train", made="x"):
    shown = [name for name in modalities if name not in withhold]
    return {
        "key": f"{modalities} {withhold} {scaling} {made}",
        "shown": shown,
        "features": {name: {"made": made} for name in shown},
        "parameters": {
            "model": {"modalities": modalities, "hidden": 8},
            "withhold": list(withhold),
            "scaling": scaling,
        },
    }


EXPERIMENTS = {
    "full": facts(ALL),
    "only_text_audio": facts(["text", "audio"]),
    "only_text_visual": facts(["text", "visual"]),
    "only_text": facts(["text"]),
    "shown_text_audio": facts(ALL, ["visual"]),
    # None of these is the same model with fewer modalities.
    "by_speaker": facts(["text", "audio"], scaling="speaker"),
    "other_vectors": facts(["audio", "visual"], made="y"),
    "untrained": facts(["visual"]) | {"key": None},
}
RIGHT = {
    "full": 0.5,
    "only_text_audio": 0.8,
    "only_text_visual": 0.5,
    "only_text": 0.3,
    "shown_text_audio": 0.5,
}


def made(right=RIGHT, seeds=3, dialogues=40):
    parts = [
        predicted(seeds, dialogues, share, name, start) for start, (name, share) in enumerate(right.items())
    ]
    return pd.concat(parts, ignore_index=True)


def table_of(predictions, experiments=EXPERIMENTS, reference="full"):
    return modality_table(predictions, dialogues(predictions), experiments, reference, draws=500)


def test_each_modality_is_added_withheld_and_alone_where_that_was_compared():
    table = schemas.compared_modalities.validate(table_of(made()))
    test = table[table["split"] == "test"]
    assert test[["modality", "comparison", "experiment"]].to_numpy().tolist() == [
        ["text", "alone", "only_text"],
        ["audio", "added", "only_text_visual"],
        ["visual", "added", "only_text_audio"],
        ["visual", "shown", "shown_text_audio"],
    ]
    assert set(table.loc[table["split"] == "val", "experiment"]) == {
        "only_text",
        "only_text_audio",
        "only_text_visual",
    }


def test_differences_are_of_the_scores_that_scikit_learn_has():
    predictions = made()
    row = table_of(predictions).query("experiment == 'only_text' and split == 'test'").iloc[0]
    scores = {}
    for name in ("full", "only_text"):
        own = predictions[(predictions["experiment"] == name) & (predictions["split"] == "test")]
        guess = own.filter(like="p_").idxmax(axis=1).str[2:]
        by_seed = [
            f1_score(own["label"][of_seed], guess[of_seed], average="weighted")
            for of_seed in (own["seed"] == seed for seed in range(3))
        ]
        scores[name] = np.mean(by_seed)
    assert row["reference_score"] == pytest.approx(scores["full"])
    assert row["score"] == pytest.approx(scores["only_text"])
    assert row["difference"] == pytest.approx(scores["full"] - scores["only_text"])
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_a_modality_that_harms_on_validation_is_named_with_the_mend():
    notes = table_of(made()).query("note != ''")
    assert notes[["split", "experiment"]].to_numpy().tolist() == [["val", "only_text_audio"]]
    note = notes["note"].iloc[0]
    assert note.startswith("On validation full is below only_text_audio, which was trained without visual")
    assert "train.model.modalities: [text, audio]" in note
    assert "train.modality_dropout" in note


def test_differences_that_chance_makes_are_hardly_ever_named():
    named = 0
    for start in range(20):
        parts = [
            predicted(2, 30, 0.5, name, 100 * start + at) for at, name in enumerate(["full", "only_text"])
        ]
        named += (table_of(pd.concat(parts, ignore_index=True))["note"] != "").sum()
    assert named <= 2


def test_of_two_modalities_one_test_is_counted_once():
    experiments = {"full": facts(["text", "audio"]), "only_text": facts(["text"])}
    predictions = made({"full": 0.6, "only_text": 0.5})
    table = table_of(predictions, experiments).query("split == 'test'")
    assert table[["modality", "comparison"]].to_numpy().tolist() == [["text", "alone"], ["audio", "added"]]
    assert (table["p_corrected"] == table["p"]).all()


def test_only_seeds_that_both_have_are_compared():
    predictions = made()
    fewer = predictions[(predictions["experiment"] != "only_text") | (predictions["seed"] == 2)]
    row = table_of(fewer).query("experiment == 'only_text' and split == 'test'").iloc[0]
    alone = table_of(predictions[predictions["seed"] == 2])
    same = alone.query("experiment == 'only_text' and split == 'test'").iloc[0]
    assert row["difference"] == pytest.approx(same["difference"])
    none = predictions[(predictions["experiment"] != "only_text") | (predictions["seed"] > 2)]
    assert "only_text" not in set(table_of(none)["experiment"])


@pytest.mark.parametrize("reference", ["absent", "untrained", "only_text"])
def test_without_a_reference_or_subsets_there_is_no_row(reference):
    table = schemas.compared_modalities.validate(table_of(made(), EXPERIMENTS, reference))
    assert table.empty


def test_utterances_without_labels_count_nothing():
    predictions = made()
    experiments = copy.deepcopy(EXPERIMENTS)
    known = table_of(predictions, experiments)
    extra = predictions.iloc[::7].assign(
        label=None, utterance_id=lambda rows: "val_d0_extra" + rows["utterance_id"]
    )
    every = pd.concat([predictions, extra], ignore_index=True)
    names = dialogues(every)
    table = modality_table(every, names, experiments, "full", draws=500)
    pd.testing.assert_frame_equal(table, known)
