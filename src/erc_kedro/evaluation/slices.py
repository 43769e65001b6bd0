"""Where a model errs: scores of parts of a split, and its most confident errors."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from erc_kedro.evaluation.metrics import (
    PREDICTION,
    accuracy_and_weighted_f1,
    class_codes,
    class_columns,
    class_names,
    classification_metrics,
    over_seeds,
)

# First places of each bin; the last is open.
POSITIONS = (1, 2, 4, 8, 16, 32)
WORDS = (0, 1, 3, 6, 11, 21)
MOST_SPEAKERS = 12


def shifts(utterances: pd.DataFrame) -> pd.Series:
    """Whether an utterance's emotion differs from the same speaker's last one in the dialogue.

    Returns:
        By utterance_id: ``shift``, ``steady`` or, where the speaker has said nothing labelled before,
        ``first``; null for the unlabelled.
    """
    table = utterances.sort_values(["dialogue_id", "position"])
    labelled = table[table["label"].notna()]
    before = labelled.groupby(["dialogue_id", "speaker"])["label"].shift()
    kind = np.where(before.isna(), "first", np.where(before == labelled["label"], "steady", "shift"))
    return _ordered(
        pd.Series(kind, labelled["utterance_id"].to_numpy(), dtype=object).reindex(
            utterances["utterance_id"].to_numpy()
        ),
        ["shift", "steady", "first"],
    )


def slicings(
    utterances: pd.DataFrame, groups: Mapping[str, str] | None = None, split: str = "test"
) -> dict[str, pd.Series]:
    """Ways to part a split; each maps utterance_id to its part, an ordered category.

    Args:
        utterances: ``schemas.utterances``.
        groups: speaker to group, such as the speaker's sex; speakers that it lacks are in none.
        split: whose most frequent speakers are named; the others are taken together.

    Returns:
        ``shift`` (:func:`shifts`) and ``position`` (counted from 1), where any dialogue has two utterances,
        ``length`` (in words), ``speaker`` and, where there are groups, ``group``.
    """
    ids = utterances["utterance_id"].to_numpy()
    spoken = utterances.loc[utterances["split"] == split, "speaker"].value_counts()
    named = list(spoken.index[:MOST_SPEAKERS])
    speaker = utterances["speaker"].where(
        utterances["speaker"].isin(named), f"the other {len(spoken) - len(named)}"
    )
    rest = [name for name in speaker.unique() if name not in named]
    found = {}
    if (utterances["position"] > 0).any():
        found["shift"] = shifts(utterances)
        found["position"] = _binned(pd.Series(utterances["position"].to_numpy() + 1, ids), POSITIONS)
    found |= {
        "length": _binned(pd.Series([len(text.split()) for text in utterances["text"]], ids), WORDS),
        "speaker": _ordered(pd.Series(speaker.to_numpy(object), ids), named + rest),
    }
    if groups:
        group = utterances["speaker"].map(dict(groups))
        found["group"] = _ordered(pd.Series(group.to_numpy(object), ids), sorted(set(groups.values())))
    return found


def slice_scores(
    predictions: pd.DataFrame, part_of: pd.Series, split: str = "test", head: str = PREDICTION
) -> pd.DataFrame:
    """Scores of each part of a split.

    Args:
        predictions: the predictions table.
        part_of: utterance_id to part, an ordered category; null for utterances in no part.

    Returns:
        One row a part that has labelled utterances, in order, with columns part, utterances (of one seed),
        accuracy, accuracy_std, weighted_f1, weighted_f1_std: means and standard deviations over seeds.
        The weighted F1 is over the classes as they occur in the part.
    """
    columns, classes = class_columns(predictions), class_names(predictions)
    here = (predictions["split"] == split) & (predictions["head"] == head) & predictions["label"].notna()
    rows = predictions[here]
    part = rows["utterance_id"].map(part_of.astype(object))
    found = []
    for (name, seed), own in rows.groupby([part, rows["seed"]]):
        scores = classification_metrics(own["label"], own[columns].to_numpy(), classes)
        found.append((name, seed, len(own), scores["accuracy"], scores["weighted_f1"]))
    table = pd.DataFrame(found, columns=["part", "seed", "utterances", "accuracy", "weighted_f1"])
    result = over_seeds(table, ["part"]).set_index("part")
    result.insert(0, "utterances", table.groupby("part", sort=False)["utterances"].max())
    order = [name for name in part_of.cat.categories if name in result.index]
    return result.loc[order].reset_index()


def degradation_scores(degraded: pd.DataFrame) -> pd.DataFrame:
    """Scores with a modality missing or noisy at test time, from predicted classes.

    Args:
        degraded: ``schemas.degraded``.

    Returns:
        One row a kind, modality and amount with columns kind, modality, amount, accuracy, accuracy_std,
        weighted_f1, weighted_f1_std: means and standard deviations over seeds. No rows without labels.
    """
    rows = degraded[degraded["label"].notna()]
    classes = sorted({*rows["label"], *rows["predicted"]})
    truth, guess = class_codes(rows["label"], classes), class_codes(rows["predicted"], classes)
    parts = rows.groupby(["kind", "modality", "amount", "seed"], sort=False).indices
    found = []
    for key, own in parts.items():
        # Of several columns, a key is a tuple, which its type does not say.
        assert isinstance(key, tuple)
        found.append((*key, *accuracy_and_weighted_f1(truth[own], guess[own], len(classes))))
    names = ["kind", "modality", "amount"]
    table = pd.DataFrame(found, columns=[*names, "seed", "accuracy", "weighted_f1"])
    return over_seeds(table, names)


def mean_probabilities(predictions: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Probabilities averaged over seeds, one row a head and utterance.

    Returns:
        Columns head, utterance_id, label and ``p_<class>``, in the order of the predictions.
    """
    rows = predictions[predictions["split"] == split]
    keys = ["head", "utterance_id"]
    mean = rows.groupby(keys, sort=False)[class_columns(rows)].mean()
    label = rows.drop_duplicates("utterance_id").set_index("utterance_id")["label"]
    mean = mean.reset_index()
    mean.insert(2, "label", mean["utterance_id"].map(label))
    return mean


