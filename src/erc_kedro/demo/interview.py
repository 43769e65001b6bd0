"""A generated recording with its transcript, of two people side by side whom no corpus has."""

from pathlib import Path

import numpy as np

from erc_kedro.demo import face, media, voice
from erc_kedro.demo.meld import LABELS, PAIRS, PRIOR
from erc_kedro.demo.scenes import draw_labels, make_people, make_turns, perform

SPEAKERS = ("Anna", "Ben")
_TURNS = 8


def write(folder: Path, seed: int) -> None:
    """Writes ``interview.mp4``, Anna in its left half, and ``interview.vtt``; no label is told."""
    rng = np.random.default_rng([seed, 5])
    people = make_people(seed + 1, SPEAKERS, face.WIDTH)
    cast = [SPEAKERS[turn % 2] for turn in range(_TURNS)]
    felt = draw_labels(rng, cast, LABELS, PRIOR)
    [turns] = make_turns(rng, [cast], [felt], {label: label for label in LABELS}, PAIRS)
    scene = perform(rng, turns, people, PAIRS)
    frames = np.concatenate([scene.seen[name] for name in SPEAKERS], axis=2)
    media.write_clip(folder / "interview.mp4", frames, np.sum([*scene.heard.values()], axis=0))
    cues = ["WEBVTT", "Language: en", ""]
    for turn, (start, end) in zip(turns, scene.spans, strict=True):
        cues += [f"{_clock(start)} --> {_clock(end)}", f"<v {turn.speaker}>{turn.text}", ""]
    (folder / "interview.vtt").write_text("\n".join(cues), "utf-8", newline="\n")


def _clock(sample: int) -> str:
    minutes, milliseconds = divmod(round(1000 * sample / voice.RATE), 60_000)
    return f"{minutes:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"
