"""Faces described: drawn ones by measurement, and any through tiny random networks saved to disk."""

import cv2
import numpy as np
import pytest
import torch
import transformers

from erc_kedro.extractors import build
from erc_kedro.extractors.base import FaceTrack
from erc_kedro.parameters import VisualParameters


def drawn(openness=0.1, smile=0.0, brow=0.0, frown=0.0, light=1.0, shift=(0, 0)):
    """A shaded face, 96 by 96: brows raised by ``brow`` and inner ends lowered by ``frown``, in pixels."""
    scale = 4
    face = np.full((96 * scale, 96 * scale), 90.0, np.float32)

    def at(x, y):
        return round((x + shift[0]) * scale), round((y + shift[1]) * scale)

    cv2.ellipse(face, at(48, 50), (36 * scale, 44 * scale), 0, 0, 360, 190, -1)
    cv2.ellipse(face, at(50, 56), (4 * scale, 7 * scale), 0, 0, 360, 165, -1)
    for side in (-1, 1):
        cv2.ellipse(face, at(48 + 17 * side, 39), (7 * scale, 3 * scale), 0, 0, 360, 60, -1)
        inner = at(48 + 9 * side, 29 - brow + frown)
        cv2.line(face, inner, at(48 + 26 * side, 29 - brow), 50, 3 * scale)
    x = np.linspace(-1, 1, 30)
    lip = 72 - smile * 6 * (x**2 - 0.5)
    gap = 1.5 + 8 * openness * np.sqrt(1 - x**2)
    outline = [
        at(48 + 14 * a, b) for a, b in zip([*x, *x[::-1]], [*(lip - gap), *(lip + gap)[::-1]], strict=True)
    ]
    cv2.fillPoly(face, [np.array(outline)], 45)
    face = cv2.GaussianBlur(face, (0, 0), 3)
    return np.clip(cv2.resize(face, (96, 96), interpolation=cv2.INTER_AREA) * light, 0, 255).astype(np.uint8)


def track(crops, box=(0.4, 0.3, 0.2, 0.3), step=(0.0, 0.0)):
    """Crops a third of a second apart; the box moves by ``step`` of its size each time."""
    boxes = np.tile(np.array(box, np.float32), (len(crops), 1))
    boxes[:, :2] += np.arange(len(crops))[:, None] * np.array(step) * boxes[:, 2:]
    times = np.arange(len(crops), dtype=np.float32) / 3
    color = np.stack([cv2.cvtColor(cv2.resize(crop, (224, 224)), cv2.COLOR_GRAY2RGB) for crop in crops])
    return FaceTrack(np.stack(crops), color, boxes, times)


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


SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}


def saved(kind, folder):
    """A tiny random model with its image processor, as the hub would give it."""
    torch.manual_seed(0)
    if kind == "clip":
        text = {k: v for k, v in SIZES.items() if k not in ("image_size", "patch_size")}
        config = transformers.CLIPConfig(
            text_config=text | {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1},
            vision_config=SIZES,
            projection_dim=8,
        )
        model = transformers.CLIPModel(config)
        size = {"shortest_edge": 32}
        prepare = transformers.CLIPImageProcessor(size=size, crop_size={"height": 32, "width": 32})
    else:
        prepare = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
        config = transformers.ViTConfig(**SIZES, num_labels=7)
        model = {
            "classifier": transformers.ViTForImageClassification,
            "encoder": transformers.ViTModel,
        }[kind](config)
    model.save_pretrained(folder)
    prepare.save_pretrained(folder)
    return model.eval(), prepare


@pytest.mark.parametrize(
    ("kind", "dimension"), [("classifier", 16 + 7), ("encoder", 2 * 16), ("clip", 2 * 8)]
)
def test_any_image_model_gives_vectors_that_are_each_their_own_tracks(kind, dimension, tmp_path):
    model, prepare = saved(kind, tmp_path)
    extractor = build("visual", VisualParameters(extractor="transformers", model=str(tmp_path)))
    assert extractor.color
    assert extractor.metadata.dimension == dimension
    # More frames than go through at a time.
    tracks = [track([drawn(openness=t / 20) for t in range(n)]) for n in (1, 20, 3)]
    together = extractor(tracks)
    assert together.shape == (3, dimension)
    assert together.dtype == np.float32
    alone = np.vstack([extractor([one]) for one in tracks])
    np.testing.assert_allclose(together, alone, atol=1e-6)

    pixels = prepare(images=list(tracks[1].color), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        if kind == "classifier":
            first = model.vit(pixel_values=pixels).last_hidden_state[:, 0]
            expected = torch.cat([first, model(pixel_values=pixels).logits.softmax(-1)], 1).mean(0)
        else:
            frames = (
                model.get_image_features(pixel_values=pixels).pooler_output
                if kind == "clip"
                else model(pixel_values=pixels).last_hidden_state[:, 0]
            )
            expected = torch.cat([frames.mean(0), frames.std(0, correction=0)])
    np.testing.assert_allclose(together[1], expected.numpy(), atol=1e-5)


def test_other_weights_are_another_version(tmp_path):
    model, _ = saved("encoder", tmp_path / "a")
    saved("encoder", tmp_path / "b")
    with torch.no_grad():
        model.embeddings.cls_token.add_(1.0)
    model.save_pretrained(tmp_path / "b")
    versions = [
        build(
            "visual", VisualParameters(extractor="transformers", model=str(tmp_path / name))
        ).metadata.version
        for name in "aab"
    ]
    assert versions[0] == versions[1] != versions[2]


def test_a_model_that_cannot_be_had_or_reads_no_images_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = transformers.BertConfig(
        vocab_size=17, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    for name in ("no/such-model", str(tmp_path)):
        with pytest.raises(ValueError, match=r"features\.visual\.model: "):
            build("visual", VisualParameters(extractor="transformers", model=name))
