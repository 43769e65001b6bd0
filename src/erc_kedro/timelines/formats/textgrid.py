"""Praat's TextGrid.

Ours rather than pympi's, which does not escape quotes in the names of tiers.
"""

from typing import Any

from erc_kedro.timelines.formats.spans import Span, Tier, tiers


def textgrid(spans: list[Span], facts: dict[str, Any]) -> str:
    """An interval tier a speaker with the text, one with emotions and one with confidence.

    Intervals fill a tier from the beginning to the end of the recording; those of gaps are empty.
    """
    end = max(round((facts.get("seconds") or 0) * 1000), *(span.end for span in spans))
    made = tiers(spans)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        *_range(0, end),
        "tiers? <exists>",
        f"size = {len(made)}",
        "item []:",
    ]
    for number, tier in enumerate(made, 1):
        intervals = _intervals(tier, end)
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f"        name = {_quoted(tier.name)}",
            *_range(0, end, 8),
            f"        intervals: size = {len(intervals)}",
        ]
        for at, (first, last, text) in enumerate(intervals, 1):
            lines += [
                f"        intervals [{at}]:",
                *_range(first, last, 12),
                f"            text = {_quoted(text)}",
            ]
    return "\n".join(lines) + "\n"


def _intervals(tier: Tier, end: int) -> list[tuple[int, int, str]]:
    made, reached = [], 0
    for span, value in zip(tier.spans, tier.values, strict=True):
        if span.start > reached:
            made.append((reached, span.start, ""))
        made.append((span.start, span.end, value))
        reached = span.end
    return made if reached == end else [*made, (reached, end, "")]


def _range(first: int, last: int, indent: int = 0) -> list[str]:
    return [f"{' ' * indent}{name} = {time / 1000:.3f}" for name, time in (("xmin", first), ("xmax", last))]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
