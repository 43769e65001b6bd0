"""What each emotion says, sounds and looks like, and how much of it an utterance shows.

In each modality emotions come in pairs that it often cannot tell apart, other pairs in each: such an
utterance takes words from either of the pair, or a voice or face halfway between them. Others show nothing.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, TypeVar

import numpy as np

from erc_kedro.demo.face import REST, Expression
from erc_kedro.demo.voice import Delivery

Manner = TypeVar("Manner", Delivery, Expression)
Pairs = Sequence[tuple[str, str]]

_OWN_WORDS = {
    "joy": ("I am so happy about it", "that makes me smile", "this is lovely, thank you"),
    "surprise": ("I had no idea", "I did not expect that at all", "what a surprise"),
    "anger": ("stop it, you make me furious", "how dare you", "I am angry with you"),
    "sadness": ("I feel like crying", "it makes me so sad", "I miss how it was"),
    "neutral": ("it is on the table", "we meet at nine", "the train leaves from there"),
    "disgust": ("that is revolting", "it smells awful", "I cannot even look at it, how gross"),
    "fear": ("I am scared of it", "please do not leave me alone with it", "my hands are shaking"),
    "excitement": ("I cannot wait, let us go now", "this is the best thing ever", "I am thrilled about it"),
    "frustration": ("I have tried it ten times", "nobody ever listens to me", "it never works"),
}
_SHARED_WORDS = (
    "you will not believe it",
    "that really is something",
    "there we have it again",
    "would you look at that",
)
_TOPICS = (
    "the letter",
    "the dinner",
    "the house",
    "your sister",
    "the new job",
    "the trip",
    "the car",
    "the party",
)
_FILLERS = ("well", "you know", "so", "I mean", "look", "okay")
_SAID_WITHOUT_FEELING = (
    "I talked to them about {}",
    "they called because of {}",
    "it is about {}",
    "we can see to {} later",
)
_VOICES = {
    "neutral": Delivery(),
    "joy": Delivery(pitch=4, range=3, slope=1, level=4, rate=5.6, smile=1),
    "surprise": Delivery(pitch=7, range=3, slope=9, level=3, rate=5, breath=0.3, smile=-0.3),
    "anger": Delivery(pitch=2, range=2.5, slope=-4, level=9, rate=6.5, breath=0.02, tension=1),
    "sadness": Delivery(pitch=-3, range=0.6, slope=-4, level=-7, rate=3.8, breath=0.5, tension=-1),
    "disgust": Delivery(pitch=-4, range=1.2, slope=-6, level=1, rate=4, tension=0.4, smile=-1, creak=1),
    "fear": Delivery(pitch=6, range=0.8, slope=0, level=-4, rate=7, breath=0.5, tension=-0.2, tremor=1.3),
    "excitement": Delivery(pitch=6, range=4, slope=3, level=7, rate=7, tension=0.5, smile=1),
    "frustration": Delivery(
        pitch=-2, range=2, slope=-6, level=4, rate=4, breath=0.35, tension=0.6, creak=0.5
    ),
}
_FACES = {
    "neutral": REST,
    "joy": Expression(curve=1, open=0.35, wide=0.35, brow=0.2, eyes=-0.4, nod=3),
    "surprise": Expression(open=1, wide=-0.4, brow=1, eyes=1),
    "anger": Expression(curve=-0.4, wide=0.1, slant=-1, brow=-0.6, eyes=-0.2, shake=4),
    "sadness": Expression(curve=-1, slant=1, eyes=-0.6, tilt=8),
    "disgust": Expression(curve=-0.4, skew=1, wrinkle=1, brow=-0.4, eyes=-0.6, tilt=-6),
    "fear": Expression(open=0.5, wide=0.6, slant=0.9, brow=0.8, eyes=1, shiver=2.5),
    "excitement": Expression(curve=0.9, open=0.9, wide=0.2, brow=0.8, eyes=0.6, nod=5),
    "frustration": Expression(curve=-0.7, wide=-0.3, slant=-0.7, brow=0.3, eyes=-0.7, tilt=-5, shake=5),
}
_WAYS = ("own", "pair", "nothing")
# In this share of utterances one modality shows the emotion, another its pair, and the third nothing.
_SHARED_OUT = 0.6
_HANDS = tuple(itertools.permutations(_WAYS))
# In the others, how often each of the three is the case in each modality.
_SHARES = {"text": (0.34, 0.4, 0.26), "audio": (0.22, 0.36, 0.42), "visual": (0.34, 0.36, 0.3)}
# How far the same emotion differs from utterance to utterance.
_VOICE_SPREAD = Delivery(1.1, 0.5, 1.6, 1.2, 0.45, 0.06, 0.2, 0.15, 0.2, 0.12)
_FACE_SPREAD = Expression(0.1, 0.05, 0.08, 0.08, 0.1, 0.1, 0.1, 0.08, 1.0, 0.3, 0.3, 0.2)


@dataclass(frozen=True)
class Shown:
    """What a modality shows of an utterance's emotion: it, its pair, or nothing; by modality."""

    text: str
    audio: str
    visual: str


