"""Faces followed and chosen, in clips made of a photograph."""

import cv2
import numpy as np
import pytest
import skimage.data

from erc_kedro.extractors.visual.detection import Haar
from erc_kedro.extractors.visual.tracking import EVERY, FaceFollower
from tests.extractors.visual.heads import BRICK, Still, follow, middle, scene


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
    class Counts(Haar):
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
    steady[EVERY] = scene((80, 100, 120), (400, 80, 200))
    follower = follow(steady)
    assert follower.with_face == 9
    assert middle(follower.track())[0] < 0.5
    alone = [BRICK] * 9
    alone[4] = scene((80, 100, 120))
    follower = follow(alone)
    assert follower.track() is None
    assert follower.with_face == 0


def test_what_was_taken_for_a_face_once_is_not_one_because_nothing_moves():
    class Errs(Haar):
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
    assert FaceFollower(Haar(), False).track() is None


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
