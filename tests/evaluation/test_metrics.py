"""Every number of evaluation.metrics against scikit-learn or plain loops, on random predictions."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from erc_kedro import schemas
from erc_kedro.evaluation.metrics import (
    WITHOUT_MAJORITY,
    class_columns,
    classification_metrics,
    confusion,
    metrics_table,
    per_class,
    summary,
)
from tests.conftest import examples

CLASSES = ["joy", "anger", "neutral", "fear"]


def random_predictions(seeds=(0, 1, 2), heads=("t", "tav"), utterances=120, true_classes=CLASSES):
    rng = np.random.default_rng(5)
    labels = rng.choice(true_classes, utterances).astype(object)
    labels[rng.random(utterances) < 0.1] = None
    splits = rng.choice(["train", "val", "test"], utterances)
    tables = []
    for seed in seeds:
        for head in heads:
            probabilities = rng.dirichlet([0.5] * len(CLASSES), utterances).astype("float32")
            table = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in CLASSES])
            table = table.assign(seed=seed, utterance_id=[f"u{n}" for n in range(utterances)])
            tables.append(table.assign(split=splits, head=head, label=pd.array(labels, dtype="str")))
    return pd.concat(tables, ignore_index=True)


def truth_and_prediction(predictions, **where):
    rows = predictions[predictions["label"].notna()]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    predicted = np.array(CLASSES)[rows[class_columns(rows)].to_numpy().argmax(axis=1)]
    return rows["label"].to_numpy(object).astype(str), predicted


@pytest.fixture
def scored():
    predictions = random_predictions(seeds=(0,), heads=("tav",))
    predictions = predictions[predictions["label"].notna()]
    probabilities = predictions[class_columns(predictions)].to_numpy()
    truth, predicted = truth_and_prediction(predictions)
    return truth, predicted, probabilities, classification_metrics(truth, probabilities, CLASSES)


def test_scores_are_scikit_learns(scored):
    truth, predicted, _, metrics = scored
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert metrics["weighted_f1"] == pytest.approx(f1_score(truth, predicted, average="weighted"))
    assert metrics["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert metrics["uar"] == pytest.approx(balanced_accuracy_score(truth, predicted))
    by_class = f1_score(truth, predicted, labels=CLASSES, average=None)
    assert [metrics[f"f1_{name}"] for name in CLASSES] == pytest.approx(by_class)


def test_calibration_error_is_that_of_a_plain_loop(scored):
    truth, predicted, probabilities, metrics = scored
    confidence = probabilities.max(axis=1)
    expected = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            gap = abs((truth == predicted)[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert metrics["ece"] == pytest.approx(expected)


def test_certain_and_right_is_perfectly_calibrated():
    metrics = classification_metrics(CLASSES, np.eye(4), CLASSES)
    assert metrics["ece"] == 0
    assert metrics["weighted_f1"] == metrics["macro_f1"] == metrics["uar"] == 1


def test_a_class_in_neither_truth_nor_prediction_has_no_f1_and_does_not_count():
    truth, predicted = ["joy", "joy", "anger"], ["joy", "anger", "anger"]
    probabilities = np.eye(4)[[CLASSES.index(name) for name in predicted]]
    metrics = classification_metrics(truth, probabilities, CLASSES)
    assert np.isnan(metrics["f1_neutral"])
    assert np.isnan(metrics["f1_fear"])
    assert metrics["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))


def test_a_class_only_predicted_counts_as_zero_in_macro_f1_and_not_in_recall():
    truth, predicted = ["joy", "joy", "anger"], ["joy", "fear", "anger"]
    probabilities = np.eye(4)[[CLASSES.index(name) for name in predicted]]
    metrics = classification_metrics(truth, probabilities, CLASSES)
    assert metrics["f1_fear"] == 0
    assert metrics["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert metrics["weighted_f1"] == pytest.approx(f1_score(truth, predicted, average="weighted"))
    assert metrics["uar"] == pytest.approx((0.5 + 1) / 2)


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([], np.zeros((0, 4)), "at least one row"),
        (["joy"], np.ones((1, 3)), "shape"),
        (["joy"], np.full((1, 4), np.nan), "finite"),
        (["bored"], np.ones((1, 4)), "bored"),
    ],
)
def test_what_cannot_be_scored_is_refused(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, probabilities, CLASSES)


def test_table_scores_each_seed_split_and_head_without_unlabelled_rows():
    predictions = random_predictions()
    table = schemas.metrics.validate(metrics_table(predictions))
    assert len(table) == 3 * 3 * 2 * (5 + len(CLASSES))
    for key, rows in table.groupby(["seed", "split", "head"]):
        truth, predicted = truth_and_prediction(
            predictions, **dict(zip(["seed", "split", "head"], key, strict=True))
        )
        values = rows.set_index("metric")["value"]
        assert values["weighted_f1"] == pytest.approx(f1_score(truth, predicted, average="weighted"))
        assert values["accuracy"] == pytest.approx(accuracy_score(truth, predicted))


def test_an_unlabelled_split_has_no_rows():
    predictions = random_predictions()
    predictions.loc[predictions["split"] == "test", "label"] = None
    assert set(metrics_table(predictions)["split"]) == {"train", "val"}
    assert confusion(predictions, "test").to_numpy().sum() == 0
    assert per_class(predictions, "test").empty
    predictions["label"] = None
    assert metrics_table(predictions).empty


def test_confusion_sums_over_seeds():
    predictions = random_predictions(true_classes=CLASSES[:3])
    counts = confusion(predictions, "test", "t")
    truth, predicted = truth_and_prediction(predictions, split="test", head="t")
    assert (counts.to_numpy() == confusion_matrix(truth, predicted, labels=CLASSES)).all()
    assert list(counts.index) == list(counts.columns) == CLASSES
    assert counts.loc["fear"].sum() == 0


def test_per_class_is_the_mean_over_seeds():
    predictions = random_predictions(true_classes=CLASSES[:3])
    table = per_class(predictions, "test").set_index("class")
    for name, score in [("precision", precision_score), ("recall", recall_score), ("f1", f1_score)]:
        by_seed = [
            score(
                *truth_and_prediction(predictions, seed=seed, split="test", head="tav"),
                labels=CLASSES,
                average=None,
                zero_division=0,
            )
            for seed in range(3)
        ]
        assert table[name].to_numpy() == pytest.approx(np.mean(by_seed, axis=0))
        if name == "f1":
            assert table["f1_std"].to_numpy() == pytest.approx(np.std(by_seed, axis=0, ddof=1))
    truth, _ = truth_and_prediction(predictions, seed=0, split="test", head="tav")
    assert table["support"].tolist() == [(truth == name).sum() for name in CLASSES]


def test_summary_over_seeds_and_of_one():
    table = metrics_table(random_predictions())
    row = summary(table).query("split == 'test' and head == 'tav' and metric == 'uar'").iloc[0]
    values = table.query("split == 'test' and head == 'tav' and metric == 'uar'")["value"]
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["std"] == pytest.approx(np.std(values, ddof=1))
    assert row["seeds"] == 3
    single = summary(table[table["seed"] == 0])
    assert single["std"].isna().all()


@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=12))
@settings(deadline=None, max_examples=examples(60))
def test_without_the_majority_class_f1_is_scikit_learn_s(pairs):
    truth, predicted = map(list, zip(*pairs, strict=True))
    chances = np.eye(len(CLASSES))[[CLASSES.index(name) for name in predicted]]
    scores = classification_metrics(truth, chances, CLASSES, "neutral")
    others = [name for name in CLASSES if name != "neutral"]
    micro = f1_score(truth, predicted, labels=others, average="micro", zero_division=0)
    assert scores["micro_f1_without_majority"] == pytest.approx(micro)
    occurring = [name for name in others if name in {*truth, *predicted}]
    macro = f1_score(truth, predicted, labels=occurring, average="macro") if occurring else 0
    assert scores["macro_f1_without_majority"] == pytest.approx(macro)
    assert scores.keys() - classification_metrics(truth, chances, CLASSES).keys() == set(WITHOUT_MAJORITY)


def test_a_majority_class_must_be_one_of_the_classes(scored):
    truth, _, probabilities, _ = scored
    with pytest.raises(ValueError, match="labels without a probability column: \\['calm'\\]"):
        classification_metrics(truth, probabilities, CLASSES, "calm")


@given(st.integers(2, 4), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=examples(15))
def test_pooled_folds_are_scored_as_one_concatenation(folds, start):
    rng = np.random.default_rng(start)
    parts = []
    for seed, fold in itertools.product(range(2), range(folds)):
        # Each fold is test once, and validates the fold after it.
        for split, of in (("test", fold), ("val", (fold + 1) % folds)):
            rows = pd.DataFrame(
                rng.dirichlet([1] * len(CLASSES), 3 + of), columns=[f"p_{name}" for name in CLASSES]
            )
            ids = [f"{of}_{n}" for n in range(3 + of)]
            labels = np.random.default_rng(of).choice(CLASSES, 3 + of)
            parts.append(rows.assign(seed=seed, utterance_id=ids, split=split, head="tav", label=labels))
    pooled = pd.concat(parts, ignore_index=True).sample(frac=1, random_state=start % 1000)
    table = metrics_table(pooled).set_index(["seed", "split", "metric"])["value"]
    for seed, split in itertools.product(range(2), ("val", "test")):
        truth, predicted = truth_and_prediction(pooled, seed=seed, split=split)
        assert len(truth) == sum(3 + fold for fold in range(folds))
        expected = f1_score(truth, predicted, average="weighted")
        assert table[seed, split, "weighted_f1"] == pytest.approx(expected)
        recall = recall_score(truth, predicted, labels=sorted(set(truth)), average="macro")
        assert table[seed, split, "uar"] == pytest.approx(recall)
        assert table[seed, split, "accuracy"] == pytest.approx(accuracy_score(truth, predicted))


def test_class_columns_are_those_of_probabilities():
    assert class_columns(random_predictions()) == [f"p_{name}" for name in CLASSES]
    with pytest.raises(ValueError, match="p_<class>"):
        class_columns(pd.DataFrame({"seed": [1]}))
