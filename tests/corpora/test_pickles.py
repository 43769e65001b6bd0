import base64
import pickle
import pickletools
import zlib
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erc_kedro.corpora import pickles
from tests.faults import fuzz_pickles

ALLOWED = 2**28

# What Python 2.7 with NumPy 1.16 wrote, of protocols 0 and 2.
PYTHON_2 = {
    0: "eNqFk99qgzAUxu/PU4zexJtJYv0LY/WqUCheTNiVIDFaEVobNDILe+G9xc7UddlWrXAgMZ/n+31HYuSSQUxaAsZRWrji"
    "BHi8qhRpH5K+CJJ6BXIN/PUj6eyCUpA28DYmGQFRdyd5McW5KcxTd1QVbxp+gbQpxLluVdMJBdIBY9RBnY/n0gVjR0ENPdSL"
    "9HDLsCxQkzJXF1mA9MGISWURQDUqUBqgbI2MzwSiKNo9MhgKm2U7RItJ0lOKxaaiaJAhbI7pMOfQRqRp1lVIW6cp9A2vS7Ri"
    "bGBChtGIWdDid28ESgxQ/iFm6x/kcqCMdUpmT5jvI+bQVIPkmdDYDjMeztUDe002B1u3cSebpzvTuFE+3egvwusi1DXahtNw"
    "4u1nf3wr+JE3OEz8oyXS6QCCbsZYPmCP7Uzm4FZmX8ts0aXMbDHz3fLD+cPD74H9LkbDpdYLh8z+Hms9XkD2FZRjJhoEDmOu"
    "5XmeC3zP6L9njzqMzCO+tUwHL6X5CSQXA04=",
    2: "eNprYKotZNQIZSyOLWQCUomh7Jkl6sUKL7kKmSNYGRgYDq98sqOhkCU1lDEpOa80t6BSLzm/KFUvtzSnJDOxqCixkiu+"
    "KDU5P6+4pKg0uYSrkBWiiisvBSJbyObN0ArU3B5UyK7hzejN1ApVkFJSWZDKVcgRypRp5M3gzQhUwKnhzRzKaOfn5+f1HwjA"
    "hDdDSVJnKAsDIyOQEcqYUlvI5c2YHB+fVJoJdEFefDxXRVFiXjrQJG6gKUxgc3iKQxnLM1gzEFbzQqzOANoWDLOND2xbDdA2"
    "kDaoPYlJyWB70lC084O1ezO3gQxIM4EaIAA2wAaLcyUYwKDBHkg4ABEQNwDxAgeQ0RU4wrE4OTEnsYirUDBDAOhfhgP2bUGF"
    "QqGMbiguEUZxiQXUJSI4XNIRasCAAjgcIPQHewgtAOUzQGkRsAvzYgtFgfZ46hoaWFqaGhqaGZmbm5txdXEwMKQs37ztAW+H"
    "n7sDC0RHaqkeAI0bpj0=",
}


def same(read: Any, expected: Any) -> None:
    """Equal in kind and value, where scalars are Python's and arrays of objects lists."""
    if isinstance(expected, np.ndarray) and expected.dtype != object:
        assert read.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(read, expected, strict=False)
        assert read.shape == expected.shape
    elif isinstance(expected, dict):
        assert type(read) is dict
        assert list(read) == [repr(key) if isinstance(key, tuple) else key for key in expected]
        for one, other in zip(read.values(), expected.values(), strict=True):
            same(one, other)
    elif isinstance(expected, list | tuple | np.ndarray):
        assert type(read) is (tuple if isinstance(expected, tuple) else list)
        assert len(read) == len(expected)
        for one, other in zip(read, expected, strict=True):
            same(one, other)
    else:
        plain = expected.item() if isinstance(expected, np.generic) else expected
        assert type(read) is {frozenset: set, bytearray: bytes}.get(type(plain), type(plain))
        assert read == plain or (read != read and plain != plain)


def contents() -> dict[str, Any]:
    numbers = np.random.default_rng(0).normal(size=(3, 4)) * 50
    kinds = ("<f2", "<f4", ">f4", "<f8", ">f8", "i1", "u1", ">i2", "<i4", "u8", "b1")
    return {
        "integers": [0, 1, -7, 300, 70_000, 2**40, 2**63 - 1, -(2**63), True, None],
        "floats": [*np.random.default_rng(1).normal(size=3000).tolist(), float("inf"), 1],
        "text": ("x", "y" * 300, "é一", "'\"\\\n", ""),
        "bytes": (b"", b"\xff\x00" * 200, bytearray(b"abc")),
        "sets": [{1, 2, "s"}, frozenset([1.5]), range(3), range(5, 0, -2)],
        "dicts": [OrderedDict(b=1, a=2), defaultdict(list, {1: [2]}), {("a", 1): 2, None: 3, b"k": 4}],
        "scalars": [
            np.float32(1.5),
            np.float16(2),
            np.int64(-3),
            np.bool_(True),
            np.str_("é"),
            np.bytes_(b"q"),
        ],
        "arrays": [numbers.astype(kind) for kind in kinds],
        "orders": [
            np.asfortranarray(numbers),
            numbers.T,
            np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
        ],
        "steps": [numbers[::2, ::-1], np.array(5.0), np.zeros(0), np.zeros((0, 5))],
        "strings": [np.array(["ab", "c€"]), np.array([b"ab", b"c"])],
        "objects": [np.array([np.ones(2), None], object), np.array([[1, "a"], [None, [2.0]]], object)],
        "shared": [shared := [1, 2], shared, {"again": shared}],
    }


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", contents())
def test_what_pickle_writes_is_read_as_it_was(name: str, protocol: int) -> None:
    content = contents()[name]
    file = pickle.dumps(content, protocol)
    same(pickles.loads(file, ALLOWED), content)
    same(pickles.loads(pickletools.optimize(file), ALLOWED), content)
    # The names of NumPy before 2.0; in text, where their length does not count.
    same(pickles.loads(pickle.dumps(content, 0).replace(b"numpy._core", b"numpy.core"), ALLOWED), content)


