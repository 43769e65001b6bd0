"""Tiers of annotations as turns: whose a tier is, and what kind of thing it holds."""

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace

from erc_kedro.corpora.tables import MISSING, folded_name
from erc_kedro.recordings.base import Turn, Word
from erc_kedro.recordings.intervals import Intervals
from erc_kedro.recordings.remarks import Remarks

# The parts of names that say what a tier holds; the rest of the name, if there is some, is its speaker's.
_EMOTIONS = {"emotion", "emotions"}
_LABELS = {"label", "labels"}
_WORDS = {"word", "words", "ort-mau"}
_SPEECH = {
    *("text", "tx", "transcript", "transcription", "utterance", "utterances", "sentence", "sentences"),
    *("speech", "default", "orthography", "turn", "turns", "speaker"),
}
# What a model has beside its emotions.
_CONFIDENCE = {"confidence"}
_OTHERS = {
    *("phone", "phones", "phoneme", "phonemes", "syllable", "syllables", "mau", "kan-mau", "silences"),
    *("probability", "translation", "translations", "gloss", "note", "notes", "comment"),
    *("comments", "gesture", "gestures", "gaze", "pitch"),
}
_KINDS = {
    "labels": _LABELS,
    "emotions": _EMOTIONS,
    "confidence": _CONFIDENCE,
    "words": _WORDS,
    "other": _OTHERS,
    "speech": _SPEECH,
}
_PARTS = re.compile(r"[\s@_:/()\[\]-]+")
_NUMBER = re.compile(r"\s*[-+]?[\d.,]+\s*%?\s*")
# Words with less between them are one turn's.
_PAUSE_S = 0.5
# A label holds for a turn that it lasts for at least so much of.
_LEAST_SHARE = 0.5


@dataclass
class Tier:
    """A tier; its intervals are (start, end, text), in seconds.

    Attributes:
        participant: who it is of, where the file says so.
        dependent: whether it describes what is on another tier.
    """

    name: str
    intervals: list[tuple[float, float, str]]
    participant: str = ""
    dependent: bool = False
    held: str = field(init=False)
    owner: str = field(init=False)

    def __post_init__(self) -> None:
        self.held, self.owner = _kind(self.name)
        if self.participant:
            self.owner = self.participant
        # Measures of any kind; a speaker may count, but not on a whole tier.
        numbers = all(_NUMBER.fullmatch(text) for _, _, text in self.intervals)
        if self.held in ("speech", "words") and (self.dependent or (numbers and len(self.intervals) > 1)):
            self.held = "words" if self.held == "words" and not numbers else "other"


def _kind(name: str) -> tuple[str, str]:
    """What a tier holds, by its name, and whose it is, "" where it does not say."""
    whole = name.strip()
    for kind, known in _KINDS.items():
        if whole.casefold() in known:
            return kind, ""
        parts = [part for part in _PARTS.split(whole) if part]
        # "Anna emotion", "emotion@Anna"; of "Speaker 1" and "text 2" nothing is left but a number.
        for at in (-1, 0):
            if len(parts) > 1 and parts[at].casefold() in known:
                rest = [*parts[:-1]] if at else parts[1:]
                owner = whole if "".join(rest).isdigit() else " ".join(rest)
                return kind, owner
    return "speech", whole


def turns_of(tiers: list[Tier], remarks: Remarks) -> list[Turn]:
    """The turns of all tiers with speech, in order, with their words and labels.

    A tier is its participant's, or that of whom its name names; one whose name is "text" or the like is
    nobody's. Tiers of words give words their times, or turns where the speaker has no others.
    """
    by_kind: dict[str, list[Tier]] = defaultdict(list)
    for tier in tiers:
        if tier.intervals:
            by_kind[tier.held].append(tier)
    # Emotions with a confidence are a model's, such as ours; as labels they would prove it right.
    guessed = {tier.owner for tier in by_kind["confidence"]}
    for tier in by_kind["emotions"]:
        by_kind["guesses" if tier.owner in guessed else "labels"].append(tier)
    for tier in [*by_kind["other"], *by_kind["confidence"]]:
        remarks.add("tier_not_read", tier.name)
    for tier in by_kind["guesses"]:
        remarks.add("model_output", f"tier {tier.name}")
    turns = [
        Turn(text, tier.owner, start, end)
        for tier in by_kind["speech"]
        for start, end, text in tier.intervals
    ]
    owners = {folded_name(tier.owner) for tier in by_kind["speech"]}
    for tier in by_kind["words"]:
        words = [
            Word(text.strip(), start, end) for start, end, text in sorted(tier.intervals) if text.strip()
        ]
        if folded_name(tier.owner) in owners or (owners and not tier.owner):
            turns = _with_words(turns, tier.owner, words)
        else:
            turns += _from_words(tier.owner, words)
    for tier in by_kind["labels"]:
        turns = _labelled(turns, tier, remarks)
    return sorted(turns, key=lambda turn: (turn.start_s, turn.end_s))


def _from_words(owner: str, words: list[Word]) -> list[Turn]:
    groups: list[list[Word]] = []
    for word in words:
        if groups and word.start_s - groups[-1][-1].end_s < _PAUSE_S:  # type: ignore[operator]
            groups[-1].append(word)
        else:
            groups.append([word])
    return [
        Turn(" ".join(word.text for word in own), owner, own[0].start_s, own[-1].end_s, words=tuple(own))
        for own in groups
    ]


def _with_words(turns: list[Turn], owner: str, words: list[Word]) -> list[Turn]:
    mine = [
        at for at, turn in enumerate(turns) if not owner or folded_name(turn.speaker) == folded_name(owner)
    ]
    spans = Intervals((turns[at].start_s, turns[at].end_s, str(at)) for at in mine)  # type: ignore[misc]
    found: dict[int, list[Word]] = defaultdict(list)
    for word in words:
        held = spans.during(word.start_s, word.end_s)  # type: ignore[arg-type]
        if held:
            found[int(max(held, key=held.__getitem__))].append(word)
    return [replace(turn, words=tuple(found[at])) if at in found else turn for at, turn in enumerate(turns)]


def _labelled(turns: list[Turn], tier: Tier, remarks: Remarks) -> list[Turn]:
    """Turns with the labels of a tier, which is one speaker's if it is named after one, and else all's."""
    speakers = {folded_name(turn.speaker) for turn in turns}
    owner = folded_name(tier.owner) if folded_name(tier.owner) in speakers else None
    labels = [(start, end, text.strip()) for start, end, text in tier.intervals]
    labels = [label for label in labels if label[2] and label[2] not in MISSING]
    spans = Intervals((start, end, str(at)) for at, (start, end, _) in enumerate(labels))
    placed = set()
    made = []
    for turn in turns:
        if (
            turn.start_s is None
            or turn.end_s is None
            or (owner is not None and folded_name(turn.speaker) != owner)
        ):
            made.append(turn)
            continue
        held = spans.during(turn.start_s, turn.end_s)
        best = max(held, key=held.__getitem__, default=None)
        if best is None or held[best] < _LEAST_SHARE * (turn.end_s - turn.start_s):
            made.append(turn)
            continue
        placed.add(best)
        made.append(replace(turn, label=labels[int(best)][2]))
    for at, (start, end, text) in enumerate(labels):
        if str(at) not in placed:
            remarks.add("label_unplaced", f"{tier.name}, {start:.3f} to {end:.3f} s: {text[:40]}")
    return made
