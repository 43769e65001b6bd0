"""Decoding: a media file, opened once, to the sound and the sampled frames of each utterance in it."""

from erc_kedro.extractors.media.containers import check
from erc_kedro.extractors.media.player import VERSION, play
from erc_kedro.extractors.media.signals import Finished, Picture, Span, Unusable

__all__ = ["VERSION", "Finished", "Picture", "Span", "Unusable", "check", "play"]