@pytest.mark.parametrize("protocol", PYTHON_2)
def test_pickles_of_python_2(protocol: int) -> None:
    file = zlib.decompress(base64.b64decode(PYTHON_2[protocol]))
    read = pickles.loads(file, ALLOWED)
    expected = {
        "s": ["a", "it's é\n", "é一"],
        "n": [1, -(2**40), 10**18, True, None, 2.5],
        "d": {1: range(2)},
        "f": np.arange(6, dtype="f4").reshape(2, 3),
        "F": np.arange(6.0).reshape(2, 3),
        "b": np.array([1, 256], "i2"),
        "x": np.float32(1.5),
        "w": np.array([b"ab", b"c"]),
    }
    same({key: read[key] for key in expected}, expected)
    assert read.keys() == expected.keys()


ATOMS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner) | st.dictionaries(ATOMS, inner) | st.lists(inner).map(tuple),
    max_leaves=20,
)


@given(VALUES, st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_any_plain_value_is_read_as_pickle_reads_it(value: Any, protocol: int) -> None:
    file = pickle.dumps(value, protocol)
    assert repr(pickles.loads(file, ALLOWED)) == repr(pickle.loads(file))  # noqa: S301


def test_arrays_are_read_only() -> None:
    for protocol in range(6):
        read = pickles.loads(pickle.dumps(np.arange(3) > 1, protocol), ALLOWED)
        with pytest.raises(ValueError, match="read-only"):
            read[0] = True


@pytest.mark.parametrize(
    "file",
    [
        b"]" * 10_000 + b".",
        b"\x8f" * 10_000 + b".",
        b"(" * 10_000 + b".",
        b"N" + b"2" * 100_000 + b".",
        b"N" + b"\x94" * 100_000 + b".",
        b"N" + b"2\x86" * 50 + b".",
        b"](" + b"]" * 10_000 + b"e.",
        b"](" + b"K\x01" * 100_000 + b"e.",
        b"\x8c\xff" + b"x" * 255 + b"q\x00(" + b"h\x00" * 10_000 + b"l.",
        pickle.dumps([0.5] * 10_000),
        pickle.dumps([np.zeros(10_000)] * 20),
    ],
)
def test_what_grows_beyond_what_is_allowed_is_refused(file: bytes) -> None:
    with pytest.raises(pickles.TooLargeError, match="more than 100,000 bytes"):
        pickles.loads(file, 100_000)


def test_nesting_and_numbers_as_keys_are_bounded() -> None:
    deep: list[Any] = []
    for _ in range(31):
        deep = [deep]
    assert pickles.loads(pickle.dumps(deep), ALLOWED) == deep
    with pytest.raises(pickles.TooLargeError, match="nested more than 32 deep"):
        pickles.loads(pickle.dumps([deep]), ALLOWED)
    # Numbers can be chosen so that they collide; text cannot.
    keys = range(65_537)
    assert len(pickles.loads(pickle.dumps(dict.fromkeys(map(str, keys))), ALLOWED)) == len(keys)
    for many in (dict.fromkeys(keys), set(keys)):
        with pytest.raises(pickles.TooLargeError, match="more than 65,536 numbers as keys"):
            pickles.loads(pickle.dumps(many), ALLOWED)


@pytest.mark.parametrize("kind", [complex, object, "M8[s]", [("a", "f4")], np.longdouble])
def test_arrays_of_other_kinds_are_refused(kind: Any) -> None:
    file = pickle.dumps(np.zeros(2, kind))
    if kind is object:
        assert pickles.loads(file, ALLOWED) == [0, 0]
        return
    with pytest.raises(pickles.ForbiddenError, match=r"an array of (the type|a type with fields)"):
        pickles.loads(file, ALLOWED)


@pytest.mark.parametrize("kind", ["pickle", "npz"])
def test_mutated_files_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    """``python -m tests.faults.fuzz_pickles`` reads ten thousand, and Parquet files."""
    files = 400 if kind == "pickle" else 100
    outcomes = [fuzz_pickles.check(kind, number, tmp_path) for number in range(files)]
    assert set(outcomes) == {"read", "refused"}
