"""Every number of evaluation.metrics against scikit-learn or plain loops, on random predictions."""

import numpy as np
import pandas as pd
import pytest
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
    class_columns,
    classification_metrics,
    confusion,
    metrics_table,
    per_class,
    summary,
)

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


def test_class_columns_are_those_of_probabilities():
    assert class_columns(random_predictions()) == [f"p_{name}" for name in CLASSES]
    with pytest.raises(ValueError, match="p_<class>"):
        class_columns(pd.DataFrame({"seed": [1]}))
