"""What decoding promises: each utterance's own sound and frames, whatever else is in the file."""

from pathlib import Path

import av
import numpy as np
import pytest

from erc_kedro.extractors import media
from erc_kedro.extractors.base import RATE
from erc_kedro.extractors.media import player
from tests.extractors import clips
from tests.extractors.media.decoding import WHOLE, play


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"video_codec": "libx264"}),
        ("a.avi", {"audio_codec": "pcm_s16le"}),
        ("a.mkv", {}),
    ],
)
def test_sound_and_frames_of_every_container(tmp_path, name, options):
    path = clips.clip(tmp_path / name, 1.5, **options)
    pictures, ends = play(path, WHOLE)
    assert [round(p.time_s, 2) for p in pictures[0]] == [0.0, 0.33, 0.67, 1.0, 1.33]
    assert all(p.gray.shape == (240, 320) and p.rgb().shape == (240, 320, 3) for p in pictures[0])
    sound = ends[0].sound
    assert len(sound) == pytest.approx(1.5 * RATE, rel=0.03)
    assert np.corrcoef(sound[: RATE // 2], clips.voice(0.5))[0, 1] > 0.9
    assert ends[0].video is None


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.mp3", "mp3"), ("a.flac", "flac")])
def test_sound_files(tmp_path, name, codec):
    path = clips.write(tmp_path / name, None, clips.voice(1.0), audio_codec=codec)
    _, ends = play(path, media.Span(frames=False))
    assert len(ends[0].sound) == pytest.approx(RATE, rel=0.05)
    assert ends[0].video is None


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_channels_become_sixteen_kilohertz_mono(tmp_path, rate, channels):
    sound = clips.voice(1.0, rate)
    path = clips.wav(tmp_path / "a.wav", np.stack([sound] * channels, 1), rate, channels)
    _, ends = play(path, WHOLE)
    got = ends[0].sound
    assert got.shape == (RATE,)
    assert np.corrcoef(got, clips.voice(1.0))[0, 1] > 0.99
    assert np.abs(got).max() == pytest.approx(np.abs(sound).max(), rel=0.1)


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory):
    """40 s whose brightness grows with time, and whose pitch rises by 20 Hz a second."""
    folder = tmp_path_factory.mktemp("long")
    frames = [np.full((64, 96, 3), 20 + int(200 * i / 480), np.uint8) for i in range(480)]
    for number, image in enumerate(frames):
        image[:, 48:] += 10 if number < 400 else 0
    time = np.arange(40 * RATE) / RATE
    sound = (0.3 * np.sin(2 * np.pi * (200 + 20 * np.floor(time)) * time)).astype(np.float32)
    return clips.write(folder / "long.avi", frames, sound, audio_codec="pcm_s16le")


SPANS = (
    media.Span(30.0, 32.0, "left"),
    media.Span(1.0, 3.5, "right"),
    media.Span(3.0, 4.0, "left"),
    media.Span(39.0, 45.0),
)


def test_spans_of_one_recording_get_their_own_sound_and_frames(long_recording):
    pictures, ends = play(long_recording, *SPANS)
    for index, (seconds, pitch) in enumerate([(2.0, 800), (2.5, 220), (1.0, 260), (1.0, 980)]):
        sound = ends[index].sound
        assert len(sound) == pytest.approx(seconds * RATE, abs=20)
        spectrum = np.abs(np.fft.rfft(sound[: RATE // 2]))
        assert 2 * int(spectrum.argmax()) == pitch
    assert [len(pictures[index]) for index in range(4)] == [6, 8, 3, 3]
    brightness = {index: pictures[index][0].gray.mean() for index in range(3)}
    # Luma is what was drawn, squeezed into 16 to 235.
    for index, second in ((0, 30.0), (1, 1.0), (2, 3.0)):
        drawn = 20 + 5 * second + (10 if index == 1 else 0)
        assert brightness[index] == pytest.approx(16 + drawn * 219 / 255, abs=3)
    assert pictures[0][0].gray.shape == (64, 48)
    assert pictures[3][0].gray.shape == (64, 96)


def test_a_span_does_not_depend_on_the_others(long_recording):
    _, together = play(long_recording, *SPANS)
    for index, span in enumerate(SPANS):
        pictures, alone = play(long_recording, span)
        np.testing.assert_array_equal(alone[0].sound, together[index].sound)
        assert len(pictures[0]) > 0


def noisy(seconds, rate):
    """A tone that shows the second (300 Hz and 40 more for each), in noise that never repeats."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.convolve(np.random.default_rng(0).normal(size=len(time)), np.ones(12) / 12, "same")
    tone = np.sin(2 * np.pi * np.cumsum(300 + 40 * np.floor(time)) / rate)
    return (0.3 * tone + 0.2 * noise).astype(np.float32)


# Codecs whose decoders remember what came before, and containers that do not know where they are.
REMEMBERING = {
    "a.mp3": {"audio_codec": "libmp3lame"},
    "a.aac": {},
    "a.m4a": {},
    "opus.ogg": {"audio_codec": "libopus", "rate": 48_000},
    "vorbis.ogg": {"audio_codec": "vorbis"},
    "a.webm": {"audio_codec": "libopus", "rate": 48_000},
    "a.mka": {"audio_codec": "libmp3lame"},
    "a.flac": {"audio_codec": "flac"},
    "a.wav": {"audio_codec": "pcm_s16le"},
    "a.avi": {"audio_codec": "ac3", "audio_kbps": 192, "video_codec": "mpeg4"},
    "a.mp4": {"video_codec": "libx264"},
    "a.ts": {"video_codec": "libx264"},
}


@pytest.mark.parametrize("name", REMEMBERING)
def test_an_utterance_is_the_same_alone_beside_others_and_from_the_start(tmp_path, name):
    options = {"rate": 44_100, "channels": 2, **REMEMBERING[name]}
    frames = None
    if "video_codec" in options:
        frames = [np.full((64, 96, 3), 20 + k, np.uint8) for k in range(14 * 12)]
    path = clips.write(tmp_path / name, frames, noisy(14.0, options["rate"]), **options)
    rng = np.random.default_rng(1)
    starts = np.sort(rng.uniform(5.5, 12.5, 4)).round(3)
    late = [media.Span(s, round(s + 0.7, 3), frames=frames is not None) for s in starts]
    early = [media.Span(k, k + 0.5, frames=frames is not None) for k in range(0, 13, 3)]
    pictures, together = play(path, *late, *early)
    [whole] = play(path, media.Span(frames=False))[1].values()
    for index, span in enumerate(late):
        shown, alone = play(path, span)
        np.testing.assert_array_equal(alone[0].sound, together[index].sound)
        # A tenth of a second is what decoders need to get going; some containers count in milliseconds.
        begins, first = alone[0].sound[: RATE // 10], round(span.start_s * RATE)
        near = [whole.sound[first + shift :][: len(begins)] for shift in range(-12, 13)]
        assert max(np.corrcoef(begins, there)[0, 1] for there in near) > 0.98
        seen = [[(p.time_s, p.gray.tobytes()) for p in some] for some in (shown[0], pictures[index])]
        assert seen[0] == seen[1]
        assert len(seen[0]) >= (2 if frames else 0)


def test_only_so_much_of_an_utterance_is_decoded(long_recording):
    pictures, ends = play(long_recording, WHOLE, longest_s=2.0)
    assert len(ends[0].sound) == pytest.approx(2 * RATE, abs=20)
    assert len(pictures[0]) == 6


def joined(folder, suffix, codec, kbps, rate=44_100, **options):
    """20 s of ``noisy``, the first and the second half encoded apart, at their own bit rates, and joined."""
    sound = noisy(20.0, rate)
    halves = [
        clips.write(
            folder / f"{number}{suffix}",
            None,
            sound[number * 10 * rate : (number + 1) * 10 * rate],
            audio_codec=codec,
            audio_kbps=some,
            rate=rate,
            **options,
        ).read_bytes()
        for number, some in enumerate(kbps)
    ]
    path = folder / f"joined{suffix}"
    path.write_bytes(b"".join(halves))
    return path


NO_XING = {"container_options": {"write_xing": "0"}}
# What these say of their length, or FFmpeg guesses, is wrong.
MISJUDGED = {
    "guessed too short": (".mp3", "libmp3lame", (256, 32), NO_XING),
    "guessed too long": (".mp3", "libmp3lame", (32, 256), NO_XING),
    "stated of the first alone": (".mp3", "libmp3lame", (128, 128), {}),
    "stated, and then guessed too long": (".mp3", "libmp3lame", (32, 256), {}),
    "adts too short": (".aac", "aac", (256, 24), {}),
    "adts too long": (".aac", "aac", (24, 256), {}),
    "opus": (".ogg", "libopus", (64, 64), {"rate": 48_000}),
    "flac": (".flac", "flac", (None, None), {}),
    "webm": (".webm", "libopus", (64, 64), {"rate": 48_000}),
    "ts": (".ts", "aac", (64, 64), {}),
}


@pytest.mark.parametrize("kind", MISJUDGED)
def test_what_decodes_is_used_whatever_its_length_is_said_or_guessed_to_be(tmp_path, kind):
    suffix, codec, kbps, options = MISJUDGED[kind]
    path = joined(tmp_path, suffix, codec, kbps, **options)
    seconds = range(0, 20, 3)
    spans = [media.Span(s + 0.25, s + 0.75, frames=False) for s in seconds]
    _, ends = play(path, *spans, media.Span(frames=False), media.Span(21.0, 22.0, frames=False))
    for index, second in enumerate(seconds):
        spectrum = np.abs(np.fft.rfft(ends[index].sound, RATE))
        assert spectrum[250:].argmax() + 250 == pytest.approx(300 + 40 * second, abs=10)
    assert len(ends[len(spans)].sound) == pytest.approx(20 * RATE, rel=0.02)
    assert ends[len(spans) + 1].sound.reason == "too_short"


def test_a_span_that_reaches_behind_the_end_says_so(tmp_path):
    path = clips.wav(tmp_path / "a.wav", clips.voice(3.0))
    ends = play(path, media.Span(2.0, 4.5), media.Span(1.0, 3.0))[1]
    assert len(ends[0].sound) == RATE
    assert ends[0].remark == "its last 1.50 s are not in the file"
    assert ends[1].remark == ""


def test_a_span_behind_the_end_and_one_without_length(long_recording):
    _, ends = play(long_recording, media.Span(50.0, 52.0), media.Span(7.0, 7.0), media.Span(9.0, 8.0))
    assert (
        {ends[i].sound.reason for i in range(3)} == {ends[i].video.reason for i in range(3)} == {"too_short"}
    )


def rotated(path: Path) -> Path:
    """The clip with a track that is to be shown turned by a quarter."""
    content = bytearray(path.read_bytes())
    at = content.find(b"tkhd") + 4 + 40
    quarter = (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    content[at : at + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in quarter)
    path.write_bytes(content)
    return path


def test_a_rotated_video_is_turned_upright(tmp_path):
    image = np.full((120, 200, 3), 40, np.uint8)
    image[:, :20] = 220
    path = rotated(clips.write(tmp_path / "turned.mp4", [image] * 6, None))
    with av.open(str(path)) as container:
        degrees = next(container.decode(video=0)).rotation
    assert degrees in (90, -90)
    picture = play(path, WHOLE)[0][0][0]
    assert picture.gray.shape == (200, 120)
    assert picture.rgb().shape == (200, 120, 3)
    # The matrix (0 1, -1 0) sends the left edge to the top: a quarter clockwise.
    assert picture.gray[:15].mean() > 150 > 60 > picture.gray[-15:].mean()


def test_pictures_follow_the_clock_of_a_variable_frame_rate(tmp_path):
    times = [0, 0.05, 0.1, 0.9, 1.0, 1.1, 1.5, 1.9]
    frames = [clips.scene((320, 240), None)] * len(times)
    path = clips.write(tmp_path / "vfr.mp4", frames, clips.voice(2.0), times=times)
    assert [round(p.time_s, 2) for p in play(path, WHOLE)[0][0]] == [0.0, 0.9, 1.0, 1.5, 1.9]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_luma_of_every_pixel_format(tmp_path, pix_fmt):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, 48:] = 200
    path = clips.write(tmp_path / "a.mp4", [image] * 4, None, video_codec="libx264", pix_fmt=pix_fmt)
    gray = play(path, WHOLE)[0][0][0].gray
    assert (gray.dtype, gray.shape) == (np.uint8, (64, 96))
    assert gray[:, :40].mean() < 30
    assert gray[:, 56:].mean() > 150


def test_4k(tmp_path):
    frames = [clips.scene((3840, 2160), None)] * 2
    path = clips.write(tmp_path / "4k.mp4", frames, clips.voice(0.5), video_codec="libx264")
    assert play(path, WHOLE)[0][0][0].gray.shape == (2160, 3840)


def test_a_stream_that_ends_early_holds_nobody_up(tmp_path, monkeypatch):
    """Else the sound of all that comes after would be in memory until the file's end."""
    frames = [clips.scene((96, 64), None)] * 24
    path = clips.write(tmp_path / "a.mp4", frames, clips.voice(20.0))
    spans = media.Span(0.0, 20.0), media.Span(1.0, 2.0), media.Span(9.0, 10.0), media.Span(12.0, 13.0)
    _, late = play(path, *spans)
    monkeypatch.setattr(player, "BEHIND_S", 3.0)
    _, ends = play(path, *spans)
    assert [*ends] == [1, 2, 3, 0]
    for index, end in ends.items():
        np.testing.assert_array_equal(end.sound, late[index].sound)
        assert repr(end.video) == repr(late[index].video)
    assert [end.video is None for end in ends.values()] == [True, False, False, True]


def test_a_shared_frame_is_glanced_at_between_the_pictures(tmp_path):
    frames = [clips.scene((96, 64), None)] * 50
    path = clips.write(tmp_path / "a.mp4", frames, clips.voice(2.0), fps=25, video_codec="libx264")
    [pictures] = play(path, media.Span(0.4, 1.6, shared=True))[0].values()
    assert [round(p.time_s, 2) for p in pictures if not p.glance] == [0.0, 0.36, 0.68, 1.0]
    assert [round(p.time_s, 2) for p in pictures] == sorted(
        {
            0.0,
            0.08,
            0.16,
            0.24,
            0.32,
            0.36,
            0.4,
            0.48,
            0.56,
            0.64,
            0.68,
            0.72,
            0.8,
            0.88,
            0.96,
            1.0,
            1.04,
            1.12,
        }
    )
    assert not any(p.glance for p in play(path, media.Span(0.4, 1.6))[0][0])
