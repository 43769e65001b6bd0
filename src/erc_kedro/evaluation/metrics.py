"""Scores of a classifier, recomputable from the predictions table by a few lines of scikit-learn.

The predictions table has one row a seed, utterance and head, with columns ``seed``, ``utterance_id``,
``split``, ``head``, ``label`` (null where unlabelled) and one probability column ``p_<class>`` a class.
A row's prediction is the class of its highest probability, the first one on ties. Unlabelled rows are
never scored.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

ECE_BINS = 15
# The head that predicts, with all that the network sees.
PREDICTION = "tav"
# What a split is scored by, beside the F1 of each class.
SCORES = ("accuracy", "weighted_f1", "macro_f1", "uar", "ece")
# The same of all classes but one, for corpora whose papers leave a majority class out (DailyDialog).
WITHOUT_MAJORITY = ("micro_f1_without_majority", "macro_f1_without_majority")
TABLE_COLUMNS = ["seed", "split", "head", "metric", "value"]


def class_columns(predictions: pd.DataFrame) -> list[str]:
    """Names of the probability columns, ``p_<class>``, in the table's order.

    Raises:
        ValueError: if there is none.
    """
    columns = [column for column in predictions.columns if column.startswith("p_")]
    if not columns:
        raise ValueError(f"no probability column p_<class> among {list(predictions.columns)}")
    return columns


def class_names(predictions: pd.DataFrame) -> list[str]:
    """The classes, in the order of their probability columns."""
    return [column.removeprefix("p_") for column in class_columns(predictions)]


def class_codes(labels: Sequence[str] | pd.Series, classes: Sequence[str]) -> np.ndarray:
    """Each label's position in ``classes``: integers [N].

    Raises:
        ValueError: naming the labels that are not in ``classes``.
    """
    codes = pd.Index(classes).get_indexer(pd.Index(labels))
    if (codes < 0).any():
        unknown = sorted({str(label) for label, code in zip(labels, codes, strict=True) if code < 0})
        raise ValueError(f"labels without a probability column: {unknown}; classes are {list(classes)}")
    return codes


def confidence_bins(confidence: np.ndarray, bins: int = ECE_BINS) -> np.ndarray:
    """Which of the equal-width bins ``(k/bins, (k+1)/bins]`` each confidence lies in: integers [N]."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def calibration_error(correct: np.ndarray, confidence: np.ndarray, bins: int = ECE_BINS) -> float:
    """Expected calibration error: mean gap between confidence and accuracy, weighted by bin size.

    Equal-width bins ``(k/bins, (k+1)/bins]`` on the highest probability (Guo et al., ICML 2017).

    Args:
        correct: whether the top class is the true one, bool [N].
        confidence: the highest probability, [N], in 0 to 1.
        bins: number of bins.
    """
    index = confidence_bins(confidence, bins)
    hits = np.bincount(index, weights=correct, minlength=bins)
    promised = np.bincount(index, weights=confidence, minlength=bins)
    return float(np.abs(hits - promised).sum() / len(confidence))


