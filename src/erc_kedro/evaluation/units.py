"""What a corpus's utterances are drawn and exchanged by: parts that do not depend on each other.

Utterances of one dialogue share speakers and topic, so dialogues are the units of intervals and of paired
tests. Where a dialogue is a single utterance, as in corpora of clips, that would take all clips of one
speaker for independent; there, speakers are the units.
"""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

# The share of dialogues of one utterance from which a corpus counts as one of clips.
CLIPS = 0.9
# With fewer units a warning stands beside what rests on them (docs/decisions/0020-few-test-dialogues.md).
FEWEST = 15


@dataclass(frozen=True)
class Units:
    """Attributes:
    kind: what a unit is, in the singular.
    of: utterance_id (the index) to the name of its unit.
    """

    kind: Literal["dialogue", "speaker", "fold"]
    of: "pd.Series[str]"


def units_of(utterances: pd.DataFrame) -> Units:
    """The units of a corpus: dialogues; in a corpus of clips speakers, or folds where it names one speaker.

    A corpus of clips is one of whose dialogues nine in ten are single utterances. Its dialogues remain the
    units only where it tells apart neither speakers nor folds.

    Args:
        utterances: ``schemas.utterances``, all splits.
    """
    by_id = utterances.set_index("utterance_id")
    kind: Literal["dialogue", "speaker", "fold"] = "dialogue"
    if (utterances["dialogue_id"].value_counts() == 1).mean() >= CLIPS:
        if utterances["speaker"].nunique() > 1:
            kind = "speaker"
        elif "fold" in utterances and utterances["fold"].nunique() > 1:
            kind = "fold"
    return Units(kind, by_id["dialogue_id" if kind == "dialogue" else kind])


def counted(count: int, kind: str) -> str:
    """``31 dialogues``, ``1 speaker``."""
    return f"{count:,} {kind}{'' if count == 1 else 's'}"


def few_units(count: int, kind: str) -> str:
    """What to warn of where test has this many units; empty where it has enough, or none.

    Exchanging two models' predictions of n units in all 2^n ways yields no two-sided p below 2 / 2^n.
    """
    if not 0 < count < FEWEST:
        return ""
    only = f"Test has only {counted(count, kind)}"
    if count == 1:
        return f"{only}: there is no interval and no paired test."
    least = f"{2 / 2**count:.2g}".removeprefix("0")
    return (
        f"{only}: intervals over fewer than {FEWEST} are rough, and no paired test can find p below {least}."
    )
