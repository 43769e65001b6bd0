"""Names of speakers at the beginning of what they say."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from erc_kedro.recordings.base import Turn, Word
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.splitting import by_speaker
from erc_kedro.recordings.times import clock

# "Anna:", "- Anna: ", ">> ANNA:", "[SPEAKER_00]:", of at most 40 characters, and then a space or the end.
_NAME = re.compile(
    r"\s*(?:(?:[-–—]|>{1,3})\s*)?[\[(]?([^\W\d_][\w .,'’/&-]{0,39}?)[\])]?\s?(?:：|:(?=\s|$))\s*"
)
_DASH = re.compile(r"\s*(?:[-–—]|>{2,3})\s*(?=\S)")
_MOST_WORDS = 5


def name_before(line: str) -> tuple[str, str]:
    """The name that a line begins with, and what follows it; "" and the line where there is none."""
    match = _NAME.match(line)
    if match is None or len(match[1].split()) > _MOST_WORDS:
        return "", line
    return match[1].strip(), line[match.end() :]


def likely(found: Iterable[str], lines: int) -> set[str]:
    """Which of the words before colons are names.

    One that occurs once, while most lines have none, is part of a sentence ("Listen: …").
    """
    counts = Counter(name for name in found if name)
    if 2 * sum(counts.values()) >= lines:
        return set(counts)
    return {name for name, count in counts.items() if count > 1}


def with_names(turns: list[Turn], remarks: Remarks) -> list[Turn]:
    """Turns whose speakers are named in their text, or parted by dashes, as subtitles do it."""
    begun = [[name_before(line) for line in turn.text.split("\n")] for turn in turns if not turn.speaker]
    first = [pairs[0][0] for pairs in begun]
    names = likely(first, len(first)) | likely((name for pairs in begun for name, _ in pairs), 10**9)
    made: list[Turn] = []
    for turn in turns:
        words = () if turn.speaker else _lines(turn, names)
        if not words:
            made.append(turn)
            continue
        text = "\n".join(word.text for word in words)
        own = turn.words if len(words) == 1 and turn.words else words
        if len(words) == 1:
            # The words keep their times; their first ones, the name, are not said.
            made.append(
                replace(turn, text=text, speaker=words[0].speaker, words=_without(own, words[0].text))
            )
            continue
        several = by_speaker(replace(turn, text=text, words=words))
        if len(several) > 1:
            remarks.add("several_speakers", f"at {clock(turn.start_s)}")
        # A mark stands for one who has no name.
        for part in several:
            nobody = part.speaker.startswith("\0")
            made.append(replace(part, speaker="" if nobody else part.speaker, words=()))
    return made


def _lines(turn: Turn, names: set[str]) -> tuple[Word, ...]:
    """A turn's text by who says it; () where it names nobody and has no dashes."""
    lines = turn.text.split("\n")
    dashed = sum(bool(_DASH.match(line)) for line in lines) > 1
    words: list[Word] = []
    for number, line in enumerate(lines):
        name, rest = name_before(line)
        if name in names and name:
            words.append(Word(rest.strip(), speaker=name))
        elif dashed and _DASH.match(line):
            words.append(Word(_DASH.sub("", line, count=1), speaker=f"\0{number}"))
        elif words:
            words[-1] = replace(words[-1], text=f"{words[-1].text} {line.strip()}".strip())
        else:
            words.append(Word(line.strip(), speaker="\0"))
    if all(word.speaker == "\0" for word in words):
        return ()
    return tuple(words)


def _without(words: tuple[Word, ...], text: str) -> tuple[Word, ...]:
    """The last of some words, those that make up a text; () where none do."""
    wanted = "".join(text.split())
    kept: list[Word] = []
    for word in reversed(words):
        plain = "".join(word.text.split())
        if not wanted or not wanted.endswith(plain):
            break
        wanted = wanted[: len(wanted) - len(plain)]
        kept.insert(0, word)
    return () if wanted else tuple(kept)
