"""Parts of a split and their scores, against scikit-learn and a plain reading of the dialogues."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from erc_kedro.evaluation.metrics import class_columns
from erc_kedro.evaluation.slices import (
    confident_errors,
    degradation_scores,
    mean_probabilities,
    shifts,
    slice_scores,
    slicings,
)
from tests.evaluation.test_metrics import CLASSES, random_predictions


def utterances_of(predictions):
    rng = np.random.default_rng(3)
    once = predictions.drop_duplicates("utterance_id")
    count = len(once)
    table = pd.DataFrame(
        {
            "utterance_id": once["utterance_id"].to_numpy(),
            "dialogue_id": [f"d{n // 12}" for n in range(count)],
            "position": [n % 12 for n in range(count)],
            "speaker": rng.choice(["A", "B", "C"], count),
            "text": ["w " * n for n in rng.integers(0, 30, count)],
            "label": once["label"].to_numpy(object),
            "split": once["split"].to_numpy(),
        }
    )
    # Rows need not come in the order of the dialogue.
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture(scope="module")
def predictions():
    return random_predictions(utterances=240)


@pytest.fixture(scope="module")
def utterances(predictions):
    return utterances_of(predictions)


def test_a_shift_is_seen_against_the_same_speaker_s_last_label():
    rows = [
        # dialogue, position, speaker, label, what it is
        ("x", 0, "A", "joy", "first"),
        ("x", 1, "B", "joy", "first"),
        ("x", 2, "A", "anger", "shift"),
        ("x", 3, "A", None, None),
        ("x", 4, "A", "anger", "steady"),
        ("x", 5, "B", "joy", "steady"),
        ("y", 0, "A", "joy", "first"),
    ]
    table = pd.DataFrame(rows, columns=["dialogue_id", "position", "speaker", "label", "kind"])
    table["utterance_id"] = [f"u{n}" for n in range(len(table))]
    found = shifts(table.sample(frac=1, random_state=1))
    for row in table.itertuples():
        kind = found[row.utterance_id]
        assert pd.isna(kind) if pd.isna(row.kind) else kind == row.kind


def test_every_utterance_is_in_one_part_of_each_slicing(utterances):
    found = slicings(utterances, {"A": "old", "B": "young"})
    for name in ("position", "length", "speaker"):
        assert set(found[name].index) == set(utterances["utterance_id"])
        assert found[name].notna().all()
    row = utterances.set_index("utterance_id")
    for utterance, part in found["position"].items():
        first, *last = part.replace(" or more", " to 999").split(" to ")
        assert int(first) <= row.loc[utterance, "position"] + 1 <= int(last[0] if last else first)
    for utterance, part in found["length"].items():
        first, *last = part.replace(" or more", " to 999").split(" to ")
        assert int(first) <= len(row.loc[utterance, "text"].split()) <= int(last[0] if last else first)
    speaker = row["speaker"].reindex(found["group"].index)
    assert (found["group"].isna() == (speaker == "C")).all()
    assert (found["group"][speaker == "A"] == "old").all()


def test_rare_speakers_are_taken_together():
    count = 60
    table = pd.DataFrame(
        {
            "utterance_id": [f"u{n}" for n in range(count)],
            "dialogue_id": "d",
            "position": range(count),
            "speaker": [f"s{n % 20}" if n < 40 else "s0" for n in range(count)],
            "text": "a",
            "label": "joy",
            "split": "test",
        }
    )
    found = slicings(table)["speaker"]
    assert found.cat.categories[0] == "s0"
    assert found.cat.categories[-1] == "the other 8"
    assert (found == "the other 8").sum() == 16


def test_scores_of_each_part_are_scikit_learn_s(predictions, utterances):
    part_of = slicings(utterances)["speaker"]
    found = slice_scores(predictions, part_of).set_index("part")
    for part in ("A", "B", "C"):
        accuracies, f1s = [], []
        for seed in (0, 1, 2):
            rows = predictions.query("split == 'test' and head == 'tav' and label.notna()")
            rows = rows[(rows["seed"] == seed) & (rows["utterance_id"].map(part_of) == part)]
            guess = np.array(CLASSES)[rows[class_columns(rows)].to_numpy().argmax(1)]
            accuracies.append(accuracy_score(rows["label"], guess))
            f1s.append(f1_score(rows["label"], guess, average="weighted"))
            assert found.loc[part, "utterances"] == len(rows)
        assert found.loc[part, "accuracy"] == pytest.approx(np.mean(accuracies))
        assert found.loc[part, "accuracy_std"] == pytest.approx(np.std(accuracies, ddof=1))
        assert found.loc[part, "weighted_f1"] == pytest.approx(np.mean(f1s))


def test_parts_come_in_order_and_only_where_labelled(predictions, utterances):
    part_of = slicings(utterances)["position"]
    assert slice_scores(predictions, part_of)["part"].tolist() == ["1", "2 to 3", "4 to 7", "8 to 15"]
    blind = predictions.assign(label=None)
    assert slice_scores(blind, part_of).empty


def test_the_surest_errors_are_errors_and_the_surest(predictions):
    found = confident_errors(predictions, most=3)
    rows = predictions.query("split == 'test' and head == 'tav' and label.notna()")
    mean = rows.groupby(["utterance_id", "label"])[class_columns(rows)].mean()
    guess = np.array(CLASSES)[mean.to_numpy().argmax(1)]
    labels = mean.index.get_level_values("label").to_numpy()
    for name in CLASSES:
        wrong = mean[(labels == name) & (guess != labels)].max(axis=1).sort_values(ascending=False)
        own = found[found["label"] == name]
        assert own["utterance_id"].tolist() == wrong.index.get_level_values(0)[:3].tolist()
        assert own["probability"].to_numpy() == pytest.approx(wrong.to_numpy()[:3])
        assert (own["predicted"] != name).all()
        assert (own["own"] < own["probability"]).all()
    assert list(dict.fromkeys(found["label"])) == CLASSES


def test_mean_probabilities_are_means_over_seeds(predictions):
    found = mean_probabilities(predictions).set_index(["head", "utterance_id"])
    row = predictions.query("split == 'test' and head == 't'").iloc[0]["utterance_id"]
    own = predictions.query("utterance_id == @row and head == 't'")
    columns = class_columns(predictions)
    assert found.loc[("t", row), columns].to_numpy(float) == pytest.approx(own[columns].mean().to_numpy())


def test_degradation_scores_are_scikit_learn_s():
    rng = np.random.default_rng(4)
    keys = [(s, a) for s in (0, 1) for a in (0.0, 0.5)]
    table = pd.concat(
        pd.DataFrame(
            {
                "kind": "missing",
                "modality": "audio",
                "amount": amount,
                "seed": seed,
                "label": rng.choice([*CLASSES, None], 50),
                "predicted": rng.choice(CLASSES, 50),
            }
        )
        for seed, amount in keys
    )
    found = degradation_scores(table)
    assert found["amount"].tolist() == [0, 0.5]
    own = table[(table["amount"] == 0.5) & table["label"].notna()]
    f1s = [f1_score(g["label"], g["predicted"], average="weighted") for _, g in own.groupby("seed")]
    assert found["weighted_f1"][1] == pytest.approx(np.mean(f1s))
    assert found["weighted_f1_std"][1] == pytest.approx(np.std(f1s, ddof=1))
    assert degradation_scores(table.assign(label=None)).empty


def test_single_utterances_have_no_place_and_no_shift(predictions):
    table = utterances_of(predictions)
    assert {"shift", "position"} <= set(slicings(table))
    alone = table.assign(dialogue_id=table["utterance_id"], position=0)
    assert list(slicings(alone)) == ["length", "speaker"]
