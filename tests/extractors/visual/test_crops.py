"""Faces cut out, laid over each other and turned upright."""

import cv2
import numpy as np
import pytest

from erc_kedro.extractors.visual.crops import GRAY, align, cut, upright
from tests.extractors.visual.heads import HEAD, PHOTO


def test_a_crop_at_the_edge_repeats_the_border():
    image = np.full((100, 100), 50, np.uint8)
    image[:, :10] = 200
    crop = cut(image, np.array([-20.0, 20, 40, 40]), 96)
    assert crop.shape == (96, 96)
    assert (crop[:, :40] == 200).all()
    assert (crop[:, -20:] == 50).all()


def test_alignment_undoes_a_shift_and_returns_it():
    face = cut(PHOTO, np.array([177.0, 66, 97, 97]), 96)
    moved = cv2.warpAffine(face, np.array([[1, 0, 4.5], [0, 1, -3.0]]), (96, 96))
    back, shift = align(face, moved)
    np.testing.assert_allclose(shift, (4.5, -3), atol=0.3)
    assert np.abs(back[20:80, 20:80].astype(float) - face[20:80, 20:80]).mean() < 3


def test_a_photographed_head_is_turned_upright_by_what_it_was_turned():
    side = HEAD.shape[1]
    crop = cv2.resize(HEAD[:side], (GRAY, GRAY), interpolation=cv2.INTER_AREA)
    found = {}
    for degrees in (0, -12, -6, 6, 12):
        move = cv2.getRotationMatrix2D((47.5, 47.5), degrees, 1.0)
        turned = cv2.warpAffine(crop, move, (96, 96), borderMode=cv2.BORDER_REPLICATE)
        crops, found[degrees] = upright(np.stack([turned] * 3))
        assert (crops.dtype, crops.shape) == (np.uint8, (3, 96, 96))
    for degrees, roll in found.items():
        assert roll - found[0] == pytest.approx(-degrees, abs=1.5)


def test_without_a_face_s_symmetry_nothing_is_turned():
    # A bar that leans more than heads do, and nothing at all.
    bar = np.full((96, 96), 60, np.uint8)
    cv2.line(bar, (20, 90), (76, 6), 200, 9)
    for crop in (bar, np.full((96, 96), 128, np.uint8)):
        crops, roll = upright(crop[None])
        assert roll == 0
        np.testing.assert_array_equal(crops, crop[None])
