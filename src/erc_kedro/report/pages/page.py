"""What every page shares: templates, embedded figures and tables."""

from functools import cache
from typing import Any

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup

from erc_kedro.escaping import visible
from erc_kedro.report.plots.style import TEMPLATE
from erc_kedro.report.section import Table
from erc_kedro.report.tables.printed import printed


@cache
def template(name: str) -> jinja2.Template:
    """A page's template; what it does not define is an error, what it is given is escaped, and visible."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("erc_kedro.report.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


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
