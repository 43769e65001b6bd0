"""MLflow runs tested against each other: of several experiments, corpora and dates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.evaluation.comparison import TESTS, comparison_table, digest_of_cells
from erc_kedro.evaluation.metrics import PREDICTION
from erc_kedro.evaluation.units import Units
from erc_kedro.evaluation.verdicts import verdict
from erc_kedro.schemas import TrackedRun

COLUMNS = (
    *("corpus", "synthetic", "run", "experiment", "started", "revision", "accuracy", "accuracy_std"),
    *("uar", "uar_std", "weighted_f1", "weighted_f1_std", "low", "high", "macro_f1", "macro_f1_std"),
    *("val_weighted_f1", "difference", "difference_low", "difference_high", "effect", "p", "p_corrected"),
    *("unit", "units", "note", "verdict"),
)
NO_PREDICTIONS = "keeps no predictions: scores as logged, no test"
OTHER_DATA = "of other test utterances than the first: no test"
UNKNOWN_DATA = "of other utterances than those on disk: no interval, no test"


def runs_comparison(runs: Sequence[TrackedRun], units: Mapping[str, Units]) -> pd.DataFrame:
    """One row a run: its scores on test, and its paired test against the first run of its corpus.

    Args:
        runs: in the order of the rows.
        units: by corpus, what intervals and tests are over.

    Returns:
        ``COLUMNS``, of which synthetic is a bool; scores in 0 to 1, NaN where unknown; no units where the run
        was not scored anew. Scores are computed anew where a run keeps its predictions, else as it logged
        them.
    """
    rows = [_logged(run) for run in runs]
    first: dict[str, str] = {}
    comparable: dict[str, list[tuple[int, pd.DataFrame]]] = {}
    for index, run in enumerate(runs):
        corpus = run.tags.get("corpus", "")
        predictions = _prediction(run)
        if predictions is None:
            rows[index]["note"] = "; ".join(filter(None, (rows[index]["note"], NO_PREDICTIONS)))
            continue
        labelled = predictions[(predictions["split"] == "test") & predictions["label"].notna()]
        if corpus not in units or not set(labelled["utterance_id"]) <= set(units[corpus].of.index):
            rows[index]["note"] = UNKNOWN_DATA
            continue
        content = _content(labelled)
        if first.setdefault(corpus, content) != content:
            rows[index]["note"] = OTHER_DATA
            continue
        comparable.setdefault(corpus, []).append((index, predictions))
    for corpus, own in comparable.items():
        names = [runs[index].id for index, _ in own]
        alike: dict[str, str] = {}
        same_as = {}
        for index, predictions in own:
            name = runs[index].id
            if (first_alike := alike.setdefault(_predicted(predictions), name)) != name:
                same_as[name] = first_alike
        every = pd.concat([table.assign(experiment=runs[index].id) for index, table in own])
        compared = comparison_table(every, units[corpus], names, names[0], 2000, same_as)
        # A copy of another's test is no further one.
        tests = int((compared["p"].notna() & ~compared["experiment"].isin(list(same_as))).sum())
        printed = {runs[index].id: f"{rows[index]['experiment']} {runs[index].id[:8]}" for index, _ in own}
        for (index, _), scores in zip(own, compared.to_dict("records"), strict=True):
            # The comparison knows the runs by their ids; so does a note that names the first.
            name = runs[index].id
            scores["note"] = scores["note"].replace(names[0], names[0][:8])
            if name in same_as:
                scores["note"] = f"the same predictions as {same_as[name][:8]}"
            named = {**scores, "experiment": printed[name]}
            same = printed.get(same_as.get(name, ""))
            scores["verdict"] = verdict(named, printed[names[0]], tests, same)
            kept = {str(key): value for key, value in scores.items() if key in rows[index]}
            rows[index] |= kept | {"experiment": rows[index]["experiment"]}
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _logged(run: TrackedRun) -> dict[str, Any]:
    def metric(name: str) -> float:
        return run.metrics.get(name, np.nan)

    scores = {
        f"{name}{end}": metric(f"test.{name}{end.replace('_', '.')}")
        for name in ("accuracy", "uar", "weighted_f1", "macro_f1")
        for end in ("", "_std")
    }
    return {
        "corpus": run.tags.get("corpus", ""),
        "synthetic": run.tags.get("synthetic") == "True",
        "run": run.id[:8],
        "experiment": run.tags.get("experiment", ""),
        "started": run.started.strftime("%Y-%m-%d %H:%M UTC"),
        "revision": run.parameters.get("git_revision", "")[:8],
        **scores,
        "val_weighted_f1": metric("val.weighted_f1"),
        **dict.fromkeys(("low", "high", *TESTS), np.nan),
        "unit": "",
        "units": 0,
        "verdict": "",
        "note": "" if run.status == "FINISHED" else run.status.lower(),
    }


def _prediction(run: TrackedRun) -> pd.DataFrame | None:
    if run.predictions is None:
        return None
    rows = run.predictions[run.predictions["head"] == PREDICTION]
    return rows if ((rows["split"] == "test") & rows["label"].notna()).any() else None


def _content(labelled: pd.DataFrame) -> str:
    """What two runs must share to be compared: test utterances, labels and classes."""
    once = labelled.drop_duplicates("utterance_id").sort_values("utterance_id")
    classes = [column for column in labelled.columns if column.startswith("p_")]
    return repr((classes, once["utterance_id"].tolist(), once["label"].tolist()))


def _predicted(predictions: pd.DataFrame) -> str:
    """A hash of what was predicted of test, whatever the order of the rows."""
    test = predictions[predictions["split"] == "test"].sort_values(["seed", "utterance_id"])
    columns = ["seed", "utterance_id", *(column for column in test.columns if column.startswith("p_"))]
    return digest_of_cells(test[columns])
