"""Audio extractors on sounds whose pitch, rate and colour are known, and tiny speech models on disk."""

import sys
from importlib import import_module

import numpy as np
import pytest
import torch

from erc_kedro.extractors import EXTRACTORS, audio, base, build
from tests.defaults import AudioParameters

RATE = base.RATE


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(size=int(seconds * RATE)).astype(np.float32) * 0.1


def voice(
    pitch=150.0, seconds=1.6, syllables=4.0, tilt=1.0, glide=0.0, vibrato=0.0, breath=0.0, gain=0.1, seed=0
):
    """Harmonics of a pitch in syllables: ``glide`` in octaves a second, ``tilt`` as the harmonics' decay."""
    time = np.arange(int(seconds * RATE)) / RATE
    frequency = pitch * 2 ** (glide * time + vibrato * np.sin(2 * np.pi * 5 * time))
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    top = int(7000 / frequency.max())
    sound = sum(np.sin(k * phase) / k**tilt for k in range(1, top + 1))
    sound = sound + breath * np.random.default_rng(seed).normal(size=len(time))
    if syllables:
        sound = sound * (0.55 - 0.45 * np.cos(2 * np.pi * syllables * time))
    return (gain * sound).astype(np.float32)


ODD = {
    "50 ms of noise": noise(0.05),
    "50 ms of voice": voice(seconds=0.05),
    "pure tone": np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32),
    "clipped noise": np.sign(noise(0.5)),
    "constant": np.full(RATE // 2, 0.3, np.float32),
    "huge": noise(0.3) * 3e5,
    "faint": noise(0.3) * 1e-20,
    "click": np.eye(1, RATE, RATE // 3, dtype=np.float32)[0],
    "silence, then voice": np.concatenate([np.zeros(RATE, np.float32), voice(seconds=0.3)]),
    "voice on an offset": voice() + 5,
}


@pytest.fixture(scope="module")
def functionals():
    return audio.LibrosaFunctionals(AudioParameters())


@pytest.fixture(scope="module")
def named(functionals):
    return lambda sound: dict(zip(functionals.names, functionals([sound])[0].tolist(), strict=True))


def alone(extractor, sounds):
    return np.vstack([extractor([sound]) for sound in sounds])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ODD)
def test_functionals_are_finite_on_odd_sounds(functionals, kind):
    vectors = functionals([ODD[kind]])
    assert vectors.shape == (1, functionals.card.dimension)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    # A scaler must not find a number that drowns all others.
    levels = np.array([name.startswith("level") for name in functionals.names])
    assert np.abs(vectors[0, ~levels]).max() < 1000


def test_functionals_are_named_once_each_and_come_for_no_sound_too(functionals):
    assert len(functionals.names) == len(set(functionals.names)) == functionals.card.dimension
    assert functionals([]).shape == (0, functionals.card.dimension)


def test_functionals_depend_on_their_own_sound_only(functionals):
    sounds = [voice(seconds=0.7), noise(0.3) * 50, ODD["constant"], voice(300, seconds=0.05)]
    kept = [sound.copy() for sound in sounds]
    np.testing.assert_array_equal(functionals(sounds), alone(functionals, sounds))
    np.testing.assert_array_equal(functionals(sounds[::-1])[::-1], alone(functionals, sounds))
    for sound, before in zip(sounds, kept, strict=True):
        np.testing.assert_array_equal(sound, before)


@pytest.mark.parametrize("pitch", [80, 120, 200, 310, 480])
@pytest.mark.parametrize("tilt", [0.3, 1.5])
def test_pitch_is_told_in_semitones(named, pitch, tilt):
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


def test_a_glide_is_told_in_semitones_a_second(named):
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
    again = audio.LibrosaFunctionals(AudioParameters())
    assert again.card == functionals.card
    monkeypatch.setattr(audio, "REVISION", audio.REVISION + 1)
    revised = audio.LibrosaFunctionals(AudioParameters()).card.version
    monkeypatch.undo()
    monkeypatch.setattr(audio, "version", lambda package: "9.9.9")
    upgraded = audio.LibrosaFunctionals(AudioParameters()).card.version
    assert len({again.card.version, revised, upgraded}) == 3


def test_every_name_in_the_registry_has_its_class():
    for name, path in EXTRACTORS["audio"].items():
        module, made = path.split(":")
        assert hasattr(import_module(module), made), name


@pytest.mark.parametrize("name", ["egemaps", "compare"])
def test_without_opensmile_the_message_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(
        ValueError, match=rf'features\.audio\.extractor: {name}.*pip install -e "\.\[opensmile\]"'
    ):
        build("audio", AudioParameters(extractor=name))


