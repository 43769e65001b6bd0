"""What is to be known of a sound beforehand costs one decoding, and is what its samples say."""

from pathlib import Path

import numpy as np
import pytest

from erc_kedro.extractors import runner
from erc_kedro.extractors.media import containers
from erc_kedro.recordings.sound import STEP_S, look
from tests.extractors import clips
from tests.extractors.extraction import settings
from tests.recordings.made import RATE, TALK, recording, sound, vtt


def test_a_recording_is_opened_twice_however_many_turns_it_has(tmp_path, monkeypatch):
    """Once for its length and level, which decide who is heard where, and once for all of its features."""
    opened = []
    real = containers.opened
    monkeypatch.setattr(containers, "opened", lambda file: opened.append(Path(file.name).name) or real(file))
    sound(tmp_path / "call.wav", TALK, 10)
    vtt(tmp_path / "call.vtt", TALK)
    utterances = recording(tmp_path).utterances
    assert opened == ["call.wav"]
    extracted = runner.extract(utterances, settings(n_jobs=1), tmp_path / "cache")
    assert [result.reason for result in extracted["audio"][1]] == ["ok"] * 4
    assert opened == ["call.wav"] * 2


def test_the_level_is_that_of_the_samples_in_more_frames_than_are_measured_at_a_time(tmp_path):
    draw = np.random.default_rng(0)
    loud = np.repeat(draw.uniform(0.1, 0.8, (3000, 2)), round(RATE * STEP_S), axis=0)
    samples = (loud * np.sign(draw.standard_normal(loud.shape))).astype(np.float32)
    made = look(clips.wav(tmp_path / "a.wav", samples, RATE, 2))
    # A sample at the edge of a step may count in the next.
    assert made.level == pytest.approx(np.square(loud).reshape(3000, -1, 2).mean(1).T, abs=1 / 800)
    assert (made.seconds, made.channels, made.alike) == (300, 2, False)
