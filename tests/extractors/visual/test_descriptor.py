"""Drawn faces described by measurement."""

import cv2
import numpy as np
import pytest

from erc_kedro.extractors import build
from tests.defaults import VisualParameters
from tests.extractors.visual.drawn import drawn, track


@pytest.fixture(scope="module")
def describe():
    extractor = build("visual", VisualParameters())

    def named(*tracks):
        rows = extractor(tracks)
        assert rows.shape == (len(tracks), extractor.metadata.dimension)
        assert rows.dtype == np.float32
        assert np.isfinite(rows).all()
        return [dict(zip(extractor.names, row.tolist(), strict=True)) for row in rows]

    return named


def test_expressions_show_in_what_is_named_after_them(describe):
    still, opened, smiling, raised, frowning = describe(
        *(
            track([drawn(**how)] * 3)
            for how in ({}, {"openness": 0.9}, {"smile": 1.0}, {"brow": 5.0}, {"frown": 5.0})
        )
    )
    assert opened["mouth_thick_mean"] > 1.3 * still["mouth_thick_mean"]
    # Rows count downwards: a smile's corners lie above its middle.
    assert smiling["mouth_curve_mean"] < still["mouth_curve_mean"] - 2
    for side in ("left", "right"):
        assert raised[f"{side}_brow_eye_mean"] > still[f"{side}_brow_eye_mean"] + 2
    assert frowning["brows_inward_mean"] > still["brows_inward_mean"] + 2


def test_talking_shows_as_change_of_the_mouth_and_not_of_the_eyes(describe):
    silent, talking, blinking_brows = describe(
        track([drawn()] * 6),
        track([drawn(openness=t % 2) for t in range(6)]),
        track([drawn(brow=4.0 * (t % 2)) for t in range(6)]),
    )
    assert talking["change_mouth_mean"] > 5 * talking["change_eyes_mean"]
    assert talking["change_mouth_mean"] > silent["change_mouth_mean"] + 0.1
    assert blinking_brows["change_brows_mean"] > blinking_brows["change_mouth_mean"] + 0.1


def test_a_box_that_trembles_does_not_pass_for_motion(describe):
    rng = np.random.default_rng(0)
    trembling, talking = describe(
        track([drawn(shift=rng.uniform(-3, 3, 2)) for _ in range(8)]),
        track([drawn(openness=t % 2) for t in range(8)]),
    )
    assert trembling["change_mouth_mean"] < 0.35 * talking["change_mouth_mean"]
    # The box moved and the face in it moved back: the head was still.
    shifts = [(2.0 * (t % 2), 0) for t in range(8)]
    steady = track([drawn(shift=shift) for shift in shifts])
    # 96 pixels of a crop show 1.25 boxes.
    steady.box[:, 0] -= np.array([x for x, _ in shifts], np.float32) * 1.25 / 96 * steady.box[:, 2]
    (steady_head,) = describe(steady)
    (moved,) = describe(track([drawn(shift=shift) for shift in shifts]))
    assert steady_head["speed_mean"] < 0.3 * moved["speed_mean"]


def test_a_tilted_head_looks_as_it_does_upright(describe):
    faces = [
        drawn(*how)
        for how in [(0.9, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 5.0, 0), (0, 0, 0, 5.0), (0.4, -1.0, 2.0, 1.0)]
    ]

    def tilted(degrees):
        move = cv2.getRotationMatrix2D((47.5, 47.5), degrees, 1.0)
        return describe(
            *(
                track([cv2.warpAffine(face, move, (96, 96), borderMode=cv2.BORDER_REPLICATE)] * 3)
                for face in faces
            )
        )

    level = tilted(0)
    names = [name for name in level[0] if name != "roll_mean"]
    values = np.array([[row[name] for name in names] for row in level])
    spread = values.std(0)
    vary = spread > 1e-3 * np.abs(values).max()
    for degrees in (-15, -8, 8, 15):
        found = tilted(degrees)
        moved = np.abs(np.array([[row[name] for name in names] for row in found]) - values)
        assert np.median(moved[:, vary] / spread[vary]) < 0.15
        assert [row["roll_mean"] for row in found] == pytest.approx([-degrees] * len(faces), abs=1.5)


def test_light_changes_little(describe):
    extractor = build("visual", VisualParameters())
    bright, dim, other = extractor(
        [
            track([drawn(openness=o) for o in (0.1, 0.6)]),
            track([drawn(openness=o, light=0.5) for o in (0.1, 0.6)]),
            track([drawn(openness=o, smile=-1, brow=4) for o in (0.1, 0.6)]),
        ]
    )
    assert np.abs(bright - dim).sum() < 0.15 * np.abs(bright - other).sum()


def test_a_heads_speed_is_in_its_own_sides_a_second(describe):
    near, far = describe(
        track([drawn()] * 4, (0.1, 0.1, 0.4, 0.6), (0.1, 0.0)),
        track([drawn()] * 4, (0.1, 0.1, 0.1, 0.15), (0.1, 0.0)),
    )
    for head in (near, far):
        assert head["across_mean"] == pytest.approx(0.3, abs=0.01)
        assert head["down_mean"] == pytest.approx(0, abs=0.01)


def test_one_frame_has_neither_motion_nor_deviation(describe):
    (one,) = describe(track([drawn(openness=0.5)]))
    assert one["mouth_thick_mean"] > 0
    still = [name for name in one if name.endswith("_std") or name.startswith(("change", "speed", "across"))]
    assert len(still) > 50
    assert not any(one[name] for name in still)


def test_any_pixels_make_finite_vectors(describe):
    rng = np.random.default_rng(0)
    describe(
        track([np.zeros((96, 96), np.uint8)] * 2),
        track([np.full((96, 96), 255, np.uint8)]),
        track([rng.integers(0, 255, (96, 96)).astype(np.uint8) for _ in range(3)]),
    )


def test_without_tracks_there_are_no_vectors():
    extractor = build("visual", VisualParameters())
    assert extractor([]).shape == (0, extractor.metadata.dimension)
    assert len(set(extractor.names)) == extractor.metadata.dimension
    assert not extractor.color
