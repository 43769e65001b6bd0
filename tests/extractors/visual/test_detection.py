"""Detectors by their names and files."""

import numpy as np
import onnx
import pytest

from erc_kedro.extractors.visual import detection
from tests.defaults import VisualParameters
from tests.extractors.visual.heads import Still, follow, scene


@pytest.fixture(scope="module")
def yunet(tmp_path_factory):
    """A random network with YuNet's inputs and outputs."""
    rng = np.random.default_rng(0)
    nodes, weights, outputs = [], [], []
    for kind, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            name = f"{kind}_{stride}"
            kernel = rng.normal(0, 0.001, (size, 3, stride, stride)).astype(np.float32)
            weights.append(onnx.numpy_helper.from_array(kernel, f"w_{name}"))
            sigmoid = kind in ("cls", "obj")
            nodes += [
                onnx.helper.make_node("Conv", ["input", f"w_{name}"], [f"c_{name}"], strides=[stride] * 2),
                onnx.helper.make_node("Transpose", [f"c_{name}"], [f"t_{name}"], perm=[0, 2, 3, 1]),
                onnx.helper.make_node(
                    "Reshape", [f"t_{name}", f"s_{size}"], [f"r_{name}" if sigmoid else name]
                ),
            ]
            if sigmoid:
                nodes.append(onnx.helper.make_node("Sigmoid", [f"r_{name}"], [name]))
            outputs.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, None, size]))
    for size in (1, 4, 10):
        weights.append(onnx.numpy_helper.from_array(np.array([1, -1, size], np.int64), f"s_{size}"))
    given = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, 640, 640])
    graph = onnx.helper.make_graph(nodes, "yunet", [given], outputs, weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=7)
    path = tmp_path_factory.mktemp("yunet") / "tiny.onnx"
    onnx.save(model, path)
    return path


def test_yunet_is_loaded_from_a_file_and_gives_boxes_of_the_sizes_asked_for(yunet):
    detector = detection.detector(VisualParameters(detector="yunet", detector_model=str(yunet)))
    rng = np.random.default_rng(1)
    seen = 0
    for shape in ((90, 160), (33, 47)):
        found = detector.find(rng.integers(0, 255, (*shape, 3)).astype(np.uint8), 4, 50, sure=False)
        assert found.shape[1] == 4
        assert np.isfinite(found).all()
        assert ((found[:, 2:].max(1) >= 4) & (found[:, 2:].max(1) <= 50)).all()
        seen += len(found)
    assert seen
    # Whatever such a network takes for faces, it can be followed.
    stills = [Still(scene((250, 100, 150)), t / 3) for t in range(3)]
    assert follow(stills, detector=detector).seen == 3
    assert all(len(still.asked) == 1 for still in stills)


def test_a_network_that_cannot_be_had_is_named_with_what_to_do_instead(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    for model in (str(tmp_path / "none.onnx"), str(broken), "no/such-detector", "no name at all!"):
        with pytest.raises(ValueError, match=r"features\.visual\.detector_model: .*detector: haar"):
            detection.detector(VisualParameters(detector="yunet", detector_model=model))


def test_other_detectors_have_other_versions(yunet, tmp_path):
    other = tmp_path / "other.onnx"
    model = onnx.load(yunet)
    model.producer_name = "another"
    onnx.save(model, other)
    versions = {detection.YuNet(str(path)).version for path in (yunet, other)} | {detection.Haar().version}
    assert len(versions) == 3
    assert detection.YuNet(str(yunet)).version in versions
