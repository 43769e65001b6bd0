"""Utterances as players and annotation tools show them: whole milliseconds, and tiers without overlaps."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from erc_kedro.escaping import line
from erc_kedro.sentences import unused_name


@dataclass(frozen=True)
class Span:
    """An utterance that has times.

    Attributes:
        start, end: in milliseconds; the end is later by at least one.
        emotion: as it is shown: ``joy``, or ``joy?`` where that is unsure; empty where nothing was read,
            heard or seen.
        confidence: None where there is no emotion.
        label: the annotated one, or empty.
    """

    utterance_id: str
    start: int
    end: int
    speaker: str
    text: str
    emotion: str
    confidence: float | None
    label: str


def spans_of(timeline: pd.DataFrame) -> list[Span]:
    """The utterances that have times, in their order."""
    timed = timeline.dropna(subset=["start_s", "end_s"])
    names: dict[str, str] = {}
    for speaker in timed["speaker"].unique():
        # Two names may look alike in one line; their speakers stay apart.
        names[speaker] = unused_name(shown(speaker), names.values())
    found = []
    for row in timed.to_dict("records"):
        start = max(0, round(row["start_s"] * 1000))
        empty = row["status"] == "empty"
        found.append(
            Span(
                utterance_id=row["utterance_id"],
                start=start,
                # No tool shows what takes no time.
                end=max(start + 1, round(row["end_s"] * 1000)),
                speaker=names[row["speaker"]],
                text=shown(row["text"]),
                emotion="" if empty else shown(row["emotion"]) + "?" * (row["status"] == "unsure"),
                confidence=None if empty else row["confidence"],
                label="" if pd.isna(row["label"]) else shown(row["label"]),
            )
        )
    return sorted(found, key=lambda span: (span.start, span.end))


def shown(text: object) -> str:
    """The text in one line, without what XML cannot hold."""
    return line(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


@dataclass(frozen=True)
class Tier:
    """What one speaker said, or what is said of that, one after the other.

    Attributes:
        name: no other tier has it.
        kind: ``text``, ``emotion``, ``confidence`` or ``label``.
        parent: the name of the tier that has the text of the same spans; None for that tier itself.
        values: what is shown, a value a span; empty where there is nothing.
    """

    name: str
    kind: str
    speaker: str
    parent: str | None
    spans: list[Span]
    values: list[str]


def tiers(spans: Iterable[Span]) -> list[Tier]:
    """For each speaker a tier of texts, and below it one of emotions, of confidence, and of labels if any.

    No tool lets the spans of a tier overlap: who talks across themselves gets a second tier of texts, so that
    all times stay what they are.
    """
    made: list[Tier] = []
    lanes = _lanes(spans)
    taken = {speaker for speaker, _, _ in lanes}
    for speaker, number, lane in lanes:
        text = speaker if number == 1 else unused_name(f"{speaker} {number}", taken)
        taken.add(text)
        columns = {
            "text": [span.text for span in lane],
            "emotion": [span.emotion for span in lane],
            "confidence": ["" if span.confidence is None else f"{span.confidence:.2f}" for span in lane],
            "label": [span.label for span in lane],
        }
        for kind, values in columns.items():
            if kind == "label" and not any(values):
                continue
            name = text if kind == "text" else unused_name(f"{kind}@{text}", taken)
            taken.add(name)
            made.append(Tier(name, kind, speaker, None if kind == "text" else text, lane, values))
    return made


def _lanes(spans: Iterable[Span]) -> list[tuple[str, int, list[Span]]]:
    """Speakers in order of appearance, and of each, numbered from 1, as few rows as hold no overlap."""
    by_speaker: dict[str, list[list[Span]]] = {}
    for span in spans:
        lanes = by_speaker.setdefault(span.speaker, [])
        free = next((lane for lane in lanes if lane[-1].end <= span.start), None)
        if free is None:
            lanes.append([span])
        else:
            free.append(span)
    return [(speaker, n, lane) for speaker, lanes in by_speaker.items() for n, lane in enumerate(lanes, 1)]
