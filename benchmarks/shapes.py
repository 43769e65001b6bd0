"""The shapes of corpora: what speed and memory depend on. Free of torch, for the driver."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Shape:
    """What a corpus looks like to a network.

    Attributes:
        dialogues, utterances: how many in the training split.
        longest: utterances of the longest dialogue; one dialogue has as many.
        speakers: at most in a dialogue.
        dimensions: numbers in a text, an audio and a visual vector.
        classes: labels.
        spread: k of the gamma distribution of dialogues' lengths; 0 makes all dialogues equally long.
    """

    dialogues: int
    utterances: int
    longest: int
    speakers: int
    dimensions: tuple[int, int, int]
    classes: int
    spread: float

    def times(self, factor: float) -> "Shape":
        """The same corpus with ``factor`` times as many dialogues and utterances."""
        return replace(
            self, dialogues=round(self.dialogues * factor), utterances=round(self.utterances * factor)
        )


# The training splits of the releases, with the features that most papers use.
SHAPES = {
    "meld": Shape(1039, 9989, 33, 9, (1024, 300, 342), 7, 2.7),
    "iemocap": Shape(120, 5810, 110, 2, (1024, 1582, 342), 6, 8.0),
}


def equal_dialogues(length: int, utterances: int) -> Shape:
    """MELD's features, two speakers, and dialogues of ``length`` utterances each."""
    return Shape(utterances // length, utterances, length, 2, SHAPES["meld"].dimensions, 7, 0)
