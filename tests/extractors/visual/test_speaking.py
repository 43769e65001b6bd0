"""In a shared frame the speaker's face is the one whose mouth moves with the voice, or nobody's is."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from erc_kedro.demo import face, scenes, voice
from erc_kedro.extractors import media, runner
from erc_kedro.extractors.visual.detection import Haar
from erc_kedro.extractors.visual.speaking import VoiceFollower
from tests.extractors import clips
from tests.extractors.extraction import settings, table, vectors
from tests.extractors.visual.heads import BRICK, middle

SECONDS = 5.0
FRAMES = round(SECONDS * face.FPS)
WORDS = ["so,", "that", "is", "what", "we", "said", "and,", "well,", "then", "they", "left", "at", "ten"]


@dataclass(frozen=True)
class Seen:
    gray: np.ndarray
    time_s: float
    glance: bool

    def rgb(self):
        raise AssertionError("nobody asked for colours")


def said(seed):
    """Some seconds of speech, other words for each seed."""
    rng = np.random.default_rng(seed)
    parts = [
        voice.speak(rng, voice.Voice(140.0, 1.05), voice.Delivery(), rng.choice(WORDS, 4 + n).tolist())
        for n in range(5)
    ]
    return np.concatenate(parts)[: round(SECONDS * voice.RATE)]


def moving(seed):
    """How far a mouth is open that says something."""
    return scenes.energy(said(seed), FRAMES)


STILL = np.zeros(FRAMES)


def person(opened, seed):
    """Somebody whose head nods and whose eyes blink; frames in luma."""
    rng = np.random.default_rng(seed)
    who = scenes.make_people(seed, ["a", "b"], face.WIDTH)["ab"[seed % 2]]
    actor, shown = face.Actor(who.look, face.room(rng)), face.Expression(nod=2.0, open=0.1)
    blinks = scenes.draw_blinks(rng, FRAMES)
    return [
        cv2.cvtColor(
            actor.frame(shown, float(far), at / face.FPS, bool(blink), rng.normal(size=2)),
            cv2.COLOR_RGB2GRAY,
        )
        for at, (far, blink) in enumerate(zip(opened, blinks, strict=True))
    ]


def follow(*people):
    """A follower that has seen them side by side, three times a second and at glances."""
    follower = VoiceFollower(Haar(), color=False)
    for at, parts in enumerate(zip(*people, strict=True)):
        follower.see(Seen(np.hstack(parts), at / face.FPS, glance=at % 4 > 0))
    return follower


@pytest.mark.parametrize(("place", "other"), [(0, STILL), (1, moving(5))], ids=["listens", "talks, too"])
def test_the_face_whose_mouth_moves_with_the_voice_is_the_speakers(place, other):
    people = [person(moving(1), 3), person(other, 4)]
    follower = follow(*(people if place == 0 else people[::-1]))
    assert follower.choose(said(1)) == ""
    track = follower.track()
    assert (middle(track)[0] > 0.5) == (place == 1)
    # Of the glances, nothing is described.
    assert len(track.gray) == follower.with_face == follower.seen == -(-FRAMES // 4)


def test_a_mouth_that_does_not_move_with_the_voice_is_not_the_speakers_even_if_it_is_alone():
    for people in ([person(STILL, 6)], [person(moving(5), 6)], [person(STILL, 6), person(moving(5), 7)]):
        doubt = f"no mouth of {len(people)} faces moves with the voice for certain"
        assert follow(*people).choose(said(1)) == doubt


def test_two_mouths_that_move_alike_are_nobodys():
    follower = follow(person(moving(1), 3), person(moving(1), 4))
    assert follower.choose(said(1)) == "the mouths of several of 2 faces move with the voice"


def test_without_a_sound_or_in_a_moment_nobody_is_the_speaker():
    follower = follow(person(moving(1), 3))
    for sound in (None, media.Unusable("silent")):
        assert follower.choose(sound) == "there is no sound to tell the speaker's face by"
    short = VoiceFollower(Haar(), color=False)
    for at, gray in enumerate(person(moving(1), 3)[:15]):
        short.see(Seen(gray, at / face.FPS, glance=at % 4 > 0))
    assert short.choose(said(1)[: round(15 / face.FPS * voice.RATE)]).startswith("no mouth of 1 faces")


def test_where_nobody_is_seen_there_is_no_doubt_whose_face_it_is():
    follower = follow([BRICK] * FRAMES)
    assert follower.choose(said(1)) == ""
    assert follower.track() is None


def test_in_one_recording_each_turn_shows_its_own_speaker_and_its_sound_is_as_ever(tmp_path):
    left, right = (
        [*person(first, 3), *person(then, 3)] for first, then in ((moving(1), STILL), (STILL, moving(2)))
    )
    frames = [cv2.cvtColor(np.hstack(parts), cv2.COLOR_GRAY2RGB) for parts in zip(left, right, strict=True)]
    sound = np.concatenate([said(1), said(2)])
    # 12.5 frames a second.
    times = [at / face.FPS for at in range(len(frames))]
    path = clips.write(tmp_path / "a.mp4", frames, sound, times=times, video_codec="libx264")
    turns = {"start": [0.0, SECONDS], "end": [SECONDS, 2 * SECONDS]}
    options = settings("Loudness", "Gray", n_jobs=1)
    shared = runner.extract(table(clip=[path] * 2, **turns, shared=[True] * 2), options, tmp_path / "cache")
    places = [vector[2] for vector in vectors(shared, "visual")]
    assert places[0] < 0.4 < 0.5 < places[1]
    usual = runner.extract(table(clip=[path] * 2, **turns), options, tmp_path / "cache")
    for modality, same in (("audio", True), ("visual", False)):
        keys = [[result.key for result in found[modality][1]] for found in (shared, usual)]
        assert (keys[0] == keys[1]) == same
    # A silent film says nothing of who speaks.
    mute = clips.write(tmp_path / "mute.mp4", frames[:40], None, times=times[:40], video_codec="libx264")
    [result] = runner.extract(table(clip=[mute], shared=[True]), options, tmp_path / "cache")["visual"][1]
    assert (result.reason, result.vector) == ("whose_face", None)
