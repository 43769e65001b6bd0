"""Whole files played for tests."""

import numpy as np

from erc_kedro.extractors import media

WHOLE = media.Span()


def play(path, *spans, fps=3.0, longest_s=60.0):
    """Pictures by span, and each span's end."""
    media.check(path)
    pictures, ends = {index: [] for index in range(len(spans))}, {}
    for event in media.play(path, spans, fps, longest_s):
        if isinstance(event, media.Picture):
            assert event.span not in ends
            pictures[event.span].append(event)
        else:
            ends[event.span] = event
    assert set(ends) == set(pictures)
    return pictures, ends


def reasons(path):
    """Why there is no sound, and why there are no frames; "ok" where there are."""
    try:
        pictures, ends = play(path, WHOLE)
    except media.Unusable as unusable:
        return unusable.reason, unusable.reason
    end = ends[0]
    sound = end.sound.reason if isinstance(end.sound, media.Unusable) else "ok"
    if sound == "ok":
        assert np.isfinite(end.sound).all()
        assert end.sound.dtype == np.float32
    video = end.video.reason if end.video else "ok"
    assert (video == "ok") <= bool(pictures[0])
    return sound, video
