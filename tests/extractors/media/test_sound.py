"""Channels and rates of any number become one sound, without losing the voice."""

import numpy as np
import pytest

from erc_kedro.extractors.base import RATE
from tests.extractors import clips
from tests.extractors.media.decoding import WHOLE, play, reasons

VOICE = clips.voice(1.0)
OTHER = clips.voice(1.0, pitch=210.0)
NOTHING = np.zeros_like(VOICE)
# Channels, what they become, and what is said of it.
CHANNELS = {
    "the same": ([VOICE, VOICE], VOICE, ""),
    "two voices": ([VOICE, OTHER], (VOICE + OTHER) / 2, ""),
    "one quieter": ([VOICE, 0.1 * VOICE], 0.55 * VOICE, ""),
    "opposite": ([VOICE, -VOICE], VOICE, "channel 1 of 2 alone: the channels cancel each other"),
    "nearly opposite": ([0.8 * VOICE, -VOICE], -VOICE, "channel 2 of 2 alone"),
    "opposite over hum": (
        [VOICE + 0.3 * np.sin(np.arange(RATE) / RATE * 2 * np.pi * 50).astype(np.float32), -VOICE],
        None,
        "alone",
    ),
    "one dead": ([NOTHING, VOICE], VOICE, "without 1 of 2 channels: nothing is in them"),
    "one constant": ([NOTHING + 0.5, VOICE], VOICE, "without 1 of 2"),
    "centre of six": ([NOTHING, NOTHING, VOICE, NOTHING, NOTHING, NOTHING], VOICE, "without 5 of 6"),
    "centre amid others": (
        [0.1 * OTHER, -0.1 * OTHER, VOICE, 0.05 * OTHER, 0.1 * OTHER, 0.05 * OTHER],
        VOICE,
        "channel 3 of 6 alone",
    ),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_become_one_without_losing_the_voice(tmp_path, name):
    channels, expected, said = CHANNELS[name]
    path = clips.wav(tmp_path / "a.wav", np.stack(channels, 1), RATE, len(channels))
    [end] = play(path, WHOLE)[1].values()
    assert end.remark.startswith(said) if said != "alone" else said in end.remark
    assert bool(end.remark) == bool(said)
    if expected is not None:
        np.testing.assert_allclose(end.sound, expected, atol=2e-4)


def test_a_channel_that_is_not_all_numbers_is_left_out(tmp_path):
    [end] = play(clips.not_numbers(tmp_path / "a.wav", channels=2), WHOLE)[1].values()
    np.testing.assert_array_equal(end.sound, VOICE)
    assert end.remark.startswith("without 1 of 2")


@pytest.mark.parametrize("channels", [8, 9, 64])
def test_sound_of_many_channels(tmp_path, channels):
    """PyAV took the memory behind the eighth for channels, too, and died of it."""
    voice = clips.voice(0.5)
    path = clips.wav(tmp_path / "a.wav", np.tile(voice[:, None], channels), channels=channels)
    _, ends = play(path, WHOLE)
    np.testing.assert_allclose(ends[0].sound, voice, atol=1e-4)


def test_sound_that_would_become_hours_or_that_nobody_can_mix_is_refused(tmp_path):
    noise = np.random.default_rng(0).normal(scale=0.1, size=20_000).astype(np.float32)
    assert reasons(clips.wav(tmp_path / "a.wav", noise, rate=10)) == ("unreadable", "no_video")
    many = np.tile(noise[:2000, None], 100)
    assert reasons(clips.wav(tmp_path / "b.wav", many, channels=100))[0] == "unreadable"
