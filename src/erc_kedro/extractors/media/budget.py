"""How much work a file may make."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from erc_kedro.extractors.media.signals import Unusable

# What opening a file may take of the processor, in seconds: usual ones take some hundredths, but zeros behind
# a sound are a header every eight bytes. And what each second in it may take besides: pictures of any size
# that videos have are decoded in fewer.
OPENING_S, MOST_WORK = 5.0, 10.0


class Watched:
    """A file that can be read until what is done with it has taken too much of the processor.

    Time on the processor, not on the clock: a slow disk or a busy machine refuses no file.

    Attributes:
        allowed: seconds.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # FFmpeg looks at the name's ending, too.
        self.name, self.seek, self.tell = file.name, file.seek, file.tell
        self.allowed = OPENING_S
        self._begun = time.thread_time()

    def read(self, size: int = -1) -> bytes:
        # An end, since PyAV loses errors that are raised here.
        return b"" if self._spent() else self._file.read(size)

    def allow(self, reached_s: float) -> None:
        """As much time as so many seconds of the file may take, if that is more than it was."""
        self.allowed = max(self.allowed, OPENING_S + MOST_WORK * reached_s)

    def _spent(self) -> bool:
        return time.thread_time() - self._begun > self.allowed

    def check(self) -> None:
        """Raises Unusable where too much was used."""
        if self._spent():
            raise Unusable("too_slow", f"more work than {self.allowed:.0f} s of processor time")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done meanwhile does not count."""
        at = time.thread_time()
        yield
        self._begun += time.thread_time() - at
