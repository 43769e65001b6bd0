"""Who plays in a generated corpus, what is felt and said in its dialogues, and how loud that is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from erc_kedro.demo import emotions, face, voice

_SKINS = ((236, 195, 168), (224, 178, 146), (196, 148, 112), (160, 114, 84), (128, 90, 66))
_HAIRS = ((60, 40, 26), (28, 22, 20), (130, 94, 48), (96, 50, 28), (72, 68, 66))


@dataclass(frozen=True)
class Person:
    look: face.Look
    voice: voice.Voice


@dataclass(frozen=True)
class Turn:
    """An utterance as it is to be played; label and emotion are None where raters do not agree."""

    speaker: str
    label: str | None
    emotion: str | None
    shows: emotions.Shown
    text: str


def draw_labels(
    rng: np.random.Generator, speakers: Sequence[str], labels: Sequence[str], prior: Sequence[float]
) -> list[str]:
    """A label a turn: kept from the speaker's last one, caught from the turn before, or drawn afresh."""
    last: dict[str, str] = {}
    turns: list[str] = []
    for speaker in speakers:
        draw = rng.random()
        if draw < 0.45 and speaker in last:
            label = last[speaker]
        elif draw < 0.65 and turns:
            label = turns[-1]
        else:
            label = str(rng.choice(labels, p=prior))
        last[speaker] = label
        turns.append(label)
    return turns


def represent(dialogues: Sequence[list[Any]], labels: Sequence[str]) -> None:
    """Puts every label into a split, in place, as far as it has room; large splits have them all anyway."""
    for missing in labels:
        counts = Counter(label for dialogue in dialogues for label in dialogue if label)
        label, most = counts.most_common(1)[0]
        if missing not in counts and most > 1:
            dialogue = next(dialogue for dialogue in reversed(dialogues) if label in dialogue)
            dialogue[dialogue.index(label)] = missing


def make_people(seed: int, names: Sequence[str], width: int) -> dict[str, Person]:
    """Who plays in a corpus, in scenes of a width in pixels; women and men take turns."""
    rng = np.random.default_rng([seed, 2, len(names)])
    people = {}
    for number, name in enumerate(names):
        woman = number % 2 == 0
        skin, hair = _SKINS[number % len(_SKINS)], _HAIRS[int(rng.integers(len(_HAIRS)))]
        look = face.Look(
            skin=skin,
            # Brows that stand out from the skin are what a detector goes by.
            hair=(hair[0] * skin[1] / 195, hair[1] * skin[1] / 195, hair[2] * skin[1] / 195),
            shirt=tuple(rng.uniform(50, 170, 3).tolist()),
            size=float(rng.uniform(0.9, 1.02)),
            slim=float(rng.uniform(0.97, 1.06)),
            long_hair=woman,
            x=width / 2 + float(rng.uniform(-0.08, 0.08)) * width,
            y=float(rng.uniform(102, 112)),
            light=float(rng.uniform(-1, 1)),
        )
        pitch = rng.uniform(165, 190) if woman else rng.uniform(130, 150)
        people[name] = Person(look, voice.Voice(float(pitch), float(rng.uniform(1.02, 1.12) + 0.06 * woman)))
    return people


def make_turns(
    rng: np.random.Generator,
    speakers: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str | None]],
    names: Mapping[str, str],
    pairs: Mapping[str, emotions.Pairs],
) -> list[list[Turn]]:
    """The turns of a split's dialogues; ``names`` are the labels' emotions."""
    dealt = iter(emotions.deal(rng, sum(map(len, speakers))))
    dialogues = []
    for cast, felt in zip(speakers, labels, strict=True):
        turns = []
        for speaker, label in zip(cast, felt, strict=True):
            emotion, shows = names[label] if label else None, next(dealt)
            text = emotions.sentence(rng, emotion, shows.text, pairs["text"])
            turns.append(Turn(speaker, label, emotion, shows, text))
        dialogues.append(turns)
    return dialogues


@dataclass(frozen=True)
class Scene:
    """A dialogue as it was played.

    Attributes:
        sounds: a turn's voice, float32 [samples]; spans: its first sample and the one after its last.
        heard: by speaker, all that is heard of them, float32 [samples of the scene].
        seen: by speaker, uint8 RGB [frames, height, width, 3].
    """

    sounds: list[np.ndarray]
    spans: list[tuple[int, int]]
    heard: dict[str, np.ndarray]
    seen: dict[str, np.ndarray]


def perform(
    rng: np.random.Generator,
    turns: Sequence[Turn],
    people: Mapping[str, Person],
    pairs: Mapping[str, emotions.Pairs],
) -> Scene:
    """Plays the turns of a dialogue one after another, each person before a camera of their own."""
    spans: list[tuple[int, int]] = []
    sounds = []
    clock = voice.RATE // 2
    for turn in turns:
        sound = speak(rng, turn, people[turn.speaker], pairs)
        # Turns overlap now and then.
        start = max(0, clock + round(float(rng.uniform(-0.2, 0.5)) * voice.RATE))
        clock = start + len(sound)
        spans.append((start, clock))
        sounds.append(sound)
    total = max(end for _, end in spans) + voice.RATE // 2
    heard = {name: np.zeros(total, np.float32) for name in people}
    count = frames_of(total)
    looks = {name: [face.REST] * count for name in people}
    for (start, end), sound, turn in zip(spans, sounds, turns, strict=True):
        heard[turn.speaker][start:end] += sound
        shown = emotions.expression(rng, turn.emotion, turn.shows.visual, pairs["visual"])
        for frame in range(frames_of(start) - 1, min(count, frames_of(end))):
            looks[turn.speaker][frame] = shown
    seen = {}
    for name, person in people.items():
        actor = face.Actor(person.look, face.room(rng))
        talking, blinks = energy(heard[name], count), draw_blinks(rng, count)
        jolts = rng.normal(size=(count, 2))
        seen[name] = np.stack(
            [
                actor.frame(looks[name][k], talking[k], k / face.FPS, bool(blinks[k]), jolts[k])
                for k in range(count)
            ]
        )
    return Scene(sounds, spans, heard, seen)


def speak(
    rng: np.random.Generator, turn: Turn, person: Person, pairs: Mapping[str, emotions.Pairs]
) -> np.ndarray:
    manner = emotions.delivery(rng, turn.emotion, turn.shows.audio, pairs["audio"])
    return voice.speak(rng, person.voice, manner, turn.text.split())


def energy(sound: np.ndarray, frames: int) -> np.ndarray:
    """How loud the voice is at each frame, 0 to 1, shape [frames]."""
    step = voice.RATE / face.FPS
    bounds = [(int(frame * step), int((frame + 1) * step)) for frame in range(frames)]
    energy = np.array([np.sqrt(np.mean(sound[a:b] ** 2)) if a < len(sound) else 0.0 for a, b in bounds])
    return energy / max(energy.max(), 1e-6)


def draw_blinks(rng: np.random.Generator, frames: int) -> np.ndarray:
    return (np.arange(frames) + int(rng.integers(40))) % 40 < 2


def frames_of(samples: int) -> int:
    return max(1, int(np.ceil(samples / voice.RATE * face.FPS)))
