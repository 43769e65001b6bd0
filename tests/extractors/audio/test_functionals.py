"""Functionals of sounds whose pitch, rate and colour are known."""

from importlib import import_module

import numpy as np
import pytest

from erc_kedro.extractors import EXTRACTORS, base
from erc_kedro.extractors.audio import functionals as extractor
from erc_kedro.extractors.audio.functionals import Functionals
from tests.defaults import AudioParameters
from tests.extractors.sounds import ODD, alone, noise, voice

RATE = base.RATE


@pytest.fixture(scope="module")
def functionals():
    return Functionals(AudioParameters())


@pytest.fixture(scope="module")
def named(functionals):
    return lambda sound: dict(zip(functionals.names, functionals([sound])[0].tolist(), strict=True))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ODD)
def test_functionals_are_finite_on_odd_sounds(functionals, kind):
    vectors = functionals([ODD[kind]])
    assert vectors.shape == (1, functionals.metadata.dimension)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    # A scaler must not find a feature that drowns all others.
    levels = np.array([name.startswith("level") for name in functionals.names])
    assert np.abs(vectors[0, ~levels]).max() < 1000


def test_functionals_are_named_once_each_and_come_for_no_sound_too(functionals):
    assert len(functionals.names) == len(set(functionals.names)) == functionals.metadata.dimension
    assert functionals([]).shape == (0, functionals.metadata.dimension)


def test_functionals_depend_on_their_own_sound_only(functionals):
    sounds = [voice(seconds=0.7), noise(0.3) * 50, ODD["constant"], voice(300, seconds=0.05)]
    kept = [sound.copy() for sound in sounds]
    np.testing.assert_array_equal(functionals(sounds), alone(functionals, sounds))
    np.testing.assert_array_equal(functionals(sounds[::-1])[::-1], alone(functionals, sounds))
    for sound, before in zip(sounds, kept, strict=True):
        np.testing.assert_array_equal(sound, before)


@pytest.mark.parametrize("pitch", [80, 120, 200, 310, 480])
@pytest.mark.parametrize("tilt", [0.3, 1.5])
def test_pitch_is_given_in_semitones(named, pitch, tilt):
    found = named(voice(pitch, tilt=tilt))
    expected = 12 * np.log2(pitch / 27.5)
    for name in ("f0_mean", "f0_p20", "f0_p50", "f0_p80"):
        assert found[name] == pytest.approx(expected, abs=0.1), name
    assert found["f0_std"] < 0.1
    assert found["voiced_share"] > 0.95


def test_pitch_survives_noise_and_a_missing_first_harmonic(named):
    time = np.arange(RATE) / RATE
    telephone = sum(np.sin(2 * np.pi * 110 * k * time) for k in range(3, 30)).astype(np.float32)
    assert named(telephone)["f0_p50"] == pytest.approx(24, abs=0.1)
    assert named(voice(220, breath=0.7))["f0_p50"] == pytest.approx(36, abs=0.2)


def test_a_glide_is_given_in_semitones_a_second(named):
    up, down = named(voice(110, glide=0.75, syllables=0)), named(voice(260, glide=-0.75, syllables=0))
    assert up["f0_rising"] == pytest.approx(9, abs=0.3)
    assert up["f0_trend"] == pytest.approx(9, abs=0.3)
    assert down["f0_falling"] == pytest.approx(-9, abs=0.3)
    assert down["f0_trend"] == pytest.approx(-9, abs=0.3)
    assert up["f0_rising_share"] > 0.95 > 0.05 > down["f0_rising_share"]
    assert up["f0_end"] > 4 > -4 > down["f0_end"]
    assert up["f0_range_20_80"] == pytest.approx(9 * 1.6 * 0.6, abs=0.5)
    lively, dull = named(voice(vibrato=0.2)), named(voice(vibrato=0.02))
    assert lively["f0_std"] == pytest.approx(12 * 0.2 / np.sqrt(2), abs=0.2)
    assert lively["f0_std"] > 5 * dull["f0_std"]
    assert lively["jitter"] > dull["jitter"]