def confident_errors(predictions: pd.DataFrame, split: str = "test", most: int = 10) -> pd.DataFrame:
    """The errors of each true class that the trimodal head is surest of, by its mean probability over seeds.

    Returns:
        Columns label, utterance_id, predicted, probability (of the predicted class), own (of the true
        one); at most ``most`` rows a class, in the order of the classes, the surest first.
    """
    mean = mean_probabilities(predictions[predictions["head"] == PREDICTION], split)
    mean = mean[mean["label"].notna()].reset_index(drop=True)
    names = np.array(class_names(predictions), object)
    p = mean[class_columns(predictions)].to_numpy()
    truth = pd.Index(names).get_indexer(pd.Index(mean["label"]))
    guess = p.argmax(axis=1) if len(p) else np.empty(0, int)
    each = np.arange(len(p))
    table = pd.DataFrame(
        {
            "label": pd.Categorical(mean["label"], categories=list(names)),
            "utterance_id": mean["utterance_id"],
            "predicted": names[guess],
            "probability": p[each, guess],
            "own": p[each, truth],
        }
    )[guess != truth]
    table = table.sort_values(["label", "probability"], ascending=[True, False], kind="stable")
    return table.groupby("label", observed=True).head(most).astype({"label": object}).reset_index(drop=True)


def _binned(values: pd.Series, starts: tuple[int, ...]) -> pd.Series:
    ends = [start - 1 for start in starts[1:]]
    names = [f"{a}" if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=False)]
    names.append(f"{starts[-1]} or more")
    index = np.searchsorted(np.array(starts), values.to_numpy(), side="right") - 1
    return _ordered(pd.Series(np.array(names, object)[index], values.index), names)


def _ordered(parts: pd.Series, order: list[str]) -> pd.Series:
    return parts.astype(pd.CategoricalDtype(order, ordered=True))
