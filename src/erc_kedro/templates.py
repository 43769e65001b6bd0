"""Templates of HTML pages, which escape whatever they are given."""

from functools import cache

import jinja2

from erc_kedro.escaping import visible


@cache
def template(package: str, name: str) -> jinja2.Template:
    """A page's template; what it does not define is an error, what it is given is escaped, and visible.

    Args:
        package: in whose folder ``templates`` it lies.
        name: of the file.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
