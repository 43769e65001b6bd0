"""What each modality adds: a model against the same one without it, and against it alone."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from erc_kedro.evaluation.comparison import holm, paired_test
from erc_kedro.evaluation.intervals import difference_interval, metric_from_counts, unit_counts
from erc_kedro.evaluation.units import Units

# A subset is better than all where chance alone makes it so with at most this probability, corrected.
_P = 0.05
_COLUMNS = ["reference_score", "score", "difference", "difference_low", "difference_high", "p"]
Counts = dict[int, np.ndarray]


def modality_table(
    predictions: pd.DataFrame,
    units: Units,
    experiments: Mapping[str, Mapping[str, Any]],
    reference: str,
    draws: int = 10_000,
) -> pd.DataFrame:
    """The reference against those of its subsets of modalities that were compared.

    A subset is an experiment that differs from the reference in ``model.modalities`` alone (trained on fewer)
    or in ``withhold`` alone (the same weights, shown fewer), its vectors being the same.

    Args:
        predictions: of one head, with a column ``experiment``.
        units: what intervals and tests are over.
        experiments: by name the ``parameters`` and ``key`` of its training, the modalities that are ``shown``
            and the ``features`` of each.
        reference: the experiment that reads all modalities.
        draws: of the paired test.

    Returns:
        ``schemas.compared_modalities``: weighted F1 of the reference less that of a subset, over the seeds
        that both have. On test: ``added`` (to the other modalities in training), ``shown`` (beside the others
        to trained weights), ``alone`` (it is all that was trained on). On val: ``subset``, whatever was
        trained on fewer; the best of them has a ``note`` where it is above the reference beyond chance.
        ``p_corrected`` is Holm's over a split. No rows where no subset was compared.
    """
    own = experiments.get(reference)
    trained, shown = _subsets(experiments, own, "modalities"), _subsets(experiments, own, "withhold")
    every = frozenset(own["shown"] if own else ())
    pairs = [("val", "subset", "", name) for name in trained.values()]
    for modality in own["shown"] if own else ():
        others, alone = every - {modality}, frozenset([modality])
        pairs += [
            ("test", what, modality, found[subset])
            for what, found, subset in (
                ("added", trained, others),
                ("shown", shown, others),
                ("alone", trained, alone),
            )
            if subset in found
        ]
    rows = [
        {"split": split, "comparison": what, "modality": modality, "experiment": name, **tested}
        for (split, what, modality, name) in pairs
        if (tested := _tested(predictions, units, reference, name, split, draws)) is not None
    ]
    columns = ["split", "comparison", "modality", "experiment", *_COLUMNS]
    table = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(_COLUMNS, "float64"))
    # A model without the one of two modalities is one of the other alone: that is one test.
    table["p_corrected"] = np.nan
    for _, of_split in table.groupby("split"):
        once = of_split.drop_duplicates("experiment")
        corrected = dict(zip(once["experiment"], holm(once["p"].tolist()), strict=True))
        table.loc[of_split.index, "p_corrected"] = of_split["experiment"].map(corrected)
    table["note"] = ""
    for at, note in _notes(table, experiments, reference):
        table.loc[at, "note"] = note
    return table


def _subsets(
    experiments: Mapping[str, Mapping[str, Any]],
    reference: Mapping[str, Any] | None,
    differs: Literal["modalities", "withhold"],
) -> dict[frozenset[str], str]:
    """The first experiment of each proper subset of the reference's modalities that differs in this alone."""
    if reference is None or reference["key"] is None:
        return {}

    def rest(facts: Mapping[str, Any]) -> Any:
        train = facts["parameters"]
        model = {name: value for name, value in train["model"].items() if name != "modalities"}
        kept = {name: value for name, value in train.items() if name not in ("model", "withhold")}
        # What is not compared has to be the reference's.
        return kept, model, train["withhold"] if differs == "modalities" else train["model"]["modalities"]

    found: dict[frozenset[str], str] = {}
    for name, facts in experiments.items():
        subset = frozenset(facts["shown"])
        if facts["key"] is None or not subset < frozenset(reference["shown"]):
            continue
        own, other = facts.get("features", {}), reference.get("features", {})
        same = all(own.get(modality) == other.get(modality) for modality in subset)
        if same and rest(facts) == rest(reference):
            found.setdefault(subset, name)
    return found


def _tested(
    predictions: pd.DataFrame,
    units: Units,
    reference: str,
    name: str,
    split: str,
    draws: int,
) -> dict[str, float] | None:
    """The reference against another experiment on a split; None without labels or seeds that both have."""
    first, second = (_counts(predictions, units, each, split) for each in (reference, name))
    shared = [seed for seed in first if seed in second]
    if not shared:
        return None
    pair = [np.stack([counts[seed] for seed in shared]) for counts in (first, second)]
    scores = [float(metric_from_counts(counts.sum(axis=1), "weighted_f1").mean()) for counts in pair]
    difference, p = paired_test(pair[0], pair[1], draws=draws)
    interval = difference_interval(pair[0], pair[1])
    return dict(zip(_COLUMNS, (*scores, difference, *interval, p), strict=True))


def _counts(
    predictions: pd.DataFrame,
    units: Units,
    experiment: str,
    split: str,
) -> Counts:
    """Confusion counts of each seed, units in an order that all experiments share."""
    known = predictions["label"].notna() & (predictions["split"] == split)
    rows = predictions[known & (predictions["experiment"] == experiment)]
    if rows.empty:
        return {}
    rows = rows.drop(columns="experiment").sort_values(["seed", "utterance_id"])
    return dict(zip(rows["seed"].unique().tolist(), unit_counts(rows, units.of), strict=True))


def _notes(
    table: pd.DataFrame, experiments: Mapping[str, Mapping[str, Any]], reference: str
) -> Iterator[tuple[Any, str]]:
    """What to say where validation prefers fewer modalities, and to the best of them alone."""
    below = table[
        (table["split"] == "val") & (table["difference_high"] < 0) & (table["p_corrected"] < _P)
    ].sort_values("difference")
    for at, row in below.head(1).iterrows():
        fewer = experiments[row["experiment"]]["shown"]
        harmful = [modality for modality in experiments[reference]["shown"] if modality not in fewer]
        yield (
            at,
            (
                f"On validation {reference} is below {row['experiment']}, which was trained without "
                f"{' and '.join(harmful)}: weighted F1 {row['reference_score']:.3f} and {row['score']:.3f}, "
                f"difference {row['difference']:+.3f} ({row['difference_low']:+.3f} to "
                f"{row['difference_high']:+.3f}, p {row['p_corrected']:.3f} corrected). Leave "
                f"{'it' if len(harmful) == 1 else 'them'} out (train.model.modalities: "
                f"[{', '.join(fewer)}]), or raise train.modality_dropout."
            ),
        )
