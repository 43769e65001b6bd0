"""Turns in parts: at sentence ends where they are long, and where another speaks."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace

from erc_kedro.recordings.base import Turn, Word

# Where scripts write no spaces, so many characters are about a word.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_CHARACTERS = 2
_UNIT = re.compile(f"{_UNSPACED.pattern}|(?:(?!{_UNSPACED.pattern})\\S)+")
# Behind a mark of an end, with what closes a quotation; the wide ones need no space.
_SENTENCE = re.compile(r"""(?<=[.!?…؟।])["'”’»)\]]*\s+|(?<=[。！？])["'”’»」』)\]]*\s*""")
_CLAUSE = re.compile(r"(?<=[,;:،؛–—])\s+|(?<=[，；：、])\s*")
# What a full stop does not end: titles, initials, and some of what is cut short.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[^\W\d_]|[^\W\d_]\.[^\W\d_]|mr|mrs|ms|dr|prof|st|jr|sr|vs|nr|etc|bzw|ca|z\.b|d\.h)\.$",
    re.IGNORECASE,
)

_LONGEST_ABBREVIATED = 200
# Slow speech is not cut into parts of fewer words, however long they take.
_LEAST_WORDS = 5


def count_words(text: str) -> int:
    """How many words a text has; two characters are one where words are not parted by spaces."""
    unspaced = len(_UNSPACED.findall(text))
    return len(_UNSPACED.sub(" ", text).split()) + math.ceil(unspaced / _CHARACTERS)


def split(turn: Turn, longest_s: float, longest_words: int) -> list[Turn]:
    """A turn in parts of at most so many seconds and words, cut at sentence ends, else at clauses or words.

    A sentence of few words stays whole, however long it takes. Times are
    those of the words where the transcript has them, else shared out by characters.
    """
    if _fits([turn.text], _lasts(turn), 1.0, longest_s, longest_words):
        return [turn]
    size = _size(turn.text)
    lasts = _lasts(turn)

    def fits(pieces: Sequence[str]) -> bool:
        share = sum(map(_size, pieces)) / max(size, 1)
        return _fits(pieces, lasts, share, longest_s, longest_words)

    small: list[str] = []
    for sentence in _sentences(turn.text):
        if fits([sentence]) or count_words(sentence) < min(2 * _LEAST_WORDS, longest_words + 1):
            small.append(sentence)
            continue
        for clause in _cut(_CLAUSE, sentence):
            small += [clause] if fits([clause]) else _evenly(clause, lasts, size, longest_s, longest_words)
    packed: list[list[str]] = []
    for piece in small:
        if packed and fits([*packed[-1], piece]):
            packed[-1].append(piece)
        else:
            packed.append([piece])
    return parts(turn, [_joined(pieces) for pieces in packed])


def _lasts(turn: Turn) -> float:
    known = turn.start_s is not None and turn.end_s is not None
    return turn.end_s - turn.start_s if known else 0.0  # type: ignore[operator]


def _fits(pieces: Sequence[str], lasts: float, share: float, longest_s: float, longest_words: int) -> bool:
    # Times are milliseconds at best.
    return lasts * share <= longest_s + 1e-3 and sum(map(count_words, pieces)) <= longest_words


def _sentences(text: str) -> list[str]:
    made: list[str] = []
    for piece in _cut(_SENTENCE, text):
        if made and len(made[-1]) < _LONGEST_ABBREVIATED and _ABBREVIATION.search(made[-1][-8:]):
            made[-1] = f"{made[-1]} {piece}"
        else:
            made.append(piece)
    return made


def _cut(where: re.Pattern[str], text: str) -> list[str]:
    # What closes a quotation stays with what it closes.
    ends = [match.end() for match in where.finditer(text)]
    cuts = [0, *ends, len(text)]
    return [piece for a, b in itertools.pairwise(cuts) if (piece := text[a:b].strip())]


