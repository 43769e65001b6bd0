"""Several extractors of one voice beside each other, and which ones `auto` is."""

import shutil

import numpy as np
import pytest

from erc_kedro.extractors import build, resolved, runner
from erc_kedro.pipelines.features.nodes import clip_features
from tests.defaults import AudioParameters, FeatureParameters, RunnerParameters
from tests.extractors import clips
from tests.extractors.audio.whispers import LAYERS
from tests.extractors.extraction import HERE, table
from tests.extractors.sounds import noise, voice


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


def test_a_model_in_another_folder_is_the_same_version(folder, tmp_path):
    moved = tmp_path / "bundle" / "audio"
    shutil.copytree(folder, moved)
    versions = {
        build("audio", AudioParameters(extractor=extractor, model=str(where))).metadata.version
        for where in (folder, moved)
        for extractor in ("whisper", ("functionals", "whisper"))
    }
    assert len(versions) == 2


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
