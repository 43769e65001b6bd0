"""Progress bars that stay quiet where nobody watches."""

import sys

from tqdm import tqdm


def bar(total: int, title: str, unit: str) -> tqdm:
    """A bar with rate and time left; into a file or a log it prints a line every ten seconds at most."""
    return tqdm(total=total, desc=title, unit=unit, mininterval=0.2 if sys.stderr.isatty() else 10.0)
