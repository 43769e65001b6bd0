"""The names that a pickle may ask for, and what stands for calling them.

Nothing is imported or called: the arguments are as NumPy and pickle write them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from erc_kedro.corpora.pickles.arrays import plain_dtype
from erc_kedro.corpora.pickles.bounds import ARRAY, CONTAINER, ENTRY, NUMBER, POINTER, SET
from erc_kedro.corpora.pickles.errors import BrokenError
from erc_kedro.corpora.pickles.machine import Machine, Name, Type, Unfilled


def _unfilled(machine: Machine, given: tuple[Any, ...]) -> Unfilled:
    if given[0] is not _NDARRAY:
        raise BrokenError("an array of another kind than ndarray")
    machine.left -= ARRAY
    return Unfilled()


def _dtype(machine: Machine, given: tuple[Any, ...]) -> Type:
    if type(given[0]) is not str:
        raise BrokenError("a type of numbers has no name")
    machine.left -= ARRAY
    return Type(given[0])


def _scalar(machine: Machine, given: tuple[Any, ...]) -> Any:
    kind, data = given
    machine.left -= NUMBER
    if type(kind) is Type and type(data) is bytes and kind.name[:1] in "fiu":
        dtype = plain_dtype(kind.order + kind.name)
        if len(data) == dtype.itemsize:
            return np.frombuffer(data, dtype).item()
    return machine.array(kind, (), data, "C").item()


def _frombuffer(machine: Machine, given: tuple[Any, ...]) -> np.ndarray:
    data, kind, shape, order, *axes = given
    return machine.array(kind, shape, data, order, *axes)


def _encode(machine: Machine, given: tuple[Any, ...]) -> bytes:
    """``_codecs.encode``, which bytes of Python 3 are to protocols that have no bytes."""
    text, encoding = given if len(given) == 2 else (*given, "latin1")
    if type(text) is not str or type(encoding) is not str or encoding not in ("latin1", "latin-1"):
        raise BrokenError("text that is not of Latin-1 is made bytes")
    machine.left -= len(text)
    return text.encode("latin1")


def _bytes(machine: Machine, given: tuple[Any, ...]) -> bytes:
    if not given or type(given[0]) is bytes:
        return given[0] if given else b""
    return _encode(machine, given)


def _list(machine: Machine, given: tuple[Any, ...]) -> list[Any]:
    values = given[0] if given else []
    if type(values) not in (list, tuple):
        raise BrokenError("a list of what is none")
    machine.left -= CONTAINER + POINTER * len(values)
    return [*values]


def _tuple(machine: Machine, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_list(machine, given))


def _set(machine: Machine, given: tuple[Any, ...]) -> set[Any]:
    machine.left -= SET
    return machine.fill_set(set(), _list(machine, given))


def _dict(machine: Machine, given: tuple[Any, ...]) -> dict[Any, Any]:
    machine.left -= CONTAINER
    if given and type(given[0]) is dict:
        machine.left -= ENTRY * len(given[0])
        return {**given[0]}
    filled: dict[Any, Any] = {}
    for pair in _list(machine, given):
        machine.fill(filled, _list(machine, (pair,)))
    return filled


def _defaultdict(machine: Machine, given: tuple[Any, ...]) -> dict[Any, Any]:
    """A dict: what it would make of an absent key is nothing that a file holds."""
    return _dict(machine, given[1:])


def _range(machine: Machine, given: tuple[Any, ...]) -> range:
    if not all(type(number) is int for number in given) or (len(given) > 2 and given[2] == 0):
        raise BrokenError("a range of what are no integers")
    made = range(*given)
    if made and max(abs(made[0]), abs(made[-1])) < 2**63:
        machine.left -= NUMBER * (abs(made[-1] - made[0]) // abs(made.step) + 1)
    elif made:
        raise BrokenError("a range of what are no integers of 64 bits")
    return made


def _number(kind: type) -> "Callable[[Machine, tuple[Any, ...]], Any]":
    def call(_: Machine, given: tuple[Any, ...]) -> Any:
        # An integer of a float has up to a thousand bits.
        fit = (int, bool) if kind is int else (int, bool, float)
        if len(given) > 1 or not all(type(value) in fit for value in given):
            raise BrokenError("a number of what is none")
        return kind(*given)

    return call


def _text(machine: Machine, given: tuple[Any, ...]) -> str:
    if len(given) > 1 or not all(type(value) is str for value in given):
        raise BrokenError("text of what is none")
    return given[0] if given else ""


_CALLS: dict[str, dict[str, Callable[[Machine, tuple[Any, ...]], Any]]] = {
    "numpy": {"dtype": _dtype},
    "numpy.core.multiarray": {"_reconstruct": _unfilled, "scalar": _scalar},
    "numpy.core.numeric": {"_frombuffer": _frombuffer},
    "collections": {"OrderedDict": _dict, "defaultdict": _defaultdict},
    "_codecs": {"encode": _encode},
    "builtins": {
        "dict": _dict,
        "list": _list,
        "tuple": _tuple,
        "set": _set,
        "frozenset": _set,
        "range": _range,
        "xrange": _range,
        "bytes": _bytes,
        "bytearray": _bytes,
        "str": _text,
        "unicode": _text,
        "int": _number(int),
        "long": _number(int),
        "float": _number(float),
        "bool": _number(bool),
    },
}
_NDARRAY = Name("numpy.ndarray")
NAMES = {("numpy", "ndarray"): _NDARRAY} | {
    (module, name): Name(f"{module}.{name}", call)
    for module, calls in _CALLS.items()
    for name, call in calls.items()
}
