"""The stack machine that builds what a pickle describes, of plain values and arrays alone."""

import codecs
import math
import re
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from erc_kedro.corpora.pickles.arrays import array, shown
from erc_kedro.corpora.pickles.bounds import (
    ARRAY,
    ATOMS,
    CONTAINER,
    ENTRY,
    MOST_NESTED,
    NUMBER,
    POINTER,
    TEXTS,
)
from erc_kedro.corpora.pickles.errors import BrokenError, ForbiddenError, TooLargeError

_MOST_INSTRUCTIONS = 100_000_000
# Strings are hashed with a secret, numbers are not: many that collide would fill a dict in quadratic time.
_MOST_NUMBERS_AS_KEYS = 65_536
_INTEGER_BYTES = 9
NUMBER_CHARACTERS = 64
_OBJECTS = re.compile(r"O[48]?")
_FLOATS = re.compile(rb"(?:G.{8}){1,1024}+", re.DOTALL)
_FLOAT = np.dtype([("code", "u1"), ("value", ">f8")])
_NOTHING = object()


class Name:
    """A name that a pickle may ask for, and what stands for calling it."""

    def __init__(self, text: str, call: "Callable[[Machine, tuple[Any, ...]], Any] | None" = None) -> None:
        self.text = text
        self.call = call


class Type:
    """NumPy's dtype, as far as a pickle has said it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.order = "="


class Unfilled:
    """An array that a pickle has asked for, and that comes with its state."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.filled = False


class Machine:
    """An instruction is a method; ``left`` is what may still be built, in bytes.

    Args:
        names: what may be asked for, by module and name.
    """

    def __init__(self, data: bytes, allowed: int, names: Mapping[tuple[str, str], Name]) -> None:
        self.data = data
        self.names = names
        self.at = 0
        self.allowed = self.left = allowed
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: list[Any] = []

    def run(self, instructions: Mapping[int, "Callable[[Machine], None]"]) -> Any:
        data = self.data
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

    def push(self, value: Any, cost: int = POINTER) -> None:
        self.left -= cost
        self.stack.append(value)

    def push_text(self, value: str | bytes) -> None:
        self.push(value, sys.getsizeof(value) + POINTER)

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self) -> None:
        self.left -= CONTAINER
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
        text = self.line(NUMBER_CHARACTERS)
        if text in (b"00", b"01"):
            self.push(text == b"01")
        else:
            self.push(whole(text.removesuffix(b"L")), NUMBER)

    def long(self, count: int) -> None:
        if count > _INTEGER_BYTES:
            raise BrokenError(f"an integer of {count:,} bytes at byte {self.at}")
        self.push(int.from_bytes(self.take(count), "little", signed=True), NUMBER)

    def decimal(self) -> None:
        try:
            self.push(float(self.line(NUMBER_CHARACTERS)), NUMBER)
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
        self.left -= NUMBER * count
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
        self.left -= POINTER * len(values)
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
        self.left -= ENTRY * (len(items) // 2)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.key(key, len(target))] = value
        return target

    def fill_set(self, target: set[Any], values: Iterable[Any]) -> set[Any]:
        for value in values:
            self.left -= ENTRY
            target.add(self.key(value, len(target)))
        return target

    def key(self, value: Any, others: int) -> Any:
        kind = type(value)
        if kind in TEXTS:
            return value
        if kind is tuple and all(type(part) in (*ATOMS, *TEXTS) for part in value):
            # Tuples of numbers that collide are made at will.
            text = repr(value)
            self.left -= sys.getsizeof(text)
            return text
        if kind not in ATOMS:
            raise BrokenError(f"a key is neither text nor a number, but of the kind {kind.__name__}")
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
        self.push(tuple(items), CONTAINER + POINTER * len(items))

    # What was built before

    def put(self, number: int) -> None:
        # Numbers go up by one, but an optimised pickle has gaps.
        if not 0 <= number <= len(self.data):
            raise BrokenError(f"value {number:,} is remembered of a file of {len(self.data):,} bytes")
        value = self.stack[-1]
        if type(value) is Unfilled:
            self.left -= NUMBER
            value.numbers.append(number)
        gap = number - len(self.memo)
        if gap < 0:
            self.memo[number] = value
        else:
            self.left -= POINTER * (gap + 1)
            self.memo += [_NOTHING] * gap
            self.memo.append(value)

    def get(self, number: int) -> None:
        if not 0 <= number < len(self.memo) or self.memo[number] is _NOTHING:
            raise BrokenError(f"value {number:,} was not remembered")
        self.push(self.memo[number])

    # Names and calls

    def name(self, module: str, name: str) -> None:
        package = {"__builtin__": "builtins"}.get(module, module)
        found = self.names.get((package.replace("numpy._core", "numpy.core"), name))
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
        if type(function) is not Name or function.call is None or type(given) is not tuple:
            raise BrokenError(f"what is called before byte {self.at} is no function, or has no arguments")
        self.push(function.call(self, given))

    def state(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is Type:
            set_order(target, state)
        elif type(target) is Unfilled and not target.filled:
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
        if type(kind) is not Type or type(shape) is not tuple:
            raise BrokenError("the state of an array has no type, or no shape")
        if _OBJECTS.fullmatch(kind.name):
            return self.nested(shape, data)
        return self.array(kind, shape, data, "F" if type(fortran) in (int, bool) and fortran else "C")

    def array(self, kind: Any, shape: Any, data: Any, order: Any, axes: Any = None) -> np.ndarray:
        if type(data) is str:  # of Python 2
            data = data.encode("latin1")
            self.left -= len(data)
        if type(kind) is not Type or type(data) is not bytes:
            raise BrokenError("an array has no type, or no bytes")
        shape = (shape,) if type(shape) is int else shape
        if type(shape) is not tuple or type(order) is not str or order not in ("C", "F", "A", "K"):
            raise BrokenError("an array has no shape, or no order")
        self.left -= ARRAY + (len(data) if kind.name == "b1" else 0)
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
        lengths = 0 < len(shape) <= MOST_NESTED and all(type(n) is int and n >= 0 for n in shape)
        if type(items) is not list or not lengths or math.prod(shape) != len(items):
            raise BrokenError(f"an array of objects has not as many as its shape {shown(shape)} says")
        for length in reversed(shape[1:] if items else ()):
            self.left -= (CONTAINER + POINTER * length) * (len(items) // length)
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


def whole(text: bytes) -> int:
    if not re.fullmatch(rb"[+-]?\d{1,20}", text):
        raise BrokenError(f"{text[:40]!r} is no integer of 64 bits")
    return int(text)


def set_order(kind: Type, state: Any) -> None:
    """A type's byte order; its other parts belong to types with fields, which are refused."""
    if type(state) is not tuple or len(state) < 5 or type(state[1]) is not str:
        raise BrokenError("a type of numbers has no byte order")
    if any(part is not None for part in state[2:5]) or not all(type(part) is int for part in state[5:8]):
        raise ForbiddenError("an array of a type with fields")
    kind.order = state[1]
