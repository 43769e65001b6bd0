"""What is too little to be an utterance, whether or not the decoder complained."""

import math
from collections import Counter

import numpy as np

from erc_kedro.extractors.base import RATE, Sound
from erc_kedro.extractors.media.signals import Unusable

SHORTEST_S = 0.05
# Peak of a sound, its mean taken off, below which nobody is heard (-60 dB of full scale).
SILENCE = 1e-3
# A file that breaks off before this share of what it declares is not the utterance any more.
LEAST_SHARE = 0.5
# What codecs and containers may disagree by.
PADDING_S = 0.2


def refuse_missing(
    start: float,
    end: float,
    reached: float,
    nothing: bool,
    stated: float,
    packed: float,
    errors: Counter[str],
) -> None:
    """Refuses an utterance of whose sound, or pictures, nothing or too little was decoded.

    Args:
        start, end: its place in the file, in seconds.
        reached: how many seconds of it were decoded.
        nothing: whether nothing was.
        stated: how long the container says that the stream is; infinity where it does not say.
        packed: until when the stream's packets reach.
        errors: kinds of decoding errors, counted.

    Raises:
        Unusable: with the reason.
    """
    if end <= start:
        raise Unusable("too_short", "the utterance ends when it starts, or before")
    known = math.isfinite(stated)
    expected = min(stated, end) - start if known else 0.0
    ends = stated if known else packed
    # What decodes is there, whatever the file says of its length.
    if nothing and start >= ends > 0:
        detail = f"it starts at {start:.2f} s, and the file ends at {ends:.2f} s"
        raise Unusable("too_short", detail)
    complaints = ", ".join(f"{name} {count}" for name, count in errors.items())
    if nothing and errors:
        raise Unusable("unreadable", f"nothing could be decoded ({complaints})")
    if expected > PADDING_S and reached < LEAST_SHARE * expected:
        why = f" ({complaints})" if complaints else ""
        raise Unusable("unreadable", f"only {max(reached, 0):.2f} of {expected:.2f} s could be decoded{why}")
    if nothing:
        raise Unusable("too_short", "there is nothing in it")


def refuse_unheard(sound: Sound) -> None:
    """Refuses a sound in which nobody can be heard.

    Raises:
        Unusable: with the reason.
    """
    if not np.isfinite(sound).all():
        raise Unusable("unreadable", "samples that are not numbers")
    if len(sound) < SHORTEST_S * RATE:
        raise Unusable("too_short", f"{len(sound) / RATE:.3f} s, and {SHORTEST_S} s are needed")
    if np.abs(sound - sound.mean()).max() < SILENCE:
        raise Unusable("silent", "nothing louder than -60 dB of full scale")
