"""Faces described by tiny random networks saved to disk."""

import numpy as np
import pytest
import torch
import transformers

from erc_kedro.extractors import build
from tests.defaults import VisualParameters
from tests.extractors.visual.drawn import drawn, track

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
    saved("encoder", tmp_path / "moved" / "c")
    with torch.no_grad():
        model.embeddings.cls_token.add_(1.0)
    model.save_pretrained(tmp_path / "b")
    versions = [
        build(
            "visual", VisualParameters(extractor="transformers", model=str(tmp_path / name))
        ).metadata.version
        for name in ("a", "moved/c", "b")
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
