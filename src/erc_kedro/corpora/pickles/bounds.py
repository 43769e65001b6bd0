"""What values weigh, and how much a pickle may build."""

from typing import Any

import numpy as np

from erc_kedro.corpora.pickles.errors import BrokenError, TooLargeError

MOST_NESTED = 32
# Bytes in memory, roughly; enough that none is for nothing.
POINTER, NUMBER, ENTRY, CONTAINER, SET, ARRAY = 8, 32, 100, 72, 224, 160
ATOMS = (int, float, bool, type(None))
TEXTS = (str, bytes)
CONTAINERS = (dict, list, tuple, set)
_LEAVES = frozenset((*ATOMS, *TEXTS, np.ndarray, range))


def weigh(value: Any, allowed: int) -> None:
    """Refuse what is not plain, holds itself, or would be read without end.

    A list that holds a list twice, which holds one twice, and so on, is small to build and endless to read.
    """
    weights: dict[int, tuple[int, int] | None] = {}
    todo = [(value, False)]
    if type(value) not in CONTAINERS:
        _leaf(value)
    while todo:
        value, done = todo.pop()
        if type(value) not in CONTAINERS:
            continue
        inside = value.values() if type(value) is dict else value
        if done:
            weight, height = CONTAINER, 0
            kinds = set(map(type, inside))
            if kinds <= set(ATOMS):
                weight += (POINTER + NUMBER) * len(value)
            else:
                for part in inside:
                    known = weights[id(part)] if type(part) in CONTAINERS else None
                    weight += known[0] if known else _leaf(part)
                    height = max(height, known[1] if known else 0)
            if weight > allowed:
                raise TooLargeError(f"with what is shared in it, it is more than {allowed:,} bytes")
            if height >= MOST_NESTED:
                raise TooLargeError(f"it is nested more than {MOST_NESTED} deep")
            weights[id(value)] = weight, height + 1
        elif id(value) not in weights:
            weights[id(value)] = None
            todo.append((value, True))
            if not set(map(type, inside)).isdisjoint(CONTAINERS):
                todo += [
                    (part, False)
                    for part in {id(part): part for part in inside}.values()
                    if type(part) in CONTAINERS
                ]
        elif weights[id(value)] is None:
            raise BrokenError("a value holds itself")


def _leaf(value: Any) -> int:
    if type(value) not in _LEAVES:
        raise BrokenError("it holds what is no value, such as an array that was never filled")
    if isinstance(value, np.ndarray):
        return ARRAY + max(value.nbytes, 4 * value.size)
    if isinstance(value, str | bytes):
        return POINTER + len(value)
    return POINTER + NUMBER * (len(value) if isinstance(value, range) else 1)
