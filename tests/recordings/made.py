"""Recordings that tests make: sounds in which somebody is heard at some times, and transcripts of them."""

from pathlib import Path

import numpy as np

from erc_kedro import schemas
from erc_kedro.recordings import Recording, find, read
from tests.defaults import ScoreParameters
from tests.extractors import clips

RATE = 8000
# (speaker, start, end, text)
Said = tuple[str, float, float, str]
TALK: list[Said] = [
    ("Anna", 0.5, 2.0, "Good morning, how are you?"),
    ("Ben", 2.25, 3.125, "Fine."),
    ("Anna", 4.0, 6.5, "I waited for hours, and nobody came."),
    ("Ben", 7.0, 9.001, "That is a shame."),
]


def sound(path: Path, said: list[Said], seconds: float, left: str | None = None) -> Path:
    """A WAV in which a tone is heard while somebody speaks; on two channels, ``left`` on the left one."""
    samples = np.zeros((round(seconds * RATE), 2 if left else 1), np.float32)
    for speaker, start, end, _ in said:
        first, last = round(start * RATE), round(end * RATE)
        tone = clips.voice((last - first) / RATE, RATE)[: max(0, len(samples) - first)]
        samples[first : first + len(tone), int(left is not None and speaker != left)] += tone
    return clips.wav(path, samples, RATE, samples.shape[1])


def vtt(path: Path, said: list[Said]) -> Path:
    cues = [f"{stamp(start)} --> {stamp(end)}\n<v {speaker}>{text}" for speaker, start, end, text in said]
    path.write_text("\n\n".join(["WEBVTT", *cues]) + "\n", "utf-8")
    return path


def stamp(seconds: float, point: str = ".") -> str:
    thousandths = round(abs(seconds) * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    clock = f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
    return f"-{clock}" if seconds < 0 else clock


def recording(where: Path, **options) -> Recording:
    """The one recording that is there."""
    parameters = ScoreParameters(**options)
    [source] = find(str(where), parameters)
    made = read(source, parameters)
    schemas.recorded.validate(made.utterances)
    return made


def said_in(made: Recording) -> list[Said]:
    table = made.utterances
    return list(zip(table["speaker"], table["start_s"], table["end_s"], table["text"], strict=True))


def remarks(made: Recording) -> dict[str, int]:
    return {remark["kind"]: remark["count"] for remark in made.facts["remarks"]}
