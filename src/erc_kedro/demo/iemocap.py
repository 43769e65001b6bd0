"""A generated corpus in the layout of IEMOCAP."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from erc_kedro.corpora.iemocap import LABELS, community
from erc_kedro.demo import face, media, voice
from erc_kedro.demo.scenes import (
    Person,
    Turn,
    draw_labels,
    make_people,
    make_turns,
    perform,
    represent,
)

_EMOTIONS = {
    "hap": "joy",
    "sad": "sadness",
    "neu": "neutral",
    "ang": "anger",
    "exc": "excitement",
    "fru": "frustration",
}
_PAIRS = {
    "text": (("joy", "excitement"), ("anger", "frustration"), ("sadness", "neutral")),
    "audio": (("excitement", "anger"), ("joy", "neutral"), ("sadness", "frustration")),
    "visual": (("joy", "sadness"), ("anger", "neutral"), ("excitement", "frustration")),
}
_PRIOR = (0.14, 0.17, 0.20, 0.17, 0.14, 0.18)
_VOTES = {
    "hap": "Happiness",
    "sad": "Sadness",
    "neu": "Neutral",
    "ang": "Anger",
    "exc": "Excited",
    "fru": "Frustration",
}


def write(folder: Path, seed: int, dialogues_per_session: int, n_jobs: int) -> dict[str, str]:
    """Writes the corpus; returns its broken clips."""
    rng = np.random.default_rng([seed, 1])
    people = make_people(
        seed, [f"Ses{session:02d}_{sex}" for session in range(1, 6) for sex in "FM"], face.WIDTH
    )
    validation = set(community()["validation"])
    names = [name for session in range(1, 6) for name in _dialogue_names(session, dialogues_per_session)]
    letters = [rng.choice(["F", "M"], int(rng.integers(5, 8))).tolist() for _ in names]
    felt = [draw_labels(rng, cast, LABELS, _PRIOR) for cast in letters]
    # Raters do not agree on every turn.
    labels = [[label if rng.random() < 0.9 else None for label in own] for own in felt]
    splits = [
        "test" if name.startswith("Ses05") else "val" if name in validation else "train" for name in names
    ]
    scenes: dict[str, dict[str, Turn]] = {}
    for split in ("train", "val", "test"):
        own = [number for number, where in enumerate(splits) if where == split]
        represent([labels[number] for number in own], LABELS)
        casts, felts = [letters[number] for number in own], [labels[number] for number in own]
        dialogues = make_turns(rng, casts, felts, _EMOTIONS, _PAIRS)
        for number, dialogue in zip(own, dialogues, strict=True):
            name, counts = names[number], Counter[str]()
            scenes[name] = {}
            for turn in dialogue:
                scenes[name][f"{name}_{turn.speaker}{counts[turn.speaker]:03d}"] = turn
                counts[turn.speaker] += 1
    spans = Parallel(n_jobs)(
        delayed(_film)(
            folder / f"Session{name[4]}",
            name,
            [seed, 4, number],
            turns,
            {sex: people[f"{name[:5]}_{sex}"] for sex in "FM"},
        )
        for number, (name, turns) in enumerate(scenes.items())
    )
    for number, (name, turns) in enumerate(scenes.items()):
        lines = zip(turns.items(), spans[number], strict=True)
        transcript = []
        evaluation = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        for (utterance_id, turn), (start, end) in lines:
            transcript.append(f"{utterance_id} [{start:08.4f}-{end:08.4f}]: {turn.text}")
            code = turn.label or str(rng.choice(["xxx", "xxx", "xxx", "oth", "sur"]))
            ratings = ", ".join(f"{value:.4f}" for value in rng.uniform(1, 5, 3).round(1))
            evaluation.append(f"[{start:.4f} - {end:.4f}]\t{utterance_id}\t{code}\t[{ratings}]")
            votes = [turn.label] * 3 if turn.label else rng.choice(list(_VOTES), 3).tolist()
            evaluation += [f"C-E{rater}:\t{_VOTES[vote]};\t()" for rater, vote in enumerate(votes, 2)] + [""]
        if name == _dialogue_names(int(name[4]), dialogues_per_session)[0]:
            transcript.append(f"{name}_FXX0 [{end:08.4f}-{end + 1:08.4f}]: [NOISE]")
            transcript.append("M: okay.")
        dialog = folder / f"Session{name[4]}" / "dialog"
        for kind, written in (("transcriptions", transcript), ("EmoEvaluation", evaluation)):
            (dialog / kind).mkdir(exist_ok=True)
            (dialog / kind / f"{name}.txt").write_text("\n".join(written) + "\n", "utf-8", newline="\n")
    ids = [(name, key) for name, turns in scenes.items() for key, turn in turns.items() if turn.label]
    name, missing = ids[len(ids) // 2]
    (folder / f"Session{name[4]}" / "sentences" / "wav" / name / f"{missing}.wav").unlink()
    return {missing: "missing"}


def _film(
    session: Path, name: str, seed: Sequence[int], turns: dict[str, Turn], people: dict[str, Person]
) -> list[tuple[float, float]]:
    """Writes one dialogue's wavs and avi.

    Args:
        session: its folder.
        name: of the dialogue.
        seed: of its draws.
        turns: by utterance id.
        people: by letter, F and M.

    Returns:
        each turn's start and end in seconds.
    """
    rng = np.random.default_rng(seed)
    scene = perform(rng, [*turns.values()], people, _PAIRS)
    wavs = session / "sentences" / "wav" / name
    wavs.mkdir(parents=True)
    for utterance_id, sound in zip(turns, scene.sounds, strict=True):
        media.write_wav(wavs / f"{utterance_id}.wav", sound)
    # The dialogue's name says who wears the markers, and stands on the left.
    left, right = ("F", "M") if name[5] == "F" else ("M", "F")
    (session / "dialog" / "avi" / "DivX").mkdir(parents=True, exist_ok=True)
    frames = np.concatenate([scene.seen[left], scene.seen[right]], axis=2)
    both = np.sum([*scene.heard.values()], axis=0)
    media.write_avi(session / "dialog" / "avi" / "DivX" / f"{name}.avi", frames, both)
    return [(start / voice.RATE, end / voice.RATE) for start, end in scene.spans]


def _dialogue_names(session: int, count: int) -> list[str]:
    """Dialogue names as the release has them; the second to be taken is a validation dialogue."""
    scenes = [f"impro{n:02d}" for n in range(1, 9)]
    scenes += [f"script{script}" for script in ("01_1", "01_2", "01_3", "02_1", "02_2", "03_1", "03_2")]
    names = [f"Ses{session:02d}{wearer}_{scene}" for scene in scenes for wearer in "FM"]
    validation = [name for name in community()["validation"] if name in names]
    others = [name for name in names if name not in validation]
    return sorted([others[0], *validation[:1], *others[1:], *validation[1:]][:count])
