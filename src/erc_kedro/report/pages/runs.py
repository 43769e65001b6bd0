"""MLflow runs beside each other, as a page."""

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from erc_kedro.evaluation.units import few_units
from erc_kedro.report.pages.page import embedded, shown, template
from erc_kedro.report.plots.scores import experiments_figure
from erc_kedro.report.tables.runs import differences, table_of_scores
from erc_kedro.schemas import TrackedRun


def render_runs(runs: Sequence[TrackedRun], table: pd.DataFrame, named: bool) -> str:
    """The page as HTML, with plotly.js, style and data inside it.

    Args:
        runs: as ``tables.runs.runs_table`` had them.
        table: what it made of them.
        named: whether somebody chose them.
    """
    groups = []
    for number, (corpus, rows) in enumerate(table.groupby(["corpus", "synthetic"], sort=False)):
        own = [runs[index] for index in rows.index]
        title = f"{corpus[0]} (synthetic)" if corpus[1] else corpus[0]
        scored = rows.assign(experiment=rows["experiment"] + " " + rows["run"])
        figure = experiments_figure(scored) if rows["weighted_f1"].notna().any() else None
        parameters = differences(own)
        # Runs of other data than the first have no units.
        most = rows.sort_values("units").iloc[-1]
        groups.append(
            {
                "title": title,
                "size": len(own),
                "figure": figure and embedded(figure, f"runs-{number}"),
                "table": shown(table_of_scores(rows.drop(columns=["corpus", "synthetic"]))),
                "verdicts": [sentence for sentence in rows["verdict"] if sentence],
                "few": few_units(int(most["units"]), most["unit"]),
                "parameters": shown(parameters) if len(parameters.frame) else None,
            }
        )
    return template("runs.html.jinja").render(
        groups=groups, named=named, synthetic=bool(table["synthetic"].any()), plotlyjs=Markup(get_plotlyjs())
    )
