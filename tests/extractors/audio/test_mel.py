"""The mel filters are those that others publish."""

import numpy as np
import pytest

from erc_kedro.extractors.audio import mel
from erc_kedro.extractors.base import RATE

# As librosa's documentation of mel_frequencies lists them (n_mels=40, fmax=11025), to a thousandth of a Hz.
PUBLISHED = """
    0 85.317 170.635 255.952 341.269 426.586 511.904 597.221 682.538 767.855 853.173 938.49 1024.856 1119.114
    1222.042 1334.436 1457.167 1591.187 1737.532 1897.337 2071.84 2262.393 2470.47 2697.686 2945.799 3216.731
    3512.582 3835.643 4188.417 4573.636 4994.285 5453.621 5955.205 6502.92 7101.009 7754.107 8467.272 9246.028
    10096.408 11025
"""


def test_slaney_s_edges_are_the_published_ones():
    published = np.array(PUBLISHED.split(), float)
    assert len(published) == 40
    np.testing.assert_allclose(mel.slaney(0, 11_025, 38), published, atol=6e-4)


def test_slaney_s_scale_is_even_up_to_1_khz_and_has_27_steps_to_its_6_4_fold():
    edges = mel.slaney(0, 6400, 41)
    np.testing.assert_allclose(edges[:16], np.arange(16) * 200 / 3)
    np.testing.assert_allclose(edges[16:] / edges[15:-1], 6.4 ** (1 / 27))
    assert edges[-1] == pytest.approx(6400)


def test_htk_s_scale_takes_1_khz_for_1000_mel():
    # O'Shaughnessy's formula, to its own rounding.
    edges = mel.htk(0, 1000, 1)
    assert edges[1] == pytest.approx(700 * (10 ** (999.9855 / 2 / 2595) - 1), abs=1e-3)
    assert edges[[0, 2]] == pytest.approx([0, 1000])


@pytest.mark.parametrize(
    ("scale", "name", "bands", "fft", "low"),
    [(mel.htk, "htk", 26, 1024, 50), (mel.slaney, "slaney", 80, 400, 0), (mel.slaney, "slaney", 128, 400, 0)],
)
def test_filters_are_those_of_transformers(scale, name, bands, fft, low):
    from transformers.audio_utils import mel_filter_bank

    edges = scale(low, RATE / 2, bands)
    ours = mel.filters(edges, fft)
    for norm, weights in ((None, ours), ("slaney", mel.of_equal_area(ours, edges))):
        theirs = mel_filter_bank(fft // 2 + 1, bands, low, RATE / 2, RATE, norm=norm, mel_scale=name)
        assert (weights.shape, weights.dtype) == ((bands, fft // 2 + 1), np.float32)
        np.testing.assert_allclose(weights, theirs.T, atol=1e-6 * theirs.max())


def test_of_equal_area_is_an_area_of_one_and_every_middle_is_a_peak():
    edges = mel.slaney(0, RATE / 2, 40)
    fft = 1 << 16
    heights = mel.filters(edges, fft)
    weights = mel.of_equal_area(heights, edges)
    np.testing.assert_allclose(weights.sum(1) * RATE / fft, 1, rtol=1e-3)
    np.testing.assert_allclose(heights.argmax(1) * RATE / fft, edges[1:-1], atol=RATE / fft)
    assert heights.max() <= 1
