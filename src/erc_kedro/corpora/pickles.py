"""Pickles of published features, read without running what they ask for.

A pickle is a program for a stack machine whose instructions import and call anything; and what NumPy makes
of a forged state reads memory that is not its own. This machine knows the instructions and the dozen names
that files of plain values need, of protocols 0 to 5, Python 2 and 3, NumPy 1 and 2. It imports and calls
nothing, and makes an array itself, of exactly as many bytes as its type and shape say.

What it makes is bounded by the bytes allowed, whatever the file asks for: as it grows, and once more with
each shared part counted wherever it stands, which is what a reader walks.
"""

import codecs
import math
import re
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

_MOST_INSTRUCTIONS = 100_000_000
_MOST_NESTED = 32
# Strings are hashed with a secret, numbers are not: many that collide would fill a dict in quadratic time.
_MOST_NUMBERS_AS_KEYS = 65_536
_INTEGER_BYTES = 9
_NUMBER_CHARACTERS = 64

# Bytes in memory, roughly; enough that none is for nothing.
_POINTER, _NUMBER, _ENTRY, _CONTAINER, _SET, _ARRAY = 8, 32, 100, 72, 224, 160

_PLAIN = re.compile(r"b1|[iu][1248]|f[248]|[SU][1-9]\d{0,7}")
_OBJECTS = re.compile(r"O[48]?")
_FLOATS = re.compile(rb"(?:G.{8}){1,1024}+", re.DOTALL)
_FLOAT = np.dtype([("code", "u1"), ("value", ">f8")])

_ATOMS = (int, float, bool, type(None))
_TEXTS = (str, bytes)
_CONTAINERS = (dict, list, tuple, set)
_LEAVES = frozenset((*_ATOMS, *_TEXTS, np.ndarray, range))


class BrokenError(Exception):
    """No pickle, or none that ends; the message says what is wrong with it."""


class ForbiddenError(Exception):
    """The pickle asks for something that is neither a plain value nor an array; the message names it."""


class TooLargeError(Exception):
    """What the pickle builds is beyond the bytes allowed; the message says in what way."""


def loads(data: bytes, allowed: int) -> Any:
    """Build the value that a pickle describes, of plain values alone.

    Args:
        data: the file's content; what follows the end of the first pickle is ignored.
        allowed: the most bytes that the value may take, shared parts counted wherever they stand.

    Returns:
        dicts (of every kind of them), lists, tuples, sets, str (Python 2's as Latin-1), bytes, range, int
        and float of 64 bits, bool, None (NumPy's scalars are the like of Python) and, of numbers or text,
        read-only NumPy arrays; arrays of objects are lists. A tuple as a key stands as its text.

    Raises:
        BrokenError, ForbiddenError, TooLargeError: see there.
    """
    try:
        value = _Machine(data, allowed).run()
    except (ArithmeticError, LookupError, TypeError, ValueError, struct.error) as error:
        raise BrokenError(f"it ends too early, or is no pickle ({error})") from error
    _weigh(value, allowed)
    return value


def array(kind: str, shape: Sequence[int], data: bytes, order: str = "C") -> np.ndarray:
    """A read-only array of bytes that are in a file.

    Args:
        kind: NumPy's short name, such as ``<f4``: boolean, integer or float of up to 64 bits, S or U.
        shape: the lengths; none of 0 after others, since that is walked without end.
        data: as many bytes as kind and shape say.
        order: C or F.

    Raises:
        ForbiddenError: another kind, such as of objects or with fields.
        BrokenError: shape and bytes do not fit, or the bytes are no text.
    """
    dtype = _admitted(kind)
    if len(shape) > _MOST_NESTED or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise BrokenError(f"an array of the shape {_shown(shape)}")
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) or (count == 0 and shape[0]):
        raise BrokenError(f"an array of {kind} and the shape {_shown(shape)} has {len(data)} bytes")
    if not count:
        return np.zeros((0, *(min(n, 2**20) for n in shape[1:2])), dtype)
    flat = np.frombuffer(data, np.uint8) != 0 if dtype.kind == "b" else np.frombuffer(data, dtype)
    if dtype.kind == "U" and np.frombuffer(data, f"{dtype.byteorder}u4").max() > sys.maxunicode:
        raise BrokenError("an array of text that is no Unicode")
    flat.flags.writeable = False
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _shown(shape: Sequence[Any]) -> str:
    """A shape, for a message; what is none can be of any depth."""
    lengths = [str(n) if type(n) is int else type(n).__name__ for n in shape[:8]]
    return f"({', '.join(lengths)}{', …' if len(shape) > 8 else ''})"