def _evenly(text: str, lasts: float, size: int, longest_s: float, longest_words: int) -> list[str]:
    """A text without any mark to cut at, in parts of about as many words each."""
    # A single long word, such as a drawn out "no", stays whole; a text without spaces does not.
    units = [match.span() for match in _UNIT.finditer(text)]
    largest = longest_s / lasts * size if lasts else math.inf
    words = count_words(text)
    by_time = min(math.ceil(_size(text) / largest - 1e-9), words // _LEAST_WORDS)
    count = max(1, math.ceil(words / longest_words), by_time)
    most = math.ceil(words / count)
    made: list[tuple[int, int]] = []
    for start, end in units:
        longer = text[made[-1][0] : end] if made else ""
        if made and count_words(longer) <= most:
            made[-1] = (made[-1][0], end)
        else:
            made.append((start, end))
    return [text[start:end] for start, end in made]


def _joined(pieces: Sequence[str]) -> str:
    made = pieces[0]
    for piece in pieces[1:]:
        made += piece if _UNSPACED.match(piece) or made[-1] in "。！？，；：、" else f" {piece}"
    return made


def by_speaker(turn: Turn) -> list[Turn]:
    """A turn in parts wherever its words are another speaker's than those before.

    A word of nobody belongs to whoever spoke before it, or first.
    """
    named = next((word.speaker for word in turn.words if word.speaker), turn.speaker)
    groups: list[tuple[str, list[Word]]] = []
    for word in turn.words:
        speaker = word.speaker or (groups[-1][0] if groups else named)
        if not groups or groups[-1][0] != speaker:
            groups.append((speaker, []))
        groups[-1][1].append(word)
    if len(groups) < 2:
        return [replace(turn, speaker=named)]
    texts = [_spoken(words) for _, words in groups]
    kept = [at for at, text in enumerate(texts) if text]
    if not kept:
        return [replace(turn, text="", words=())]
    made = parts(turn, [texts[at] for at in kept])
    return [
        replace(part, speaker=groups[at][0], words=tuple(groups[at][1]))
        for part, at in zip(made, kept, strict=True)
    ]


def _spoken(words: Sequence[Word]) -> str:
    """Words as a text: as they are where they bring their own spaces, as Whisper's do."""
    texts = [word.text for word in words]
    own = any(text[:1].isspace() or text[-1:].isspace() for text in texts)
    return ("" if own else " ").join(texts).strip()


def parts(turn: Turn, texts: Sequence[str]) -> list[Turn]:
    """A turn's consecutive texts, each with its times and words."""
    ends = list(itertools.accumulate(map(_size, texts)))
    starts = [0, *ends[:-1]]
    at = list(itertools.accumulate((_size(word.text) for word in turn.words), initial=0))
    # Words of another text, such as one that was corrected, say nothing of where its parts are.
    matched = bool(turn.words) and at[-1] == ends[-1]
    made = []
    first = 0
    for number, (text, start, end) in enumerate(zip(texts, starts, ends, strict=True)):
        own: tuple[Word, ...] = ()
        if matched:
            last = first
            # A word lies where its middle lies.
            while last < len(turn.words) and at[last] + at[last + 1] <= 2 * end:
                last += 1
            own = turn.words[first:last]
            first = last
        span = _shared(turn, start / max(ends[-1], 1), end / max(ends[-1], 1))
        begins = next((word.start_s for word in own if word.start_s is not None), span[0])
        finishes = next((word.end_s for word in reversed(own) if word.end_s is not None), span[1])
        if number == 0:
            begins = turn.start_s
        if number == len(texts) - 1:
            finishes = turn.end_s
        made.append(replace(turn, text=text, start_s=begins, end_s=finishes, words=own))
    return made


def _shared(turn: Turn, start: float, end: float) -> tuple[float | None, float | None]:
    if turn.start_s is None or turn.end_s is None:
        return None, None
    lasts = turn.end_s - turn.start_s
    return turn.start_s + start * lasts, turn.start_s + end * lasts


def _size(text: str) -> int:
    return len(text) - sum(map(str.isspace, text))
