"""Pickles of published features, read without running what they ask for.

A pickle is a program for a stack machine whose instructions import and call anything; and what NumPy makes
of a forged state reads memory that is not its own. This machine knows the instructions and the dozen names
that files of plain values need, of protocols 0 to 5, Python 2 and 3, NumPy 1 and 2. It imports and calls
nothing, and makes an array itself, of exactly as many bytes as its type and shape say.

What it makes is bounded by the bytes allowed, whatever the file asks for: as it grows, and once more with
each shared part counted wherever it stands, which is what a reader goes through.
"""

import struct
from typing import Any

from erc_kedro.corpora.pickles.allowed import NAMES
from erc_kedro.corpora.pickles.arrays import array
from erc_kedro.corpora.pickles.bounds import weigh
from erc_kedro.corpora.pickles.errors import BrokenError, ForbiddenError, TooLargeError
from erc_kedro.corpora.pickles.machine import Machine
from erc_kedro.corpora.pickles.opcodes import INSTRUCTIONS

__all__ = ["BrokenError", "ForbiddenError", "TooLargeError", "array", "loads"]


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
        value = Machine(data, allowed, NAMES).run(INSTRUCTIONS)
    except (ArithmeticError, LookupError, TypeError, ValueError, struct.error) as error:
        raise BrokenError(f"it ends too early, or is no pickle ({error})") from error
    weigh(value, allowed)
    return value
