"""How messages and pages name things."""

from collections.abc import Iterable
from typing import Any

from erc_kedro.escaping import line

# Characters of a name.
_LONGEST = 80


def few(values: Iterable[Any], most: int = 5) -> str:
    """The first of some values, and how many more there are; each in one line, cut where it is long."""
    names = [*values]
    return ", ".join(line(name, _LONGEST) for name in names[:most]) + (
        f" and {len(names) - most} more" if len(names) > most else ""
    )


def unused_name(name: str, taken: Iterable[Any]) -> str:
    """The name, in as many brackets as it takes to be none of the data's own."""
    taken = set(taken)
    while name in taken:
        name = f"({name})"
    return name


def probability(p: float) -> str:
    """A p-value: three decimals without the nought before them, ``<.001`` below; a dash for NaN."""
    if p != p:
        return "–"
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 0.9995 else "1"