def deal(rng: np.random.Generator, count: int) -> list[Shown]:
    """What each of some utterances shows.

    Dealt as from a pack of cards: at every size and seed the shares are the same.
    """
    dealt = [Shown(*hand) for hand in itertools.islice(itertools.cycle(_HANDS), round(_SHARED_OUT * count))]
    rest = count - len(dealt)
    columns = []
    for shares in _SHARES.values():
        ends = np.rint(np.cumsum(shares) * rest).astype(int)
        columns.append(rng.permutation(np.repeat(_WAYS, np.diff(ends, prepend=0))).tolist())
    dealt += [Shown(*ways) for ways in zip(*columns, strict=True)]
    return [dealt[index] for index in rng.permutation(count)]


def sentence(rng: np.random.Generator, emotion: str | None, shows: str, pairs: Pairs) -> str:
    """What somebody says.

    Args:
        rng: of the choice.
        emotion: one of the nine; None for none.
        shows: own, pair or nothing.
        pairs: of emotions that share words.
    """
    topic = _choose(rng, _TOPICS)
    if emotion is None or shows == "nothing":
        core = _choose(rng, _SAID_WITHOUT_FEELING).format(topic)
    elif shows == "own":
        core = f"{_choose(rng, _OWN_WORDS[emotion])}, because of {topic}"
    else:
        core = (
            f"{_choose(rng, _OWN_WORDS[_choose(rng, _pair(emotion, pairs))])}, {_choose(rng, _SHARED_WORDS)}"
        )
    text = f"{_choose(rng, _FILLERS)}, {core}."
    return text[0].upper() + text[1:]


def delivery(rng: np.random.Generator, emotion: str | None, shows: str, pairs: Pairs) -> Delivery:
    """How somebody says it; arguments as of ``sentence``."""
    return _manner(rng, _VOICES, _VOICE_SPREAD, emotion, shows, pairs)


def expression(rng: np.random.Generator, emotion: str | None, shows: str, pairs: Pairs) -> Expression:
    """How somebody looks; arguments as of ``sentence``."""
    return _manner(rng, _FACES, _FACE_SPREAD, emotion, shows, pairs)


def _choose(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _pair(emotion: str, pairs: Pairs) -> tuple[str, ...]:
    return next((pair for pair in pairs if emotion in pair), (emotion,))


def _manner(
    rng: np.random.Generator,
    manners: Mapping[str, Manner],
    spread: Manner,
    emotion: str | None,
    shows: str,
    pairs: Pairs,
) -> Manner:
    if emotion is None or shows == "nothing":
        sources: tuple[str, ...] = ("neutral",)
    else:
        sources = (emotion,) if shows == "own" else _pair(emotion, pairs)
    middle = np.mean([astuple(manners[source]) for source in sources], axis=0)
    values = rng.normal(middle, astuple(spread))
    return type(spread)(*values.tolist())
