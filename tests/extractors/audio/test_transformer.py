"""Tiny speech models on disk."""

import numpy as np
import pytest
import torch

from erc_kedro.extractors import build
from tests.defaults import AudioParameters
from tests.extractors.sounds import ODD, alone, noise, voice

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
    assert extractor.metadata.dimension == len(expected) == 32
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
    assert raw.metadata.version != scaled.metadata.version


def test_what_alters_a_speech_models_vectors_alters_its_version(folders, tmp_path):
    import transformers

    versions = {
        speech(folder, layers).metadata.version for folder in folders.values() for layers in ("last", "all")
    }
    assert len(versions) == 6
    assert speech(folders["WavLM"]).metadata == speech(folders["WavLM"]).metadata
    for path in folders["WavLM"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    model = transformers.WavLMModel.from_pretrained(tmp_path)
    with torch.no_grad():
        model.encoder.layers[0].final_layer_norm.bias.add_(1)
    model.save_pretrained(tmp_path)
    assert speech(tmp_path).metadata.version not in versions


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
