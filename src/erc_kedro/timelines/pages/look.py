"""How labels look: a colour, a texture and a letter each, so that no one of them is needed."""

from collections.abc import Sequence
from typing import Any

from erc_kedro.recordings import times

# Okabe and Ito's palette (jfly.uni-koeln.de/color) without yellow and black, which one of two backgrounds
# swallows; style.css has the colours. The last is grey.
COLOURS = 6
GREY = COLOURS
TEXTURES = 3
# Characters of a label's name on the page.
LONGEST = 40


def looks(labels: Sequence[str]) -> list[dict[str, Any]]:
    """Of each label its ``code`` (one to three letters), ``colour`` (0 to 6) and ``texture`` (0: plain).

    What is called neutral is grey, so that the others stand out. More labels than colours get a texture.
    """
    made, used = [], 0
    for number, label in enumerate(labels):
        look = {"code": _code(labels, number), "colour": GREY, "texture": 0}
        if label.casefold() not in ("neutral", "neu"):
            look |= {"colour": used % COLOURS, "texture": used // COLOURS % TEXTURES}
            used += 1
        made.append(look)
    return made


def _code(labels: Sequence[str], number: int) -> str:
    """The shortest beginning that no other label has, else the label's number."""
    names = [" ".join(label.split()).casefold() for label in labels]
    for length in (1, 2, 3):
        start = names[number][:length]
        if start.isalnum() and sum(name.startswith(start) for name in names) == 1:
            return start.capitalize()
    return f"#{number + 1}"


def clock(seconds: float | None) -> str:
    """Seconds as ``1:02:03.4``, or a dash."""
    if seconds is None or seconds != seconds:
        return "–"
    return times.clock(seconds)


def percent(share: float | None) -> str:
    """A share as ``62 %``, or a dash."""
    return "–" if share is None or share != share else f"{100 * share:.0f} %"
