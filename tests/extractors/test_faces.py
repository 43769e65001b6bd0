"""Faces found, followed and chosen, in clips made of a photograph that scikit-image brings along."""

from dataclasses import dataclass

import cv2
import numpy as np
import onnx
import pytest
import skimage.data

from erc_kedro.extractors import faces
from tests.defaults import VisualParameters

PHOTO = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2GRAY)
# The head alone, and its mouth's place in it: x, y, in shares.
HEAD = PHOTO[40:190, 155:295]
MOUTH = (0.55, 0.69)
BRICK = cv2.resize(skimage.data.brick(), (640, 360))


@dataclass(frozen=True)
class Still:
    """A frame that counts how often its colours are asked for."""

    gray: np.ndarray
    time_s: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "asked", [])

    def rgb(self):
        self.asked.append(1)
        return cv2.cvtColor(np.ascontiguousarray(self.gray), cv2.COLOR_GRAY2RGB)


def scene(*heads, background=BRICK):
    """A frame with heads in it, each (left, top, height[, openness of the mouth])."""
    frame = background.copy()
    for left, top, height, *openness in heads:
        head = HEAD.copy()
        if openness:
            x, y = int(MOUTH[0] * head.shape[1]), int(MOUTH[1] * head.shape[0])
            cv2.ellipse(head, (x, y), (14, 2 + int(12 * openness[0])), 0, 0, 360, 25, -1)
            head = cv2.GaussianBlur(head, (0, 0), 1)
        head = cv2.resize(head, (height * HEAD.shape[1] // HEAD.shape[0], height))
        frame[top : top + height, left : left + head.shape[1]] = head
    return frame


def follow(frames, color=False, detector=None):
    follower = faces.FaceFollower(detector or faces.Haar(), color)
    for number, frame in enumerate(frames):
        follower.see(frame if isinstance(frame, Still) else Still(frame, number / 3))
    return follower


def middle(track):
    return (track.box[:, :2] + track.box[:, 2:] / 2).mean(0)


def test_a_moving_face_is_followed_through_every_frame():
    places = [(60 + 25 * t, 60 + 6 * t) for t in range(11)]
    follower = follow([scene((x, y, 150)) for x, y in places], color=True)
    track = follower.track()
    assert follower.seen == follower.with_face == 11
    assert track.gray.shape == (11, 96, 96)
    assert track.color.shape == (11, 224, 224, 3)
    assert track.gray.dtype == track.color.dtype == np.uint8
    np.testing.assert_allclose(track.time_s, np.arange(11) / 3, rtol=1e-6)
    middles = (track.box[:, :2] + track.box[:, 2:] / 2) * (640, 360)
    np.testing.assert_allclose(middles, np.add(places, (72, 80)), atol=18)
    # The crops show the same face, wherever it was.
    first = track.gray[0].astype(float).ravel()
    assert all(np.corrcoef(first, crop.ravel())[0, 1] > 0.8 for crop in track.gray)


def test_a_followed_face_is_not_searched_for_in_every_frame():
    class Counts(faces.Haar):
        searched = 0

        def find(self, image, smallest=20, largest=np.inf, sure=True):
            self.searched += max(image.shape) >= 320
            return super().find(image, smallest, largest, sure)

    detector = Counts()
    follower = follow([scene((200 + 5 * t, 100, 150)) for t in range(11)], detector=detector)
    assert follower.with_face == 11
    assert detector.searched <= 2


@pytest.mark.parametrize("talker", [0, 1])
def test_of_two_faces_of_one_size_the_one_that_talks_is_the_speakers(talker):
    frames = []
    for t in range(8):
        openness = [0.0, 0.0]
        openness[talker] = (0.1, 0.9, 0.4, 0.7)[t % 4]
        jitter = np.random.default_rng(t).integers(-3, 4, 4)
        frames.append(
            scene(
                (80 + jitter[0], 90 + jitter[1], 150, openness[0]),
                (400 + jitter[2], 90 + jitter[3], 150, openness[1]),
            )
        )
    x = middle(follow(frames).track())[0] * 640
    assert abs(x - (152, 472)[talker]) < 40


def test_a_face_in_front_is_preferred_to_one_at_the_back():
    frames = [scene((60, 200, 80), (350, 60, 240)) for _ in range(5)]
    assert middle(follow(frames).track())[0] > 0.5


def test_a_flicker_neither_wins_nor_stands_alone():
    steady = [scene((80, 100, 120)) for _ in range(9)]
    # When the whole frame is searched anew.
    steady[faces.EVERY] = scene((80, 100, 120), (400, 80, 200))
    follower = follow(steady)
    assert follower.with_face == 9
    assert middle(follower.track())[0] < 0.5
    alone = [BRICK] * 9
    alone[4] = scene((80, 100, 120))
    follower = follow(alone)
    assert follower.track() is None
    assert follower.with_face == 0


def test_what_was_taken_for_a_face_once_is_not_one_because_nothing_moves():
    class Errs(faces.Haar):
        """Sees a face in the first frame's middle, and never again."""

        left = 2

        def find(self, image, smallest=20, largest=np.inf, sure=True):
            self.left -= 1
            if self.left < 0:
                return np.zeros((0, 4), np.float32)
            height, width = image.shape
            side = 40 if sure else 60
            return np.array([[(width - side) / 2, (height - side) / 2, side, side]], np.float32)

    assert follow([BRICK] * 2, detector=Errs()).with_face == 2
    assert follow([BRICK] * 9, detector=Errs()).with_face == 0


def test_a_cut_ends_a_track():
    other = cv2.resize(cv2.cvtColor(skimage.data.coffee(), cv2.COLOR_RGB2GRAY), (640, 360))
    # The face is at the same place before and after.
    frames = [scene((250, 100, 150))] * 3 + [scene((250, 100, 150), background=other)] * 6
    track = follow(frames).track()
    np.testing.assert_allclose(track.time_s, np.arange(3, 9) / 3, rtol=1e-6)


def test_a_face_that_is_hidden_for_a_moment_stays_one_track():
    frames = [scene((250, 100, 150)) for _ in range(9)]
    frames[4] = BRICK
    follower = follow(frames)
    assert follower.seen == 9
    assert follower.with_face == 8


@pytest.mark.parametrize("height", [64, 100, 300, 700])
def test_faces_from_a_twelfth_of_the_frame_to_all_of_it_are_found(height):
    background = cv2.resize(BRICK, (1280, 720))
    # The box from brows to chin is about 0.65 of the head.
    frames = [
        scene((300 + 3 * t, 10, min(720 - 10, int(height / 0.65))), background=background) for t in range(4)
    ]
    assert follow(frames).with_face == 4


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "moon", "page", "clock"])
def test_no_face_is_seen_where_there_is_none(name):
    picture = cv2.resize(getattr(skimage.data, name)(), (700, 500))
    follower = follow([picture[t * 5 : t * 5 + 360, t * 5 : t * 5 + 640] for t in range(8)])
    assert follower.track() is None
    assert follower.seen == 8


