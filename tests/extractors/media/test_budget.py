"""Files that take too much work are left, whoever's work it is that counts."""

import time

import pytest

from erc_kedro.extractors import media
from erc_kedro.extractors.media import budget
from tests.extractors import clips
from tests.extractors.media.decoding import WHOLE, play, reasons


def test_a_file_that_takes_too_much_work_is_left(tmp_path, monkeypatch):
    path = clips.wav(tmp_path / "a.wav", clips.voice(1.0))
    assert reasons(path) == ("ok", "no_video")
    # To FFmpeg a header of nothing every eight bytes; whole minutes for some hundred megabytes.
    with path.open("ab") as file:
        file.write(bytes(4_000_000))
    monkeypatch.setattr(budget, "OPENING_S", 0.1)
    assert reasons(path) == ("too_slow", "too_slow")
    with pytest.raises(media.Unusable, match="of processor time"):
        play(path, WHOLE)


def test_what_is_done_with_a_file_s_pictures_is_no_work_on_the_file(tmp_path, monkeypatch):
    path = clips.clip(tmp_path / "a.mp4", 1.0)
    monkeypatch.setattr(budget, "MOST_WORK", 0.0)
    monkeypatch.setattr(budget, "OPENING_S", 1.0)
    until = time.thread_time() + 1.2
    for _ in media.play(path, [WHOLE], 3.0, 60.0):
        while time.thread_time() < until:
            pass
    monkeypatch.setattr(budget, "OPENING_S", 0.0)
    assert reasons(path) == ("too_slow", "too_slow")
