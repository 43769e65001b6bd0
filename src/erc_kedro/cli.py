"""What this project adds to Kedro's command line.

Lists in ``--params``: Kedro splits at every comma, so that ``experiments=[full,no_gates],seeds=5`` falls
apart. Paths from where they are typed: a run stays where the project is. And errors that say what to fix,
without the page of calls in between.
"""

import glob
import os
import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import click
import yaml
from kedro.framework.cli import project, utils
from kedro.framework.project import LOGGING
from kedro.utils import find_kedro_project

from erc_kedro.errors import PlainError
from erc_kedro.escaping import line, visible


@click.group(name="erc-kedro")
def cli() -> None:
    """Kedro's commands."""


def split_parameters(context: click.Context, option: Any, value: Any) -> Any:
    """``a=1,b=[x,y]`` as nested mappings.

    Commas inside brackets belong to the list. Paths to what lies in the folder that they are typed in are
    made absolute where that is not the project's.
    """
    typed = _split(context, option, value)
    here = Path.cwd()
    return typed if find_kedro_project(here) in (None, here) else _located(typed, here)


def _split(context: click.Context, option: Any, value: Any) -> Any:
    if not isinstance(value, str) or not re.search(r"\[|\b(?:runs|recordings?|model)\s*=", value):
        return utils._split_params(context, option, value)
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    items = [item.strip() for item in re.split(r",(?![^\[]*\])", value) if item.strip()]
    for item in items:
        if not re.match(r"[^=\s]+\s*=", item):
            context.fail(f"Invalid format of `{option.name}` option: Item `{item}` must be `key=value`.")
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([_quoted(item) for item in items]))
    except (YAMLError, OmegaConfBaseException) as error:
        context.fail(f"Invalid format of `{option.name}` option: {visible(value)!r} ({line(error, 200)}).")


def _quoted(item: str) -> str:
    """An id of a run such as 056e8697, or a recording called 007, would be read as a number."""
    key, _, names = item.partition("=")
    if key.strip() in ("recording", "recordings", "model") and not names.strip().startswith("["):
        return "{}='{}'".format(key.strip(), names.strip().replace("'", "''"))
    if key.strip() not in ("runs", "recordings"):
        return item
    quoted = (
        "'{}'".format(name.strip().replace("'", "''"))
        for name in names.strip(" []").split(",")
        if name.strip()
    )
    return f"{key.strip()}=[{','.join(quoted)}]"


def _located(value: Any, here: Path, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _located(own, here, name) for name, own in value.items()}
    if isinstance(value, list):
        return [_located(own, here, key) for own in value]
    # A word without a slash may be a name, but for the key of a folder or file.
    named = key.endswith("raw") or key == "recordings"
    is_path = isinstance(value, str) and value != "" and ("/" in value or named)
    if not is_path:
        return value
    there = (here / value).exists() or (key == "recordings" and any(glob.iglob(str(here / value))))
    return os.path.abspath(here / value) if there else value


def print_plainly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Lets a command end on an error's message; ERC_TRACEBACK=1 shows where it was raised."""
    from kedro.io import DatasetError
    from kedro.validation.exceptions import ParameterValidationError
    from pydantic import ValidationError

    plain = (PlainError, DatasetError, ParameterValidationError, ValidationError)
    if os.environ.get("ERC_TRACEBACK") or not isinstance(error, plain):
        # Messages quote names and texts of data, which may hold what commands a terminal.
        print(visible("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)
        return
    # Pydantic adds what it was given, whole, and a link to its own pages.
    said = re.sub(
        r" \[type=\w+, input_value=.*\]$|^ *For further information visit .*\n?",
        "",
        str(error),
        flags=re.M,
    )
    name = "Error" if kind is PlainError else kind.__name__
    print(f"\n{name}: {visible(said)}\n(ERC_TRACEBACK=1 shows where it was raised.)", file=sys.stderr)


sys.excepthook = print_plainly


def _log_as_in_the_project() -> None:
    """Kedro looks for logging.yml in the folder that a run starts in alone."""
    here = Path.cwd()
    root = find_kedro_project(here)
    own = root / "conf" / "logging.yml" if root else None
    if root != here and own and own.exists() and "KEDRO_LOGGING_CONFIG" not in os.environ:
        LOGGING.configure(yaml.safe_load(own.read_text("utf-8")))


_log_as_in_the_project()
run = project.run
for _option in run.params:
    if _option.name == "params":
        _option.callback = split_parameters
cli.add_command(run)
