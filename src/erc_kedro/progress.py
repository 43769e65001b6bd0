"""Progress bars that stay quiet where nobody watches."""

import sys

from tqdm import tqdm

from erc_kedro import processes


class _Bar(tqdm):
    def update(self, n: float | None = 1) -> bool | None:
        processes.raise_if_interrupted()
        return super().update(n)


def bar(total: int, title: str, unit: str, done: int = 0, silent: bool = False, line: int = 0) -> tqdm:
    """A bar with rate and time left; into a file or a log it prints a line every ten seconds at most.

    Args:
        done: what an earlier run did; the rate is of this one.
        line: of the terminal, where several processes show one each.
    """
    watched = sys.stderr.isatty()
    return _Bar(
        total=total,
        desc=title,
        unit=unit,
        mininterval=0.2 if watched else 10.0,
        initial=done,
        disable=silent,
        position=line if watched else 0,
    )
