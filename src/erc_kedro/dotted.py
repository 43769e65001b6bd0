"""Code that configuration names as ``package.module:Name``: imported, or refused in a sentence."""

import re
import traceback
from collections.abc import Iterable
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

from erc_kedro.errors import PlainError
from erc_kedro.escaping import line

_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_dotted(name: str) -> bool:
    """Whether a name is of the form ``package.module:Name``."""
    return _NAME.fullmatch(name) is not None


def known(name: str, names: Iterable[str], what: str, form: str = "Class") -> str:
    """The name, if it is one of ours or somebody's own.

    Args:
        names: ours.
        what: they are, for the message; form: what stands behind the colon of somebody's own.

    Raises:
        ValueError: it is neither.
    """
    ours = list(names)
    if name not in ours and not is_dotted(name):
        raise ValueError(
            f"{name!r} is no {what}; there are {', '.join(ours)}, or your own as package.module:{form}"
        )
    return name


def imported(name: str, parameter: str, refused: type[PlainError]) -> Any:
    """What a dotted name stands for.

    Args:
        name: of the form that ``is_dotted`` knows.
        parameter: that has it, for messages.
        refused: raised, in one sentence, where there is no such module or it has no such name, or where
            importing it fails.
    """
    module, _, attribute = name.partition(":")
    # A file that was written since this process began.
    invalidate_caches()
    try:
        found = import_module(module)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            place = f"src/{module.replace('.', '/')}.py"
            raise refused(
                f"{parameter}: {name}: there is no module {missing}; write {place}, or install the package "
                "that has it"
            ) from error
        raise refused(f"{parameter}: {name}: {module} cannot be imported ({failure(error, name)})") from error
    if not hasattr(found, attribute):
        own = [key for key, value in vars(found).items() if getattr(value, "__module__", None) == module]
        raise refused(
            f"{parameter}: {name}: {module} ({getattr(found, '__file__', 'built in')}) has no {attribute}; "
            f"it has {', '.join(key for key in own if not key.startswith('_')) or 'nothing of its own'}"
        )
    return getattr(found, attribute)


def failure(error: BaseException, name: str) -> str:
    """An error of somebody's own code: its kind, what it says, and the line that it comes from.

    Args:
        name: of the code, dotted.
    """
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg}, {Path(error.filename or '?').name} line {error.lineno}"
    package = re.split(r"[.:]", name)[0]
    lines = [
        f", {Path(frame.f_code.co_filename).name} line {number}"
        for frame, number in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    return f"{type(error).__name__}: {line(error, 300)}{lines[-1] if lines else ''}"
