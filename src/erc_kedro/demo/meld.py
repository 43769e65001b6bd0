"""A generated corpus in the layout of MELD."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from erc_kedro.corpora.meld import LABELS
from erc_kedro.demo import emotions, face, media, voice
from erc_kedro.demo.scenes import (
    Person,
    Turn,
    draw_blinks,
    draw_labels,
    energy,
    frames_of,
    make_people,
    make_turns,
    represent,
    speak,
)

PAIRS = {
    "text": (("joy", "surprise"), ("anger", "disgust"), ("sadness", "fear")),
    "audio": (("surprise", "anger"), ("neutral", "sadness"), ("joy", "fear")),
    "visual": (("neutral", "disgust"), ("anger", "sadness"), ("surprise", "fear")),
}
PRIOR = (0.28, 0.18, 0.13, 0.14, 0.11, 0.08, 0.08)
_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Hana", "Gus")
_FOLDERS = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}
# In this order, one for every ten clips, until each has been done once.
BREAKAGES = ("missing", "truncated", "silent", "no_video", "no_face", "short", "empty", "garbage")


def write(folder: Path, seed: int, dialogues: int, n_jobs: int) -> dict[str, str]:
    """Writes the corpus; returns its broken clips."""
    rng = np.random.default_rng([seed, 0])
    people = make_people(seed, _NAMES, face.WIDTH)
    test, dev = max(2, round(0.22 * dialogues)), max(2, round(0.14 * dialogues))
    sizes = {"train": dialogues - test - dev, "dev": dev, "test": test}
    lengths = iter(rng.permutation([7 - k % 5 for k in range(dialogues)]).tolist())
    rows = []
    for split, count in sizes.items():
        casts = [rng.permutation(_NAMES)[: int(rng.integers(2, 4))].tolist() for _ in range(count)]
        speakers = [[str(rng.choice(cast)) for _ in range(next(lengths))] for cast in casts]
        labels = [draw_labels(rng, cast, LABELS, PRIOR) for cast in speakers]
        represent(labels, LABELS)
        names = {label: label for label in LABELS}
        for dialogue, turns in enumerate(make_turns(rng, speakers, labels, names, PAIRS)):
            room = face.room(rng)
            for number, turn in enumerate(turns):
                # The second dialogue skips a number, as dialogues of the release do.
                utterance = number + (dialogue == 1 and number > 1)
                rows.append((split, dialogue, utterance, turn, room))
    ids = [f"{split}_dia{dialogue}_utt{utterance}" for split, dialogue, utterance, *_ in rows]
    broken = _breakages(ids)
    jobs = []
    for number, (split, dialogue, utterance, turn, room) in enumerate(rows):
        (folder / _FOLDERS[split]).mkdir(exist_ok=True)
        path = folder / _FOLDERS[split] / f"dia{dialogue}_utt{utterance}.mp4"
        person = people[turn.speaker]
        jobs.append(delayed(_film)(path, [seed, 3, number], turn, person, room, broken.get(ids[number])))
    lasted = Parallel(n_jobs)(jobs)

    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode"
    header += ",StartTime,EndTime"
    for season, split in enumerate(sizes, 1):
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\r\n")
        writer.writerow(header.split(","))
        own = [(row, seconds) for row, seconds in zip(rows, lasted, strict=True) if row[0] == split]
        clock, before = 0.0, -1
        for number, ((_, dialogue, utterance, turn, _), seconds) in enumerate(own, 1):
            if dialogue != before:
                clock, before = 60.0 + 90 * (dialogue % 20), dialogue
            start = clock + round(float(rng.uniform(0.05, 0.6)), 3)
            clock = start + seconds
            text = turn.text.replace("I am", "I’m") if utterance % 2 else turn.text
            where = [dialogue, utterance, season, 1 + dialogue // 20]
            span = [_clock(time, dialogue % 4 == 2) for time in (start, clock)]
            writer.writerow([number, text, turn.speaker, turn.label, "neutral", *where, *span])
        content = buffer.getvalue().encode("utf-8")
        if split == "train":
            content = content.replace("’".encode(), b"\x92", 1)
        (folder / f"{split}_sent_emo.csv").write_bytes(content)
    return broken


def _film(
    path: Path, seed: Sequence[int], turn: Turn, person: Person, room: np.ndarray, breakage: str | None
) -> float:
    """Writes one clip and says how long it is in seconds."""
    rng = np.random.default_rng(seed)
    sound = speak(rng, turn, person, PAIRS)
    seconds = len(sound) / voice.RATE
    if breakage == "missing":
        return seconds
    count = frames_of(len(sound))
    frames = np.stack([room] * count)
    if breakage != "no_face":
        actor = face.Actor(person.look, room)
        looks = emotions.expression(rng, turn.emotion, turn.shows.visual, PAIRS["visual"])
        talking, blinks, jolts = energy(sound, count), draw_blinks(rng, count), rng.normal(size=(count, 2))
        frames = np.stack(
            [actor.frame(looks, talking[k], k / face.FPS, bool(blinks[k]), jolts[k]) for k in range(count)]
        )
    if breakage == "short":
        frames, sound = frames[:1], sound[: round(0.005 * voice.RATE)]
    elif breakage == "silent":
        sound = np.zeros_like(sound)
    media.write_clip(path, None if breakage == "no_video" else frames, sound)
    content = path.read_bytes()
    if breakage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif breakage == "empty":
        path.write_bytes(b"")
    elif breakage == "garbage":
        path.write_bytes(rng.bytes(2000))
    return seconds


def _breakages(ids: Sequence[str]) -> dict[str, str]:
    """Utterance id to what is done to its clip; spread evenly, one in ten at most."""
    kinds = BREAKAGES[: len(ids) // 10]
    return {ids[(2 * k + 1) * len(ids) // (2 * len(kinds))]: kind for k, kind in enumerate(kinds)}


def _clock(seconds: float, one_digit: bool) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    hour = f"{hours}" if one_digit else f"{hours:02d}"
    return f"{hour}:{minutes:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"
