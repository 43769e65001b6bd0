"""JSON with segments: whisper, faster-whisper, whisperX, OpenAI's answers, whisper.cpp."""

import json
from bisect import bisect_left
from pathlib import Path
from typing import Any

from erc_kedro.recordings.base import RecordingError, Transcript, Turn, Word
from erc_kedro.recordings.names import with_names
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.splitting import by_speaker
from erc_kedro.recordings.times import clock, number

# OpenAI's verbose_json has names; those of the languages that are asked for most.
_LANGUAGES = {
    "english": "en",
    "chinese": "zh",
    "german": "de",
    "spanish": "es",
    "russian": "ru",
    "korean": "ko",
    "french": "fr",
    "japanese": "ja",
    "portuguese": "pt",
    "turkish": "tr",
    "polish": "pl",
    "dutch": "nl",
    "arabic": "ar",
    "swedish": "sv",
    "italian": "it",
    "hindi": "hi",
}


class _Timed:
    """Words by the time of their middle; OpenAI lists the words of all segments together."""

    def __init__(self, words: list[Word]) -> None:
        self._words = sorted(
            ((word.start_s + word.end_s) / 2, at, word)
            for at, word in enumerate(words)
            if word.start_s is not None and word.end_s is not None
        )
        self._middles = [middle for middle, _, _ in self._words]

    def within(self, start: float, end: float) -> list[Word]:
        first, last = bisect_left(self._middles, start), bisect_left(self._middles, end)
        return [word for _, _, word in self._words[first:last]]


def read(path: Path, text: str, remarks: Remarks) -> Transcript:
    """Reads ``segments`` with start, end, text, and where they are there, speaker, label and words.

    Words with speakers of their own, as whisperX assigns them, part a segment.

    Raises:
        RecordingError: it is no JSON, or has no segments.
    """
    try:
        data = json.loads(text.lstrip("\ufeff"), parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        cut = not text.rstrip().endswith(("}", "]"))
        why = "breaks off" if cut else f"is no JSON ({error.msg})"
        raise RecordingError(
            "truncated_transcript" if cut else "unreadable",
            f"{path}, row {error.lineno}: {why}; write it again",
        ) from error
    except (RecursionError, ValueError) as error:
        raise RecordingError(
            "unreadable", f"{path}: JSON that is nested too deep, or has too long numbers"
        ) from error
    found = data if isinstance(data, list) else _segments(data)
    if not isinstance(found, list):
        keys = ", ".join(map(str, data)) if isinstance(data, dict) else type(data).__name__
        raise RecordingError(
            "no_segments",
            f"{path}: no list of segments in it, but {keys[:200] or 'nothing'}; write it with whisper, "
            'whisperX or as {"segments": [{"start": 0.0, "end": 1.5, "speaker": "Anna", "text": "…"}]}',
        )
    language = data.get("language") if isinstance(data, dict) else None
    if isinstance(data, dict) and language is None and isinstance(data.get("result"), dict):
        language = data["result"].get("language")
    words = _Timed(_words(data.get("words")) if isinstance(data, dict) else [])
    turns: list[Turn] = []
    for index, segment in enumerate(found):
        turn = _turn(segment, words)
        if turn is None:
            remarks.add("unreadable_cue", f"segment {index}")
            continue
        spoken = by_speaker(turn) if turn.words else [turn]
        if len(spoken) > 1:
            remarks.add("several_speakers", f"at {clock(turn.start_s)}")
        turns += spoken
    known = language.strip().lower() if isinstance(language, str) and language.strip() else None
    return Transcript(with_names(turns, remarks), "whisper", _LANGUAGES.get(known, known) if known else None)


def _segments(data: Any) -> Any:
    if not isinstance(data, dict):
        return None
    # whisper.cpp calls them a transcription.
    return data.get("segments", data.get("transcription"))


def _turn(segment: Any, words_of_all: _Timed) -> Turn | None:
    if not isinstance(segment, dict) or not isinstance(segment.get("text"), str):
        return None
    start, end = number(segment.get("start")), number(segment.get("end"))
    offsets = segment.get("offsets")
    if start is None and isinstance(offsets, dict):
        # In milliseconds.
        start, end = (
            None if at is None else at / 1000 for at in (number(offsets.get(k)) for k in ("from", "to"))
        )
    words = _words(segment.get("words"))
    if not words and start is not None and end is not None:
        words = words_of_all.within(start, end)
    speaker, label = segment.get("speaker"), segment.get("label")
    return Turn(
        segment["text"].strip(),
        _name(speaker),
        start,
        end,
        label.strip() or None if isinstance(label, str) else None,
        tuple(words),
    )


def _name(speaker: Any) -> str:
    """Numbers are names, too."""
    return str(speaker).strip() if isinstance(speaker, str | int) and not isinstance(speaker, bool) else ""


def _words(found: Any) -> list[Word]:
    if not isinstance(found, list):
        return []
    made = []
    for word in found:
        if not isinstance(word, dict) or not isinstance(said := word.get("word", word.get("text")), str):
            continue
        if said.strip():
            made.append(
                Word(said, number(word.get("start")), number(word.get("end")), _name(word.get("speaker")))
            )
    return made
