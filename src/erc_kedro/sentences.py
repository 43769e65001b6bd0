"""How messages and pages name things."""

from collections.abc import Iterable
from typing import Any


def few(values: Iterable[Any], most: int = 5) -> str:
    """The first of some values, and how many more there are."""
    names = [str(value) for value in values]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
