"""Progress bars that stay quiet where nobody watches."""

import sys

from tqdm import tqdm


def bar(total: int, title: str, unit: str, done: int = 0, silent: bool = False) -> tqdm:
    """A bar with rate and time left; into a file or a log it prints a line every ten seconds at most.

    Args:
        done: what an earlier run did; the rate is of this one.
    """
    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(total=total, desc=title, unit=unit, mininterval=interval, initial=done, disable=silent)