def test_frames_of_any_size_are_taken():
    assert follow([np.full((16, 16), 90, np.uint8)] * 3).track() is None
    assert follow([np.full((1, 500), 90, np.uint8)] * 3).track() is None
    huge = cv2.resize(scene((250, 100, 150)), (3840, 2160))
    assert follow([huge, huge]).with_face == 2
    # A video whose size changes begins a new shot.
    small = scene((250, 100, 150))
    follower = follow([small, small, huge, huge, huge])
    assert (follower.seen, follower.with_face) == (5, 3)


def test_one_frame_is_enough_for_a_clip_of_one():
    track = follow([scene((250, 100, 150))]).track()
    assert track.gray.shape == (1, 96, 96)
    assert track.color is None
    assert faces.FaceFollower(faces.Haar(), False).track() is None


def test_a_rotated_view_is_as_good_as_a_copy():
    frame = scene((250, 100, 150))
    view = np.rot90(np.rot90(frame, -1).copy())
    assert not view.flags.c_contiguous
    np.testing.assert_array_equal(follow([view] * 3).track().gray, follow([frame] * 3).track().gray)


def test_colours_are_made_once_for_frames_with_a_face_and_only_if_asked_for():
    two = scene((60, 100, 150), (400, 100, 150))
    for color, expected in ((False, 0), (True, 1)):
        stills = [Still(two, t / 3) for t in range(3)]
        assert follow(stills, color).with_face == 3
        assert [len(still.asked) for still in stills] == [expected] * 3
    empty = [Still(BRICK, t / 3) for t in range(3)]
    follow(empty, True)
    assert [len(still.asked) for still in empty] == [0] * 3