@lru_cache(maxsize=100)
def _admitted(kind: str) -> np.dtype:
    if kind[:1] not in "<>=|" or not _PLAIN.fullmatch(kind[1:]):
        raise ForbiddenError(f"an array of the type {kind[:40]!r}")
    return np.dtype(kind)


class _Name:
    """A name that a pickle may ask for, and what stands for calling it."""

    def __init__(self, text: str, call: "Callable[[_Machine, tuple[Any, ...]], Any] | None" = None) -> None:
        self.text = text
        self.call = call


class _Type:
    """NumPy's dtype, as far as a pickle has said it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.order = "="


class _Unfilled:
    """An array that a pickle has asked for, and that comes with its state."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.filled = False


class _Machine:
    """The stack machine; an instruction is a method, which ``_INSTRUCTIONS`` finds by its code."""

    def __init__(self, data: bytes, allowed: int) -> None:
        self.data = data
        self.at = 0
        self.allowed = self.left = allowed
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: list[Any] = []

    def run(self) -> Any:
        data, instructions = self.data, _INSTRUCTIONS
        for _ in range(_MOST_INSTRUCTIONS):
            code = data[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                return self.stack.pop()
            instruction = instructions.get(code)
            if instruction is None:
                raise BrokenError(f"instruction {code:#04x} at byte {self.at - 1} is not of plain values")
            instruction(self)
            if self.left < 0:
                raise TooLargeError(f"it builds more than {self.allowed:,} bytes")
        raise TooLargeError(f"it has more than {_MOST_INSTRUCTIONS:,} instructions")

    # Bytes of the file

    def take(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if count < 0 or self.at > len(self.data):
            raise BrokenError(f"{count:,} bytes are announced at byte {start}, and fewer follow")
        return self.data[start : self.at]

    def size(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def line(self, most: int | None = None) -> bytes:
        end = self.data.find(b"\n", self.at)
        if end < 0 or (most is not None and end - self.at > most):
            raise BrokenError(f"a line at byte {self.at} does not end")
        start, self.at = self.at, end + 1
        return self.data[start:end].rstrip(b"\r")

    # The stack

    def push(self, value: Any, cost: int = _POINTER) -> None:
        self.left -= cost
        self.stack.append(value)

    def push_text(self, value: str | bytes) -> None:
        self.push(value, sys.getsizeof(value) + _POINTER)

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self) -> None:
        self.left -= _CONTAINER
        self.below.append(self.stack)
        self.stack = []

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def duplicate(self) -> None:
        self.push(self.stack[-1])

    # Numbers and text

    def integer(self) -> None:
        text = self.line(_NUMBER_CHARACTERS)
        if text in (b"00", b"01"):
            self.push(text == b"01")
        else:
            self.push(_whole(text.removesuffix(b"L")), _NUMBER)

    def long(self, count: int) -> None:
        if count > _INTEGER_BYTES:
            raise BrokenError(f"an integer of {count:,} bytes at byte {self.at}")
        self.push(int.from_bytes(self.take(count), "little", signed=True), _NUMBER)

    def decimal(self) -> None:
        try:
            self.push(float(self.line(_NUMBER_CHARACTERS)), _NUMBER)
        except ValueError as error:
            raise BrokenError(str(error)) from error

    def floats(self) -> None:
        """One float, and those that follow at once: most of a list's."""
        start = self.at - 1
        run = _FLOATS.match(self.data, start)
        if run is None:
            raise BrokenError("it ends within a number")
        self.at = run.end()
        count = (self.at - start) // _FLOAT.itemsize
        self.left -= _NUMBER * count
        self.stack += np.frombuffer(self.data, _FLOAT, count, start)["value"].tolist()

    def string(self) -> None:
        text = self.line()
        if len(text) < 2 or text[0] != text[-1] or text[0] not in b"'\"":
            raise BrokenError(f"a string before byte {self.at} has no quotation marks")
        try:
            self.push_text(codecs.escape_decode(text[1:-1])[0].decode("latin1"))
        except ValueError as error:
            raise BrokenError(str(error)) from error

    # Containers

    def append(self) -> None:
        value = self.stack.pop()
        self.extend([value])

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise BrokenError(f"something is appended to what is no list, before byte {self.at}")
        self.left -= _POINTER * len(values)
        target += values

    def add(self) -> None:
        values = self.since_mark()
        target = self.stack[-1]
        if type(target) is not set:
            raise BrokenError(f"something is added to what is no set, before byte {self.at}")
        self.fill_set(target, values)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.fill(self.stack[-1], [key, value])

    def set_items(self) -> None:
        items = self.since_mark()
        self.fill(self.stack[-1], items)

    def fill(self, target: Any, items: list[Any]) -> dict[Any, Any]:
        if type(target) is not dict or len(items) % 2:
            raise BrokenError(f"entries are set in what is no dict, or in halves, before byte {self.at}")
        self.left -= _ENTRY * (len(items) // 2)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.key(key, len(target))] = value
        return target

    def fill_set(self, target: set[Any], values: Iterable[Any]) -> set[Any]:
        for value in values:
            self.left -= _ENTRY
            target.add(self.key(value, len(target)))
        return target

    def key(self, value: Any, others: int) -> Any:
        kind = type(value)
        if kind in _TEXTS:
            return value
        if kind is tuple and all(type(part) in (*_ATOMS, *_TEXTS) for part in value):
            # Tuples of numbers that collide are made at will.
            text = repr(value)
            self.left -= sys.getsizeof(text)
            return text
        if kind not in _ATOMS:
            raise BrokenError(
                f"a key is neither text nor a number, but of the kind {kind.__name__.lstrip('_')}"
            )
        if others >= _MOST_NUMBERS_AS_KEYS:
            raise TooLargeError(f"a dict or set has more than {_MOST_NUMBERS_AS_KEYS:,} numbers as keys")
        return value

    def push_tuple(self, count: int | None = None) -> None:
        if count is None:
            items = self.since_mark()
        elif count > len(self.stack):
            raise BrokenError(f"a tuple of more than there is, before byte {self.at}")
        else:
            cut = len(self.stack) - count
            items, self.stack[cut:] = self.stack[cut:], []
        self.push(tuple(items), _CONTAINER + _POINTER * len(items))

    # What was built before

    def put(self, number: int) -> None:
        # Numbers go up by one, but an optimised pickle has gaps.
        if not 0 <= number <= len(self.data):
            raise BrokenError(f"value {number:,} is remembered of a file of {len(self.data):,} bytes")
        value = self.stack[-1]
        if type(value) is _Unfilled:
            self.left -= _NUMBER
            value.numbers.append(number)
        gap = number - len(self.memo)
        if gap < 0:
            self.memo[number] = value
        else:
            self.left -= _POINTER * (gap + 1)
            self.memo += [_NOTHING] * gap
            self.memo.append(value)

    def get(self, number: int) -> None:
        if not 0 <= number < len(self.memo) or self.memo[number] is _NOTHING:
            raise BrokenError(f"value {number:,} was not remembered")
        self.push(self.memo[number])

    # Names and calls

    def name(self, module: str, name: str) -> None:
        package = {"__builtin__": "builtins"}.get(module, module)
        found = _NAMES.get((package.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise ForbiddenError(f"{package[:100]}.{name[:100]}")
        self.push(found)

    def name_of_lines(self) -> None:
        self.name(self.line().decode(), self.line().decode())

    def name_of_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise BrokenError(f"a name is no text, before byte {self.at}")
        self.name(module, name)

    def call(self) -> None:
        given, function = self.stack.pop(), self.stack.pop()
        if type(function) is not _Name or function.call is None or type(given) is not tuple:
            raise BrokenError(f"what is called before byte {self.at} is no function, or has no arguments")
        self.push(function.call(self, given))

    def state(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is _Type:
            _set_order(target, state)
        elif type(target) is _Unfilled and not target.filled:
            filled = self.stack[-1] = self.filled(state)
            target.filled = True
            for number in target.numbers:
                if self.memo[number] is target:
                    self.memo[number] = filled
        else:
            raise ForbiddenError("the state of an object that is no array")

    def filled(self, state: Any) -> Any:
        if type(state) is not tuple or len(state) != 5:
            raise BrokenError("the state of an array is not of five parts")
        _, shape, kind, fortran, data = state
        if type(kind) is not _Type or type(shape) is not tuple:
            raise BrokenError("the state of an array has no type, or no shape")
        if _OBJECTS.fullmatch(kind.name):
            return self.nested(shape, data)
        return self.array(kind, shape, data, "F" if type(fortran) in (int, bool) and fortran else "C")

    def array(self, kind: Any, shape: Any, data: Any, order: Any, axes: Any = None) -> np.ndarray:
        if type(data) is str:  # of Python 2
            data = data.encode("latin1")
            self.left -= len(data)
        if type(kind) is not _Type or type(data) is not bytes:
            raise BrokenError("an array has no type, or no bytes")
        shape = (shape,) if type(shape) is int else shape
        if type(shape) is not tuple or type(order) is not str or order not in ("C", "F", "A", "K"):
            raise BrokenError("an array has no shape, or no order")
        self.left -= _ARRAY + (len(data) if kind.name == "b1" else 0)
        made = array(kind.order + kind.name, shape, data, order)
        if axes is None:
            return made
        # What is compared is of one kind first: two values of some depth are compared without end.
        if (
            type(axes) is not tuple
            or not all(type(axis) is int for axis in axes)
            or sorted(axes) != [*range(made.ndim)]
        ):
            raise BrokenError("the axes of an array are not those that it has")
        return made.transpose(axes)

    def nested(self, shape: tuple[Any, ...], items: Any) -> list[Any]:
        """An array of objects, as lists."""
        lengths = 0 < len(shape) <= _MOST_NESTED and all(type(n) is int and n >= 0 for n in shape)
        if type(items) is not list or not lengths or math.prod(shape) != len(items):
            raise BrokenError(f"an array of objects has not as many as its shape {_shown(shape)} says")
        for length in reversed(shape[1:] if items else ()):
            self.left -= (_CONTAINER + _POINTER * length) * (len(items) // length)
            if self.left < 0:
                break
            items = [items[start : start + length] for start in range(0, len(items), length)]
        return items

    def outside(self) -> None:
        raise BrokenError("it refers to values outside of it, as what torch.save writes does")

    def instance(self) -> None:
        raise ForbiddenError(f"{self.line().decode()[:100]}.{self.line().decode()[:100]}")

    def protocol(self) -> None:
        number = self.byte()
        if number > 5:
            raise BrokenError(f"protocol {number}")


_NOTHING = object()


def _whole(text: bytes) -> int:
    if not re.fullmatch(rb"[+-]?\d{1,20}", text):
        raise BrokenError(f"{text[:40]!r} is no integer of 64 bits")
    return int(text)


# What stands for calling a name; the arguments are as NumPy and pickle write them.


def _unfilled(machine: _Machine, given: tuple[Any, ...]) -> _Unfilled:
    if given[0] is not _NDARRAY:
        raise BrokenError("an array of another kind than ndarray")
    machine.left -= _ARRAY
    return _Unfilled()


def _dtype(machine: _Machine, given: tuple[Any, ...]) -> _Type:
    if type(given[0]) is not str:
        raise BrokenError("a type of numbers has no name")
    machine.left -= _ARRAY
    return _Type(given[0])


def _set_order(kind: _Type, state: Any) -> None:
    """A type's byte order; its other parts belong to types with fields, which are refused."""
    if type(state) is not tuple or len(state) < 5 or type(state[1]) is not str:
        raise BrokenError("a type of numbers has no byte order")
    if any(part is not None for part in state[2:5]) or not all(type(part) is int for part in state[5:8]):
        raise ForbiddenError("an array of a type with fields")
    kind.order = state[1]


def _scalar(machine: _Machine, given: tuple[Any, ...]) -> Any:
    kind, data = given
    machine.left -= _NUMBER
    if type(kind) is _Type and type(data) is bytes and kind.name[:1] in "fiu":
        dtype = _admitted(kind.order + kind.name)
        if len(data) == dtype.itemsize:
            return np.frombuffer(data, dtype).item()
    return machine.array(kind, (), data, "C").item()


def _frombuffer(machine: _Machine, given: tuple[Any, ...]) -> np.ndarray:
    data, kind, shape, order, *axes = given
    return machine.array(kind, shape, data, order, *axes)


def _encode(machine: _Machine, given: tuple[Any, ...]) -> bytes:
    """``_codecs.encode``, which bytes of Python 3 are to protocols that have no bytes."""
    text, encoding = given if len(given) == 2 else (*given, "latin1")
    if type(text) is not str or type(encoding) is not str or encoding not in ("latin1", "latin-1"):
        raise BrokenError("text that is not of Latin-1 is made bytes")
    machine.left -= len(text)
    return text.encode("latin1")


def _bytes(machine: _Machine, given: tuple[Any, ...]) -> bytes:
    if not given or type(given[0]) is bytes:
        return given[0] if given else b""
    return _encode(machine, given)


def _list(machine: _Machine, given: tuple[Any, ...]) -> list[Any]:
    values = given[0] if given else []
    if type(values) not in (list, tuple):
        raise BrokenError("a list of what is none")
    machine.left -= _CONTAINER + _POINTER * len(values)
    return [*values]


def _tuple(machine: _Machine, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_list(machine, given))


def _set(machine: _Machine, given: tuple[Any, ...]) -> set[Any]:
    machine.left -= _SET
    return machine.fill_set(set(), _list(machine, given))


def _dict(machine: _Machine, given: tuple[Any, ...]) -> dict[Any, Any]:
    machine.left -= _CONTAINER
    if given and type(given[0]) is dict:
        machine.left -= _ENTRY * len(given[0])
        return {**given[0]}
    filled: dict[Any, Any] = {}
    for pair in _list(machine, given):
        machine.fill(filled, _list(machine, (pair,)))
    return filled


def _defaultdict(machine: _Machine, given: tuple[Any, ...]) -> dict[Any, Any]:
    """A dict: what it would make of an absent key is nothing that a file holds."""
    return _dict(machine, given[1:])


def _range(machine: _Machine, given: tuple[Any, ...]) -> range:
    if not all(type(number) is int for number in given) or (len(given) > 2 and given[2] == 0):
        raise BrokenError("a range of what are no integers")
    made = range(*given)
    if made and max(abs(made[0]), abs(made[-1])) < 2**63:
        machine.left -= _NUMBER * (abs(made[-1] - made[0]) // abs(made.step) + 1)
    elif made:
        raise BrokenError("a range of what are no integers of 64 bits")
    return made


def _number(kind: type) -> "Callable[[_Machine, tuple[Any, ...]], Any]":
    def call(_: _Machine, given: tuple[Any, ...]) -> Any:
        # An integer of a float has up to a thousand bits.
        fit = (int, bool) if kind is int else (int, bool, float)
        if len(given) > 1 or not all(type(value) in fit for value in given):
            raise BrokenError("a number of what is none")
        return kind(*given)

    return call


def _text(machine: _Machine, given: tuple[Any, ...]) -> str:
    if len(given) > 1 or not all(type(value) is str for value in given):
        raise BrokenError("text of what is none")
    return given[0] if given else ""


_CALLS: dict[str, dict[str, Callable[[_Machine, tuple[Any, ...]], Any]]] = {
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
_NDARRAY = _Name("numpy.ndarray")
_NAMES = {("numpy", "ndarray"): _NDARRAY} | {
    (module, name): _Name(f"{module}.{name}", call)
    for module, calls in _CALLS.items()
    for name, call in calls.items()
}

_INSTRUCTIONS: dict[int, Callable[[_Machine], None]] = {
    ord(code): instruction
    for code, instruction in {
        "\x80": _Machine.protocol,
        "\x95": lambda m: m.size("<Q"),
        "(": _Machine.mark,
        "0": _Machine.pop,
        "1": _Machine.since_mark,
        "2": _Machine.duplicate,
        # Numbers
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "I": _Machine.integer,
        "L": _Machine.integer,
        "J": lambda m: m.push(m.size("<i"), _NUMBER),
        "K": lambda m: m.push(m.byte()),
        "M": lambda m: m.push(m.size("<H"), _NUMBER),
        "\x8a": lambda m: m.long(m.byte()),
        "\x8b": lambda m: m.long(m.size("<i")),
        "F": _Machine.decimal,
        "G": _Machine.floats,
        # Text
        "S": _Machine.string,
        "T": lambda m: m.push_text(m.take(m.size("<i")).decode("latin1")),
        "U": lambda m: m.push_text(m.take(m.byte()).decode("latin1")),
        "V": lambda m: m.push_text(m.line().decode("raw-unicode-escape")),
        "X": lambda m: m.push_text(m.take(m.size("<I")).decode("utf-8", "surrogatepass")),
        "\x8c": lambda m: m.push_text(m.take(m.byte()).decode("utf-8", "surrogatepass")),
        "\x8d": lambda m: m.push_text(m.take(m.size("<Q")).decode("utf-8", "surrogatepass")),
        "B": lambda m: m.push_text(m.take(m.size("<I"))),
        "C": lambda m: m.push_text(m.take(m.byte())),
        "\x8e": lambda m: m.push_text(m.take(m.size("<Q"))),
        "\x96": lambda m: m.push_text(m.take(m.size("<Q"))),
        # Containers
        "]": lambda m: m.push([], _CONTAINER),
        "l": lambda m: m.push(m.since_mark(), _CONTAINER),
        "a": _Machine.append,
        "e": lambda m: m.extend(m.since_mark()),
        ")": lambda m: m.push(()),
        "t": _Machine.push_tuple,
        "\x85": lambda m: m.push_tuple(1),
        "\x86": lambda m: m.push_tuple(2),
        "\x87": lambda m: m.push_tuple(3),
        "}": lambda m: m.push({}, _CONTAINER),
        "d": lambda m: m.push(m.fill({}, m.since_mark()), _CONTAINER),
        "s": _Machine.set_item,
        "u": _Machine.set_items,
        "\x8f": lambda m: m.push(set(), _SET),
        "\x90": _Machine.add,
        "\x91": lambda m: m.push(m.fill_set(set(), m.since_mark()), _SET),
        # What was built before
        "p": lambda m: m.put(_whole(m.line(_NUMBER_CHARACTERS))),
        "q": lambda m: m.put(m.byte()),
        "r": lambda m: m.put(m.size("<I")),
        "\x94": lambda m: m.put(len(m.memo)),
        "g": lambda m: m.get(_whole(m.line(_NUMBER_CHARACTERS))),
        "h": lambda m: m.get(m.byte()),
        "j": lambda m: m.get(m.size("<I")),
        # Names and calls
        "c": _Machine.name_of_lines,
        "\x93": _Machine.name_of_stack,
        "R": _Machine.call,
        "b": _Machine.state,
        "i": _Machine.instance,
        "P": _Machine.outside,
        "Q": _Machine.outside,
    }.items()
}


def _weigh(value: Any, allowed: int) -> None:
    """Refuse what is not plain, holds itself, or would be walked without end.

    A list that holds a list twice, which holds one twice, and so on, is small to build and endless to read.
    """
    weights: dict[int, tuple[int, int] | None] = {}
    todo = [(value, False)]
    if type(value) not in _CONTAINERS:
        _leaf(value)
    while todo:
        value, done = todo.pop()
        if type(value) not in _CONTAINERS:
            continue
        inside = value.values() if type(value) is dict else value
        if done:
            weight, height = _CONTAINER, 0
            kinds = set(map(type, inside))
            if kinds <= set(_ATOMS):
                weight += (_POINTER + _NUMBER) * len(value)
            else:
                for part in inside:
                    known = weights[id(part)] if type(part) in _CONTAINERS else None
                    weight += known[0] if known else _leaf(part)
                    height = max(height, known[1] if known else 0)
            if weight > allowed:
                raise TooLargeError(f"with what is shared in it, it is more than {allowed:,} bytes")
            if height >= _MOST_NESTED:
                raise TooLargeError(f"it is nested more than {_MOST_NESTED} deep")
            weights[id(value)] = weight, height + 1
        elif id(value) not in weights:
            weights[id(value)] = None
            todo.append((value, True))
            if not set(map(type, inside)).isdisjoint(_CONTAINERS):
                todo += [
                    (part, False)
                    for part in {id(part): part for part in inside}.values()
                    if type(part) in _CONTAINERS
                ]
        elif weights[id(value)] is None:
            raise BrokenError("a value holds itself")


def _leaf(value: Any) -> int:
    if type(value) not in _LEAVES:
        raise BrokenError("it holds what is no value, such as an array that was never filled")
    if isinstance(value, np.ndarray):
        return _ARRAY + max(value.nbytes, 4 * value.size)
    if isinstance(value, str | bytes):
        return _POINTER + len(value)
    return _POINTER + _NUMBER * (len(value) if isinstance(value, range) else 1)