@pytest.mark.parametrize(("name", "dimension"), [("egemaps", 88), ("compare", 6373)])
def test_opensmile_says_what_it_says_itself(name, dimension, caplog):
    opensmile = pytest.importorskip("opensmile")
    extractor = build("audio", AudioParameters(extractor=name))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "research" in caplog.text
    assert "research" in extractor.card.licence
    assert extractor.card.dimension == dimension
    sounds = [voice(seconds=0.5), *ODD.values()]
    vectors = extractor(sounds)
    assert vectors.shape == (len(sounds), dimension)
    assert np.isfinite(vectors).all()
    # A sound that was clipped at full scale, or goes beyond it, does not change sign.
    loud = voice(seconds=0.5, gain=1)
    beyond, full, nearly = extractor([loud, np.clip(loud, -1, 1), np.clip(loud, -0.999, 0.999)])
    np.testing.assert_array_equal(beyond, full)
    assert np.median(np.abs(full - nearly) / (np.abs(nearly) + 1e-3)) < 0.01
    # What openSMILE calls too short is told apart nevertheless.
    short = [list(ODD).index(kind) + 1 for kind in ("50 ms of noise", "50 ms of voice")]
    assert not np.allclose(vectors[short[0]], vectors[short[1]])
    np.testing.assert_array_equal(vectors[:3], alone(extractor, sounds[:3]))
    itself = opensmile.Smile(getattr(opensmile.FeatureSet, extractor.feature_set))
    np.testing.assert_allclose(vectors[0], itself.process_signal(sounds[0], RATE).to_numpy()[0], rtol=1e-6)


SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 5,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 8, 8),
    "conv_stride": (10, 8, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
KINDS = ("Wav2Vec2", "Hubert", "WavLM")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    import transformers

    out = {}
    for kind in KINDS:
        out[kind] = tmp_path_factory.mktemp(kind)
        torch.manual_seed(0)
        model = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**SIZES))
        model.save_pretrained(out[kind])
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(out[kind])
    return out


def speech(folder, layers="all"):
    return build("audio", AudioParameters(extractor="transformers", model=str(folder), layers=layers))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "count"), [("last", 1), ("last_four", 4), ("all", 6)])
def test_a_speech_model_is_pooled_as_declared(folders, kind, layers, count):
    import transformers

    extractor = speech(folders[kind], layers)
    sound = voice(seconds=0.4)
    model = getattr(transformers, f"{kind}Model").from_pretrained(folders[kind]).eval()
    scaled = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
    with torch.no_grad():
        states = model(torch.tensor(scaled)[None], output_hidden_states=True).hidden_states
    assert len(states) == 6
    mixed = np.mean([state[0].numpy() for state in states[-count:]], axis=0)
    expected = np.concatenate([mixed.mean(0), mixed.std(0)])
    assert extractor.card.dimension == len(expected) == 32
    np.testing.assert_allclose(extractor([sound])[0], expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_speech_model_hears_one_sound_at_a_time_and_any_sound(folders, kind):
    extractor = speech(folders[kind])
    vectors = extractor(list(ODD.values()))
    assert vectors.shape == (len(ODD), 32)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_array_equal(vectors, alone(extractor, ODD.values()))


def test_a_sound_below_the_models_shortest_is_filled_with_zeros(tmp_path):
    import transformers

    config = transformers.Wav2Vec2Config(**{**SIZES, "conv_stride": (10, 8, 8), "conv_kernel": (10, 8, 16)})
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    sound = noise(0.05)
    filled = np.concatenate([sound, np.zeros(1280 - len(sound), np.float32)])
    vector, whole = speech(tmp_path)([sound, filled])
    assert np.isfinite(vector).all()
    np.testing.assert_array_equal(vector, whole)


def test_the_models_own_normalisation_is_used(folders, tmp_path):
    import transformers

    for path in folders["WavLM"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    scaled, raw = speech(folders["WavLM"]), speech(tmp_path)
    sound = voice(seconds=0.3) + np.float32(0.2)
    np.testing.assert_allclose(scaled([sound]), scaled([sound * 2]), atol=1e-4)
    assert not np.allclose(raw([sound]), scaled([sound]), atol=1e-3)
    assert raw.card.version != scaled.card.version


def test_what_alters_a_speech_models_vectors_alters_its_version(folders, tmp_path):
    import transformers

    versions = {
        speech(folder, layers).card.version for folder in folders.values() for layers in ("last", "all")
    }
    assert len(versions) == 6
    assert speech(folders["WavLM"]).card == speech(folders["WavLM"]).card
    for path in folders["WavLM"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    model = transformers.WavLMModel.from_pretrained(tmp_path)
    with torch.no_grad():
        model.encoder.layers[0].final_layer_norm.bias.add_(1)
    model.save_pretrained(tmp_path)
    assert speech(tmp_path).card.version not in versions


def test_models_that_cannot_hear_are_refused(tmp_path, folders, monkeypatch):
    import transformers

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"features\.audio\.model: '.*nowhere' is neither a local folder"):
        speech(tmp_path / "nowhere")
    config = transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"features\.audio\.model"):
        speech(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is no wav2vec2, HuBERT or WavLM"):
        speech(tmp_path)
    for path in folders["Hubert"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="8000 samples a second"):
        speech(tmp_path)
