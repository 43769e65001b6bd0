"""Tables of MLflow runs: their scores and tests, and the parameters that differ."""

from collections.abc import Mapping, Sequence

import pandas as pd

from erc_kedro.evaluation.units import counted
from erc_kedro.parameters import nested
from erc_kedro.report.labels import NONE
from erc_kedro.report.scaling import scaled_briefly
from erc_kedro.report.section import Table
from erc_kedro.schemas import TrackedRun

TITLE = (
    "Scores × 100 on test: means ± standard deviations over seeds; differences to the first run of the "
    "corpus that keeps its predictions, with a paired permutation test; intervals and tests are over what "
    "the column over names"
)
# Characters of a parameter that are shown, and of a corpus that a file is called after.
LONGEST, LONGEST_NAME = 16, 100


def runs_table(runs: Sequence[TrackedRun], compared: pd.DataFrame) -> pd.DataFrame:
    """The runs' scores, tests and verdicts, and beside them what the scaling of each reads.

    Args:
        runs: in the order of the rows.
        compared: ``evaluation.runs.runs_comparison`` of them.
    """
    notes = zip(compared["note"], (_scaled(run.parameters) for run in runs), strict=True)
    units = zip(compared["units"], compared["unit"], strict=True)
    made = compared.assign(
        note=["; ".join(filter(None, parts)) for parts in notes],
        over=[counted(count, unit) if count else NONE for count, unit in units],
    )
    # The note stays the last of what is printed.
    return made[[*made.columns.drop(["note", "verdict"]), "note", "verdict"]]


def table_of_scores(rows: pd.DataFrame) -> Table:
    """Of some rows of :func:`runs_table` as printed: sentences have no place in a table."""
    return Table(TITLE, rows.drop(columns=["unit", "units", "verdict"]).reset_index(drop=True))


def tables_of_runs(runs: Sequence[TrackedRun], table: pd.DataFrame) -> dict[str, Table]:
    """The page's tables by name: ``runs`` of all corpora, and ``parameters_<corpus>`` that differ."""
    made = {"runs": table_of_scores(table)}
    for number, (corpus, rows) in enumerate(table.groupby("corpus", sort=False)):
        differing = differences([runs[int(index)] for index in rows.index])
        if len(differing.frame):
            # The store may be others', too, and the name becomes a file's.
            named = str(corpus)
            proper = named.isidentifier() and len(named) <= LONGEST_NAME
            made[f"parameters_{named if proper else number}"] = differing
    return made


def differences(runs: Sequence[TrackedRun]) -> Table:
    """The logged parameters that are not the same in all runs."""
    names = sorted({name for run in runs for name in run.parameters})
    rows = [(name, *(run.parameters.get(name, "") for run in runs)) for name in names]
    rows = [
        (name, *(value if len(value) <= LONGEST else f"{value[:LONGEST]}…" for value in values))
        for name, *values in rows
        if len(set(values)) > 1
    ]
    columns = ["parameter", *(f"{run.tags.get('experiment', '')} {run.id[:8]}" for run in runs)]
    return Table("Parameters that differ", pd.DataFrame(rows, columns=columns), "counts")


def _scaled(parameters: Mapping[str, str]) -> str:
    # Logged parameters are flat, and an empty mapping is text.
    said = ("train.model.causal", "train.model.modalities", "train.model.architecture", "train.withhold")
    names = [name for name in parameters if name.startswith("train.scaling.") or name in said]
    return scaled_briefly(nested({name: parameters[name] for name in names}).get("train") or {})