def test_a_gain_moves_levels_by_its_decibels_and_nothing_else(named):
    sound = voice(vibrato=0.1, breath=0.1)
    before, after = named(sound), named(sound * 4)
    for name, value in before.items():
        expected = value + 20 * np.log10(4) * name.startswith("level_")
        assert after[name] == pytest.approx(expected, abs=1e-3), name


def test_levels_are_decibels_of_the_mean_square(named):
    tone = np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE).astype(np.float32)
    assert named(tone)["level_max"] == pytest.approx(-3, abs=0.2)


def test_faster_syllables_are_counted(named):
    for rate, low, high in ((3, "2hz", "4hz"), (6, "4hz", "2hz")):
        found = named(voice(syllables=rate, seconds=3))
        assert found["syllable_rate"] == pytest.approx(rate, abs=0.4)
        assert found[f"modulation_level_{low}"] > found[f"modulation_level_{high}"] + 3


def test_a_brighter_voice_has_a_flatter_spectrum(named):
    bright, dark = named(voice(tilt=0.4)), named(voice(tilt=1.6))
    for name in ("alpha_ratio_mean", "centroid_mean", "rolloff75_mean", "slope_high_voiced_mean"):
        assert bright[name] > dark[name], name
    assert bright["hammarberg_mean"] < dark["hammarberg_mean"]
    assert bright["h1_h2_mean"] == pytest.approx(20 * np.log10(2**0.4), abs=0.5)
    assert dark["h1_h2_mean"] == pytest.approx(20 * np.log10(2**1.6), abs=0.5)
    assert bright["h1_a3_mean"] < dark["h1_a3_mean"]


def test_without_voice_the_pitch_is_an_average_one(named):
    click = named(ODD["click"])
    assert click["voiced_share"] == click["f0_std"] == 0
    assert 24 < click["f0_mean"] < 38


def test_breath_lowers_harmonicity_and_a_whisper_is_unvoiced(named):
    clear, breathy = named(voice()), named(voice(breath=0.5))
    assert clear["hnr_mean"] > breathy["hnr_mean"] + 5
    whisper = named(noise(2))
    assert whisper["voiced_share"] < 0.05


def test_silence_about_a_voice_does_not_count_but_pauses_within_do(named):
    sound, quiet = voice(syllables=0, seconds=0.8), np.zeros(RATE, np.float32)
    bare, padded = named(sound), named(np.concatenate([quiet, sound, quiet[: RATE // 2]]))
    for name in ("duration_log", "f0_mean", "level_mean", "mfcc0_mean", "centroid_mean"):
        assert padded[name] == pytest.approx(bare[name], abs=0.05 * max(abs(bare[name]), 1)), name
    assert bare["pause_share"] == 0
    word = named(np.concatenate([quiet] * 20 + [sound]))
    assert word["duration_log"] == pytest.approx(bare["duration_log"], abs=0.1)
    parted = named(np.concatenate([sound, quiet[: RATE // 2], sound]))
    assert parted["pause_share"] == pytest.approx(0.5 / 2.1, abs=0.05)
    assert parted["voiced_rate"] == pytest.approx(2 / 2.1, abs=0.05)
    assert parted["voiced_length_mean"] == pytest.approx(np.sqrt(0.8), abs=0.05)
    assert parted["f0_mean"] == pytest.approx(bare["f0_mean"], abs=0.1)


def test_another_library_or_revision_has_another_version(functionals, monkeypatch):
    again = Functionals(AudioParameters())
    assert again.metadata == functionals.metadata
    monkeypatch.setattr(extractor, "REVISION", extractor.REVISION + 1)
    revised = Functionals(AudioParameters()).metadata.version
    monkeypatch.undo()
    monkeypatch.setattr(extractor, "version", lambda package: "9.9.9")
    upgraded = Functionals(AudioParameters()).metadata.version
    assert len({again.metadata.version, revised, upgraded}) == 3


def test_every_name_in_the_registry_has_its_class():
    for name, path in EXTRACTORS["audio"].items():
        module, made = path.split(":")
        assert hasattr(import_module(module), made), name
