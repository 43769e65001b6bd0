"""What every page shares: templates, embedded figures and tables."""

from functools import partial
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

from erc_kedro import templates
from erc_kedro.escaping import visible
from erc_kedro.report.plots.style import TEMPLATE
from erc_kedro.report.section import Table
from erc_kedro.report.tables.printed import printed

template = partial(templates.template, "erc_kedro.report.pages")


def embedded(figure: go.Figure, identity: str) -> dict[str, Any]:
    """The figure as a page holds it: an id, its height in pixels and its inline JSON."""
    height = figure.layout.height or TEMPLATE.layout.height
    return {"id": identity, "height": height, "json": inline(figure.to_json())}


def inline(data: str) -> Markup:
    """JSON as it may stand in a page: a "<" in a label could otherwise close the script that holds it."""
    return Markup(visible(data).replace("<", "\\u003c"))


def shown(table: Table) -> dict[str, Any]:
    """The table as the templates' macro takes it."""
    return {"title": table.title, "frame": printed(table)}
