"""What this project adds to Kedro's command line: lists in ``--params``.

Kedro splits ``--params`` at every comma, so that ``experiments=[full,no_gates],seeds=5`` falls apart.
"""

import re
from typing import Any

import click
from kedro.framework.cli import project, utils


@click.group(name="erc-kedro")
def cli() -> None:
    """Kedro's commands."""


def split_parameters(context: click.Context, option: Any, value: Any) -> Any:
    """``a=1,b=[x,y]`` as nested mappings; commas inside brackets belong to the list."""
    if not isinstance(value, str) or not re.search(r"\[|\bruns=", value):
        return utils._split_params(context, option, value)
    from omegaconf import OmegaConf

    items = [item.strip() for item in re.split(r",(?![^\[]*\])", value) if item.strip()]
    for item in items:
        if not re.match(r"[^=\s]+\s*=", item):
            context.fail(f"Invalid format of `{option.name}` option: Item `{item}` must be `key=value`.")
    return OmegaConf.to_container(OmegaConf.from_dotlist([_quoted(item) for item in items]))


def _quoted(item: str) -> str:
    """An id of a run such as 056e8697 would be read as a number."""
    key, _, names = item.partition("=")
    if key.strip() != "runs":
        return item
    quoted = (f"'{name.strip()}'" for name in names.strip(" []").split(",") if name.strip())
    return f"runs=[{','.join(quoted)}]"


for _option in project.run.params:
    if _option.name == "params":
        _option.callback = split_parameters
cli.add_command(project.run)
