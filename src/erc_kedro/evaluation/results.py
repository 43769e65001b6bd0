"""Every number that a report shows of one corpus, computed once from the tables that were made of it."""

from collections.abc import Mapping, Sequence

import pandas as pd

from erc_kedro.evaluation.calibration import calibration_table, reliability, selective_table
from erc_kedro.evaluation.intervals import score_interval
from erc_kedro.evaluation.metrics import (
    PREDICTION,
    SCORES,
    WITHOUT_MAJORITY,
    confusion,
    per_class,
    summary,
)
from erc_kedro.evaluation.slices import (
    confident_errors,
    degradation_scores,
    mean_probabilities,
    slice_scores,
    slicings,
)
from erc_kedro.evaluation.units import units_of
from erc_kedro.schemas import SPLITS
from erc_kedro.sentences import unused_name

# What the kinds of weights are called that networks are inspected for (``schemas.contributions``).
WEIGHTS = {"gate": "gates", "balance": "pairs", "product": "products", "fusion": "fusion"}


def corpus_results(
    *,
    predictions: pd.DataFrame | None = None,
    metrics: pd.DataFrame | None = None,
    utterances: pd.DataFrame | None = None,
    contributions: pd.DataFrame | None = None,
    degraded: pd.DataFrame | None = None,
    labels: Sequence[str] = (),
    groups: Mapping[str, str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Tables of results by name; those whose data are not there, or hold nothing to score, are left out.

    Args:
        predictions, metrics, utterances, contributions, degraded: by their schemas; None where not made.
        labels: the corpus's classes, in order.
        groups: speaker to group, where the corpus names groups.

    Returns:
        Scores are in 0 to 1.

        - ``summary``: :func:`metrics.summary` of all metrics; ``headline``: see :func:`headline`.
        - Of the trimodal head on test, where it predicted labelled utterances: ``classes`` and
          ``confusion`` (of all seeds; ``…_one_seed`` of the first), ``calibration``, ``reliability``,
          ``selective``, ``errors``, and the parts of ``slices.slicings`` by their names.
        - ``probabilities`` of test utterances, means over seeds.
        - ``weights`` of test utterances, means over seeds (kind, part, utterance_id, weight); and the
          same by true emotion (:func:`weights_by_emotion`), named as in ``WEIGHTS``.
        - ``degraded``: scores with a modality missing or noisy.
        - ``counts`` of utterances by label and split.
    """
    made: dict[str, pd.DataFrame] = {}
    roles = None if utterances is None else _roles(utterances, predictions)
    if metrics is not None:
        made["summary"] = summary(metrics)
        made["headline"] = headline(made["summary"], predictions, utterances)
    if predictions is not None:
        made["probabilities"] = mean_probabilities(predictions)
        if _scored(predictions):
            made |= _of_predictions(predictions, utterances)
            if roles is not None:
                parts = slicings(roles, groups)
                scores = {name: slice_scores(predictions, part_of) for name, part_of in parts.items()}
                made |= {name: table for name, table in scores.items() if len(table)}
    if contributions is not None and roles is not None:
        test = roles.loc[roles["split"] == "test", "utterance_id"]
        rows = contributions[contributions["utterance_id"].isin(test)]
        keys = ["kind", "part", "utterance_id"]
        made["weights"] = rows.groupby(keys, sort=False)["weight"].mean().reset_index()
        for kind, name in WEIGHTS.items():
            table = weights_by_emotion(contributions, roles, kind, labels)
            if len(table):
                made[name] = table
    if degraded is not None:
        scored = degradation_scores(degraded)
        if len(scored):
            made["degraded"] = scored
    if utterances is not None:
        made["counts"] = label_counts(utterances, labels)
    return made


def headline(
    spread: pd.DataFrame, predictions: pd.DataFrame | None, utterances: pd.DataFrame | None
) -> pd.DataFrame:
    """The trimodal head's headline scores.

    Args:
        spread: ``metrics.summary`` of the corpus.

    Returns:
        One row a split (val, test) and metric of ``SCORES`` and, where there are any, ``WITHOUT_MAJORITY``,
        with columns split, metric, mean, std (over seeds; NaN for one), seeds, low, high (the 95 % interval
        of the test weighted F1; NaN elsewhere and where predictions or utterances are missing), unit, units
        (what the interval is over, and how many of these were scored; 0 where the interval is NaN for want of
        tables).
    """
    wanted = (spread["head"] == PREDICTION) & spread["metric"].isin((*SCORES, *WITHOUT_MAJORITY))
    rows = spread[wanted & spread["split"].isin(("val", "test"))].drop(columns="head")
    rows = rows.assign(low=float("nan"), high=float("nan"), unit="dialogue", units=0)
    if predictions is not None and utterances is not None and _scored(predictions):
        tested = (rows["split"] == "test") & (rows["metric"] == "weighted_f1")
        units, scored = units_of(utterances), _tested(predictions)
        rows.loc[tested, ["low", "high"]] = score_interval(scored, units.of)
        rows["unit"] = units.kind
        rows.loc[tested, "units"] = scored["utterance_id"].map(units.of).nunique()
    return rows


def weights_by_emotion(
    contributions: pd.DataFrame, utterances: pd.DataFrame, kind: str, labels: Sequence[str] = ()
) -> pd.DataFrame:
    """Mean weight of each part over test utterances of each true emotion, and over all of them.

    Means are over utterances first and then over seeds.

    Returns:
        Columns part, one a label, all (in brackets where a label is called so). No rows where the
        networks have no such weights.
    """
    label = utterances.query("split == 'test'").set_index("utterance_id")["label"]
    rows = contributions[(contributions["kind"] == kind) & contributions["utterance_id"].isin(label.index)]
    if rows["weight"].notna().sum() == 0:
        return pd.DataFrame(columns=["part"])
    parts = list(rows["part"].unique())
    names = list(labels or label.dropna().unique())
    by_seed = rows.assign(label=rows["utterance_id"].map(label))
    table = (
        by_seed.groupby(["part", "label", "seed"])["weight"]
        .mean()
        .groupby(["part", "label"])
        .mean()
        .unstack()
    )
    table = table.reindex(index=parts, columns=names).astype(float)
    every = by_seed.groupby(["part", "seed"])["weight"].mean().groupby("part").mean()
    # What rests on a modality that nobody has is no part of it.
    table = table.assign(**{unused_name("all", names): every}).dropna(how="all").rename_axis(None, axis=1)
    table.insert(0, unused_name("part", table.columns), table.index.astype(object))
    return table.reset_index(drop=True)


def label_counts(utterances: pd.DataFrame, labels: Sequence[str] = ()) -> pd.DataFrame:
    """Utterances of each label and split.

    Returns:
        Columns label, one a split, all; a row a label, in the order of ``labels``, then the unlabelled, then
        all of them (named otherwise where a label is called so).
    """
    label = utterances["label"].astype(object)
    label = label.where(label.notna(), unused_name("no label", {*label.dropna(), "no label"}))
    table = pd.crosstab(label, utterances["split"]).reindex(columns=list(SPLITS), fill_value=0)
    known = [name for name in labels if name in table.index]
    table = table.loc[known + [name for name in table.index if name not in known]]
    every = unused_name("all", table.index)
    table.loc[every] = table.sum()
    table = table.assign(all=table.sum(axis=1)).rename_axis(None, axis=1)
    table.insert(0, "label", table.index.astype(object))
    return table.reset_index(drop=True)


def _roles(utterances: pd.DataFrame, predictions: pd.DataFrame | None) -> pd.DataFrame:
    """The utterances with what was predicted as test in ``test``: in a corpus of folds, all of them once."""
    if predictions is None:
        return utterances
    tested = set(predictions.loc[predictions["split"] == "test", "utterance_id"])
    return utterances.assign(split=utterances["split"].mask(utterances["utterance_id"].isin(tested), "test"))


def _of_predictions(predictions: pd.DataFrame, utterances: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    one_seed = predictions[predictions["seed"] == predictions["seed"].min()]
    errors = confident_errors(predictions)
    if utterances is not None:
        said = utterances.set_index("utterance_id")
        errors.insert(2, "speaker", errors["utterance_id"].map(said["speaker"]))
        errors.insert(3, "text", errors["utterance_id"].map(said["text"]))
    return {
        "classes": per_class(predictions, "test", PREDICTION),
        "classes_one_seed": per_class(one_seed, "test", PREDICTION),
        "confusion": confusion(predictions, "test", PREDICTION),
        "confusion_one_seed": confusion(one_seed, "test", PREDICTION),
        "calibration": calibration_table(predictions),
        "reliability": reliability(predictions),
        "selective": selective_table(predictions),
        "errors": errors,
    }


def _tested(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions.query("split == 'test' and head == @PREDICTION and label.notna()")


def _scored(predictions: pd.DataFrame) -> bool:
    """Whether the trimodal head predicted labelled test utterances."""
    return len(_tested(predictions)) > 0