def classification_metrics(
    labels: Sequence[str] | pd.Series,
    probabilities: np.ndarray,
    classes: Sequence[str],
    majority: str | None = None,
) -> dict[str, float]:
    """Scores of one set of predictions, each between 0 and 1.

    A class that occurs neither in truth nor among the predictions has no F1: its value is NaN and it
    does not count in ``macro_f1``, which is the mean over the classes that occur in either. A class
    that occurs in only one of them has an F1 of 0.

    Args:
        labels: true labels [N], each one of ``classes``.
        probabilities: [N, C], columns in the order of ``classes``.
        classes: the closed set of labels [C].
        majority: the class that two further scores leave out, if any.

    Returns:
        ``accuracy``, ``weighted_f1`` (by the classes' true counts), ``macro_f1``, ``uar`` (unweighted
        mean recall over the classes that occur in truth), ``ece`` (15 bins) and ``f1_<class>``. With a
        majority class also ``micro_f1_without_majority`` and ``macro_f1_without_majority``: scikit-learn's
        ``f1_score`` with ``labels`` all other classes that occur; 0 where none does.

    Raises:
        ValueError: for no rows, shapes that disagree, probabilities that are not finite, or a label
            or majority class outside ``classes``.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.shape != (len(labels), len(classes)) or not len(labels):
        raise ValueError(
            f"probabilities of shape {probabilities.shape} for {len(labels)} labels and {len(classes)} "
            "classes; at least one row is needed"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities must be finite")
    truth = class_codes(labels, classes)
    predicted = probabilities.argmax(axis=1)
    correct = truth == predicted
    _, recall, f1, support = _class_scores(truth, predicted, len(classes))
    counts = confusion_counts(truth, predicted, len(classes))
    without = {} if majority is None else _without(counts, f1, class_codes([majority], classes)[0])
    return {
        "accuracy": float(correct.mean()),
        "weighted_f1": float(np.average(np.nan_to_num(f1), weights=support)),
        "macro_f1": float(np.nanmean(f1)),
        "uar": float(recall[support > 0].mean()),
        "ece": calibration_error(correct, probabilities.max(axis=1)),
        **without,
        **{f"f1_{name}": float(value) for name, value in zip(classes, f1, strict=True)},
    }


def _without(counts: np.ndarray, f1: np.ndarray, majority: int) -> dict[str, float]:
    others = np.arange(len(f1)) != majority
    # Over classes, TP + FN are the true ones and TP + FP the predicted ones.
    either = (counts.sum(axis=0) + counts.sum(axis=1))[others].sum()
    if not either:
        return dict.fromkeys(WITHOUT_MAJORITY, 0.0)
    micro = 2 * counts.diagonal()[others].sum() / either
    return dict(zip(WITHOUT_MAJORITY, (float(micro), float(np.nanmean(f1[others]))), strict=True))


def metrics_table(predictions: pd.DataFrame, majority: str | None = None) -> pd.DataFrame:
    """:func:`classification_metrics` for each seed, split and head.

    Args:
        majority: the class that two further scores leave out, if any (``description["majority_label"]``).

    Returns:
        A long table with columns seed, split, head, metric, value (``schemas.metrics``), in the order
        of the predictions. A split without labelled rows has no rows.
    """
    columns, classes = class_columns(predictions), class_names(predictions)
    rows = [
        (*key, metric, value)
        for key, group in _labelled(predictions).groupby(["seed", "split", "head"], sort=False)
        for metric, value in classification_metrics(
            group["label"], group[columns].to_numpy(), classes, majority
        ).items()
    ]
    return pd.DataFrame(rows, columns=TABLE_COLUMNS).astype({"seed": "int64", "value": "float64"})


def confusion(predictions: pd.DataFrame, split: str, head: str = PREDICTION) -> pd.DataFrame:
    """Counts summed over seeds, [C, C]: rows are the truth, columns the prediction.

    All zero where the split has no labelled rows.
    """
    classes = class_names(predictions)
    rows = _labelled(predictions).query("split == @split and head == @head")
    counts = confusion_counts(class_codes(rows["label"], classes), _predicted(rows), len(classes))
    return pd.DataFrame(
        counts, index=pd.Index(classes, name="truth"), columns=pd.Index(classes, name="predicted")
    )


def per_class(predictions: pd.DataFrame, split: str, head: str = PREDICTION) -> pd.DataFrame:
    """Precision, recall and F1 of each class: means over seeds, and the F1's standard deviation.

    Returns:
        One row a class with columns class, precision, recall, f1, f1_std (ddof=1; NaN for one seed),
        support (labelled utterances of one seed). Scores are NaN for a class that occurs neither in
        truth nor among the predictions. No rows where the split has no labelled ones.
    """
    classes = class_names(predictions)
    rows = _labelled(predictions).query("split == @split and head == @head")
    by_seed = [
        pd.DataFrame(
            dict(
                zip(
                    ("precision", "recall", "f1", "support"),
                    _class_scores(class_codes(group["label"], classes), _predicted(group), len(classes)),
                    strict=True,
                ),
            ),
            index=pd.Index(classes, name="class"),
        )
        for _, group in rows.groupby("seed")
    ]
    if not by_seed:
        return pd.DataFrame(columns=["class", "precision", "recall", "f1", "f1_std", "support"])
    grouped = pd.concat(by_seed).groupby(level="class", sort=False)
    table = grouped.mean()
    table.insert(3, "f1_std", grouped["f1"].std())
    return table.astype({"support": "int64"}).reset_index()


def summary(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds of a metrics table.

    Returns:
        One row each split, head and metric, with columns split, head, metric, mean, std (ddof=1; NaN
        for one seed), seeds (how many have a value). Seeds without a value are left out of both.
    """
    return (
        metrics.groupby(["split", "head", "metric"], sort=False)["value"]
        .agg(mean="mean", std="std", seeds="count")
        .reset_index()
    )


def over_seeds(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Accuracy and weighted F1 of each group of rows, one row a seed: mean and standard deviation.

    Returns:
        The columns ``by``, accuracy, accuracy_std, weighted_f1, weighted_f1_std (ddof=1; NaN for one seed).
    """
    grouped = table.groupby(by, sort=False)
    scores = {
        f"{name}{end}": getattr(grouped[name], how)()
        for name in ("accuracy", "weighted_f1")
        for end, how in (("", "mean"), ("_std", "std"))
    }
    return pd.DataFrame(scores).reset_index()


def _labelled(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[predictions["label"].notna()]


def _predicted(predictions: pd.DataFrame) -> np.ndarray:
    return predictions[class_columns(predictions)].to_numpy().argmax(axis=1)


def confusion_counts(truth: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """Counts [C, C] of integer codes [N] below ``count``: rows are the truth, columns the prediction."""
    return np.bincount(truth * count + predicted, minlength=count * count).reshape(count, count)


def accuracy_and_weighted_f1(truth: np.ndarray, predicted: np.ndarray, count: int) -> tuple[float, float]:
    """The two of integer codes [N >= 1] below ``count``, as :func:`classification_metrics` defines them."""
    _, _, f1, support = _class_scores(truth, predicted, count)
    return float((truth == predicted).mean()), float(np.average(np.nan_to_num(f1), weights=support))


def _class_scores(
    truth: np.ndarray, predicted: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall, F1 and support [C] of integer codes [N]; NaN scores for a class in neither.

    scikit-learn's to the last bit, and without the ten milliseconds in which it looks at what it was given: a
    report scores some hundred parts of a corpus.
    """
    counts = confusion_counts(truth, predicted, count)
    hits, support, found = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    either = np.where(support + found > 0, 1.0, np.nan)
    precision, recall = (either * hits / np.maximum(of, 1) for of in (found, support))
    # F1 = 2 TP / (2 TP + FP + FN).
    return precision, recall, either * (2 * hits) / np.maximum(support + found, 1), support
