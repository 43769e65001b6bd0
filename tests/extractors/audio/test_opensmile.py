"""openSMILE's sets are openSMILE's own."""

import sys

import numpy as np
import pytest

from erc_kedro.extractors import build
from erc_kedro.extractors.base import RATE
from tests.defaults import AudioParameters
from tests.extractors.sounds import ODD, alone, voice


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
    assert "research" in extractor.metadata.licence
    assert extractor.metadata.dimension == dimension
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
