"""Files as they should not be: each has its reason, and what can be used is."""

import os

import numpy as np
import pytest

from erc_kedro.extractors import media
from erc_kedro.extractors.base import RATE
from erc_kedro.extractors.media import containers, player
from tests.extractors import clips
from tests.extractors.media.decoding import WHOLE, play, reasons

BROKEN = {
    "missing.mp4": ("no_media", "no_media"),
    "dangling.mp4": ("no_media", "no_media"),
    "loop.mp4": ("unreadable", "unreadable"),
    "folder.mp4": ("unreadable", "unreadable"),
    "pipe.mp4": ("unreadable", "unreadable"),
    "empty.mp4": ("unreadable", "unreadable"),
    "garbage.mp4": ("unreadable", "unreadable"),
    "truncated.mp4": ("unreadable", "unreadable"),
    "truncated_early.mp4": ("unreadable", "unreadable"),
    "playlist.mp4": ("unreadable", "unreadable"),
    "no_audio.mp4": ("no_audio", "ok"),
    "no_video.mp4": ("ok", "no_video"),
    "zero.wav": ("too_short", "no_video"),
    "5ms.wav": ("too_short", "no_video"),
    "5ms.mp4": ("too_short", "ok"),
    "silent.wav": ("silent", "no_video"),
    "constant.wav": ("silent", "no_video"),
    "not_numbers.wav": ("unreadable", "no_video"),
    "overdriven.wav": ("ok", "no_video"),
    "wav_named.mp4": ("ok", "no_video"),
    "mp4_named.wav": ("ok", "ok"),
    "one_frame.mp4": ("ok", "ok"),
    "Räume & Süße %03d.mp4": ("ok", "ok"),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    good = clips.clip(folder / "good.mp4", 2.0, video_codec="libx264")
    early = clips.clip(
        folder / "early.mp4", 2.0, video_codec="libx264", container_options={"movflags": "+faststart"}
    )
    content = good.read_bytes()
    (folder / "dangling.mp4").symlink_to(folder / "nowhere")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "empty.mp4").touch()
    (folder / "garbage.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    (folder / "truncated.mp4").write_bytes(content[: len(content) // 2])
    (folder / "truncated_early.mp4").write_bytes(early.read_bytes()[: early.stat().st_size // 3])
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\ngood.mp4\n")
    face = [clips.scene((320, 240), (60, 60))]
    clips.write(folder / "no_audio.mp4", face * 12, None)
    clips.write(folder / "no_video.mp4", None, clips.voice(1.0))
    clips.write(folder / "5ms.mp4", face, clips.voice(0.005))
    clips.write(folder / "one_frame.mp4", face, clips.voice(1.0))
    clips.wav(folder / "zero.wav", np.zeros(0))
    clips.wav(folder / "5ms.wav", clips.voice(0.005))
    clips.wav(folder / "silent.wav", np.zeros(RATE))
    clips.wav(folder / "constant.wav", np.full(RATE, 0.5))
    clips.wav(folder / "overdriven.wav", 30 * clips.voice(1.0))
    clips.not_numbers(folder / "not_numbers.wav")
    (folder / "wav_named.mp4").write_bytes((folder / "overdriven.wav").read_bytes())
    (folder / "mp4_named.wav").write_bytes(content)
    (folder / "Räume & Süße %03d.mp4").write_bytes(content)
    return folder


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_file_has_its_reason(broken, name):
    assert reasons(broken / name) == BROKEN[name]


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bits_never_stop_us(broken, tmp_path, seed):
    content = bytearray((broken / "good.mp4").read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(100, len(content), 60):
        content[place] ^= 1 << int(rng.integers(8))
    path = tmp_path / "flipped.mp4"
    path.write_bytes(content)
    assert set(reasons(path)) <= {"ok", "unreadable", "no_audio", "no_video", "too_short", "silent"}


def test_a_file_that_breaks_off_says_how_far_it_went(broken, tmp_path):
    content = (broken / "early.mp4").read_bytes()
    path = tmp_path / "off.mp4"
    path.write_bytes(content[: int(0.6 * len(content))])
    _, ends = play(path, WHOLE)
    assert ends[0].sound.reason == "unreadable"
    assert "of 2.00 s could be decoded" in ends[0].sound.detail
    assert ends[0].errors


def test_an_avi_that_breaks_off_is_found_out(tmp_path):
    # FFmpeg takes its size for its duration.
    frames = [clips.scene((320, 240), (60 + number, 60)) for number in range(72)]
    whole = clips.write(
        tmp_path / "whole.avi", frames, clips.voice(6.0), audio_codec="pcm_s16le"
    ).read_bytes()
    path = tmp_path / "off.avi"
    path.write_bytes(whole[: len(whole) // 4])
    assert reasons(path) == ("unreadable", "unreadable")


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.mp3", "libmp3lame")])
def test_a_sound_file_that_breaks_off_is_found_out(tmp_path, name, codec):
    path = clips.write(tmp_path / name, None, clips.voice(6.0), audio_codec=codec)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    ends = play(path, media.Span(frames=False), media.Span(0.5, 1.5), media.Span(4.0, 5.0))[1]
    assert [getattr(ends[i].sound, "reason", "ok") for i in range(3)] == ["unreadable", "ok", "unreadable"]
    assert ends[0].sound.detail.startswith("only ")


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_streamed_wav_that_knows_no_length_is_whole(tmp_path, size):
    path = clips.wav(tmp_path / "a.wav", clips.voice(2.0))
    content = bytearray(path.read_bytes())
    for place in (4, content.find(b"data") + 4):
        content[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert len(play(path, WHOLE)[1][0].sound) == 2 * RATE


def test_pictures_larger_than_any_video_s_are_refused(tmp_path, monkeypatch):
    path = clips.clip(tmp_path / "a.mp4", 1.0)
    monkeypatch.setattr(player, "MOST_PIXELS", 10_000)
    assert reasons(path) == ("ok", "unreadable")


@pytest.mark.parametrize("name", ["a\0b.wav", "x" * 5000, "x/" * 3000])
def test_names_that_no_file_has(tmp_path, name):
    with pytest.raises(media.Unusable) as error:
        media.check(tmp_path / name)
    assert error.value.reason in ("no_media", "unreadable")


def test_a_file_of_nothing_but_headers_of_an_mp3_is_done_soon(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\4\0\0\0\0\0\0" * 200_000)
    assert containers.mp3_frames(path) == 0
    whole = clips.write(tmp_path / "b.mp3", None, clips.voice(1.0), audio_codec="libmp3lame")
    assert reasons(whole)[0] == "ok"