def test_a_crop_at_the_edge_repeats_the_border():
    image = np.full((100, 100), 50, np.uint8)
    image[:, :10] = 200
    crop = faces.cut(image, np.array([-20.0, 20, 40, 40]), 96)
    assert crop.shape == (96, 96)
    assert (crop[:, :40] == 200).all()
    assert (crop[:, -20:] == 50).all()


def test_alignment_undoes_a_shift_and_tells_it():
    face = faces.cut(PHOTO, np.array([177.0, 66, 97, 97]), 96)
    moved = cv2.warpAffine(face, np.array([[1, 0, 4.5], [0, 1, -3.0]]), (96, 96))
    back, shift = faces.align(face, moved)
    np.testing.assert_allclose(shift, (4.5, -3), atol=0.3)
    assert np.abs(back[20:80, 20:80].astype(float) - face[20:80, 20:80]).mean() < 3


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
    detector = faces.detector(VisualParameters(detector="yunet", detector_model=str(yunet)))
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


def test_a_network_that_cannot_be_had_is_named_with_the_mend(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    for model in (str(tmp_path / "none.onnx"), str(broken), "no/such-detector", "no name at all!"):
        with pytest.raises(ValueError, match=r"features\.visual\.detector_model: .*detector: haar"):
            faces.detector(VisualParameters(detector="yunet", detector_model=model))


def test_versions_tell_detectors_apart(yunet, tmp_path):
    other = tmp_path / "other.onnx"
    model = onnx.load(yunet)
    model.producer_name = "another"
    onnx.save(model, other)
    versions = {faces.YuNet(str(path)).version for path in (yunet, other)} | {faces.Haar().version}
    assert len(versions) == 3
    assert faces.YuNet(str(yunet)).version in versions


def test_a_photographed_head_is_turned_upright_by_what_it_was_turned():
    side = HEAD.shape[1]
    crop = cv2.resize(HEAD[:side], (faces.GRAY, faces.GRAY), interpolation=cv2.INTER_AREA)
    found = {}
    for degrees in (0, -12, -6, 6, 12):
        move = cv2.getRotationMatrix2D((47.5, 47.5), degrees, 1.0)
        turned = cv2.warpAffine(crop, move, (96, 96), borderMode=cv2.BORDER_REPLICATE)
        crops, found[degrees] = faces.upright(np.stack([turned] * 3))
        assert (crops.dtype, crops.shape) == (np.uint8, (3, 96, 96))
    for degrees, roll in found.items():
        assert roll - found[0] == pytest.approx(-degrees, abs=1.5)


def test_without_a_face_s_symmetry_nothing_is_turned():
    # A bar that leans more than heads do, and nothing at all.
    bar = np.full((96, 96), 60, np.uint8)
    cv2.line(bar, (20, 90), (76, 6), 200, 9)
    for crop in (bar, np.full((96, 96), 128, np.uint8)):
        crops, roll = faces.upright(crop[None])
        assert roll == 0
        np.testing.assert_array_equal(crops, crop[None])
