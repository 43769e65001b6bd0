"""Material that a corpus holds twice: between splits a leak, within one a reason to keep it together.

Dialogues are compared by words, whatever the case, punctuation and white space and wherever one utterance
ends and the next begins; and by times, on the clock of a recording where the corpus knows one.

**Evidence in words.** Everybody says "Hey." A run of words is evidence by its phrases of three words: each
counts once, as 1 where only these two dialogues say it and as 1/(n - 1) where n do. Six are enough, which is
eight words in a row that no third dialogue has; twice as many if the run is a single utterance. Two
dialogues with such a run share their other runs of eight words, too.

**Recorded once or said again.** The same words may be a script, or a message that is played twice. The same
recording has the same spans, or spans that are all shifted by one time. Where times are not known, the same
words among speakers of the same names are taken for the same recording.
"""

import itertools
import math
import unicodedata
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import Match, SequenceMatcher
from statistics import median

import pandas as pd

from erc_kedro.schemas import SPLITS

KINDS = ("repeated", "same_words", "same_span")
COLUMNS = ["kind", "first", "second", "first_dialogue", "second_dialogue", "first_split", "second_split"]

_PHRASE = 3
_ENOUGH = 6
# A phrase that more dialogues say is hardly evidence, and would make every two of them worth comparing.
_MOST_DIALOGUES = 30
# Words that a run may have gained, lost or changed in one place.
_GAP = 10
# Times of one recording differ by less.
_SAME_S = 0.02
# Two utterances are one if they share this much of the shorter.
_SHARE = 0.5

_Words = tuple[str, ...]


@dataclass(frozen=True)
class _Utterance:
    """``start`` and ``end`` in seconds, NaN where unknown, on the clock of ``recording``, if it is known."""

    id: str
    dialogue: str
    split: str
    speaker: str
    words: _Words
    start: float
    end: float
    recording: str | None

    @property
    def timed(self) -> bool:
        return self.end > self.start


_Dialogue = tuple[_Utterance, ...]
_Pair = tuple[_Utterance, _Utterance]
_Finding = tuple[str, _Utterance, _Utterance]
_Run = list[Match]


def find(utterances: pd.DataFrame, recordings: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Look for utterances of different dialogues that are the same material.

    Args:
        utterances: the utterance table; without times and clips, words alone are compared.
        recordings: utterance id to the recording, such as an episode, on whose clock its times are. Where a
            clip holds several utterances, the table says so itself.

    Returns:
        a row a pair of utterances, with the columns ``COLUMNS``; the first is in the split that comes first
        (train, val, test). ``kind`` is ``repeated`` (recorded once: the words agree, and the times where they
        are known), ``same_words`` (said again; only between splits) or ``same_span`` (spans of one recording
        overlap by half of the shorter or more, but the words differ).
    """
    dialogues = _dialogues(utterances, recordings or {})
    place = {name: at for at, name in enumerate(utterances["utterance_id"])}
    found: dict[tuple[str, str], tuple[int, _Utterance, _Utterance]] = {}
    for kind, one, other in itertools.chain(
        _by_words(dialogues), _by_equal_spans(dialogues, recordings or {}), _by_overlap(dialogues)
    ):
        first, second = sorted((one, other), key=lambda u: (SPLITS.index(u.split), place[u.id]))
        earlier = found.get((first.id, second.id))
        if earlier is None or KINDS.index(kind) < earlier[0]:
            found[first.id, second.id] = KINDS.index(kind), first, second
    ordered = sorted(found.values(), key=lambda row: (row[0], place[row[2].id], place[row[1].id]))
    rows = [
        (KINDS[kind], a.id, b.id, a.dialogue, b.dialogue, a.split, b.split)
        for kind, a, b in ordered
        if KINDS[kind] != "same_words" or a.split != b.split
    ]
    return pd.DataFrame(rows, columns=COLUMNS, dtype="str")


def together(utterances: pd.DataFrame, recordings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Dialogue to the name of its group; dialogues that hold the same recording are in one.

    Args:
        utterances, recordings: as :func:`find` has them.
    """
    pairs = find(utterances, recordings)
    group = {str(name): str(name) for name in utterances["dialogue_id"].unique()}
    same = pairs.loc[pairs["kind"] == "repeated", ["first_dialogue", "second_dialogue"]].drop_duplicates()
    for one, other in same.to_numpy().tolist():
        old, new = group[other], group[one]
        group = {name: new if of == old else of for name, of in group.items()}
    return group


def words(text: str) -> _Words:
    """A text's words without case and punctuation; of Chinese and Japanese, the characters."""
    return tuple(unicodedata.normalize("NFKC", text).casefold().translate(_PLAIN).split())


class _Plain(dict[int, str]):
    """What becomes of a character when words are compared; found out once a character."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0x20000 <= code <= 0x3FFFF:
            # Chinese and Japanese are written without spaces between words.
            self[code] = f" {char} "
        elif char in "'’‘`´":
            self[code] = ""
        else:
            self[code] = char if unicodedata.category(char)[0] in "LMN" else " "
        return self[code]


_PLAIN = _Plain()


def _dialogues(utterances: pd.DataFrame, recordings: Mapping[str, str]) -> list[_Dialogue]:
    columns = ["utterance_id", "dialogue_id", "position", "split", "speaker", "text", "start_s", "end_s"]
    table = utterances.reindex(columns=[*columns, "clip", "clip_start_s", "clip_end_s"])
    table = table.sort_values(["dialogue_id", "position"])
    in_clip = table["clip"].notna() & table["clip_start_s"].notna()
    begins = table["clip_start_s"].where(in_clip, table["start_s"]).astype(float)
    ends = table["clip_end_s"].where(in_clip, table["end_s"]).astype(float)
    texts = [words(text) for text in table["text"]]
    clips = table["clip"].astype(object).where(in_clip, None)
    made: dict[str, list[_Utterance]] = defaultdict(list)
    for name, dialogue, split, speaker, said, start, end, clip in zip(
        *(table[column].tolist() for column in ("utterance_id", "dialogue_id", "split", "speaker")),
        texts,
        begins.tolist(),
        ends.tolist(),
        clips,
        strict=True,
    ):
        recording = recordings.get(name, clip)
        made[dialogue].append(_Utterance(name, dialogue, split, speaker, said, start, end, recording))
    return [tuple(dialogue) for dialogue in made.values()]


def _by_words(dialogues: list[_Dialogue]) -> Iterator[_Finding]:
    """What two dialogues say in the same order, if it is long and rare enough."""
    saying: dict[_Words, list[_Dialogue]] = defaultdict(list)
    for dialogue in dialogues:
        saying[tuple(word for utterance in dialogue for word in utterance.words)].append(dialogue)
    texts = list(saying)
    said_by: dict[_Words, list[int]] = defaultdict(list)
    for at, text in enumerate(texts):
        for phrase in set(_phrases(text)):
            said_by[phrase].append(at)
    weights = {phrase: 1 / max(1, len(by) - 1) for phrase, by in said_by.items()}
    rare = {phrase for phrase, by in said_by.items() if 1 < len(by) <= _MOST_DIALOGUES}
    shared: dict[tuple[int, int], float] = defaultdict(float)
    for phrase in rare:
        for pair in itertools.combinations(said_by[phrase], 2):
            shared[pair] += weights[phrase]
    candidates = [pair for pair, weight in shared.items() if _is_enough(weight)]
    places: dict[int, dict[_Words, list[int]]] = {at: defaultdict(list) for pair in candidates for at in pair}
    for at, own in places.items():
        for place, phrase in enumerate(_phrases(texts[at])):
            if phrase in rare:
                own[phrase].append(place)
    runs = {(a, b): _runs(texts[a], texts[b], places[a], places[b]) for a, b in candidates}
    runs |= {(at, at): [[Match(0, 0, len(text))]] for at, text in enumerate(texts) if len(saying[text]) > 1}
    for (one, other), both in runs.items():
        long = []
        for run in both:
            said = {phrase for at, _, size in run for phrase in _phrases(texts[one][at : at + size])}
            if len(said) >= _ENOUGH:
                long.append((run, sum(weights[phrase] for phrase in said)))
        if any(_is_enough(weight) for _, weight in long):
            for a, b in _members(saying[texts[one]], saying[texts[other]]):
                yield from _judged(a, b, long)


def _is_enough(weight: float) -> bool:
    # Thirds that add up to six do so but for rounding, which depends on their order.
    return weight >= _ENOUGH - 1e-9


def _phrases(text: _Words) -> Iterator[_Words]:
    return zip(*(text[at:] for at in range(_PHRASE)), strict=False)


def _runs(
    one: _Words, other: _Words, of_one: Mapping[_Words, list[int]], of_other: Mapping[_Words, list[int]]
) -> list[_Run]:
    """Equal stretches of words in the same order, together if at most ``_GAP`` other words are between.

    Args:
        of_one, of_other: where the phrases are from which a stretch is found.
    """
    hits = {(p, q) for phrase, places in of_one.items() for p in places for q in of_other.get(phrase, ())}
    stretches = set()
    for p, q in hits:
        if (p - 1, q - 1) in hits:
            continue
        size = 0
        while p and q and one[p - 1] == other[q - 1]:
            p, q = p - 1, q - 1
        while p + size < len(one) and q + size < len(other) and one[p + size] == other[q + size]:
            size += 1
        stretches.add(Match(p, q, size))
    chain: _Run = []
    for stretch in sorted(stretches, key=lambda match: (-match.size, match)):
        at = bisect(chain, stretch)
        row = [*chain[max(0, at - 1) : at], stretch, *chain[at : at + 1]]
        if all(a.a + a.size <= b.a and a.b + a.size <= b.b for a, b in itertools.pairwise(row)):
            chain.insert(at, stretch)
    runs: list[_Run] = []
    for stretch in chain:
        if runs:
            p, q = (runs[-1][-1][side] + runs[-1][-1].size for side in (0, 1))
            if max(stretch.a - p, stretch.b - q) <= _GAP:
                between = SequenceMatcher(None, one[p : stretch.a], other[q : stretch.b], autojunk=False)
                runs[-1] += [Match(p + a, q + b, n) for a, b, n in between.get_matching_blocks() if n > 1]
                runs[-1].append(stretch)
                continue
        runs.append([stretch])
    return runs


def _members(some: list[_Dialogue], others: list[_Dialogue]) -> list[tuple[_Dialogue, _Dialogue]]:
    """Dialogues of two texts, or of one, in pairs that tie each to one of every split on the other side.

    All pairs of a dialogue that is there a hundred times would be thousands that say nothing more.
    """
    pairs = {}
    for own, foreign in ((some, others), (others, some)):
        heads = {dialogue[0].split: dialogue for dialogue in reversed(foreign)}
        for a, b in itertools.product(own, heads.values()):
            if a is not b:
                pairs[frozenset((a[0].dialogue, b[0].dialogue))] = (a, b) if own is some else (b, a)
    return list(pairs.values())


def _judged(one: _Dialogue, other: _Dialogue, runs: list[tuple[_Run, float]]) -> Iterator[_Finding]:
    """The utterances of all runs of two dialogues, and whether they were recorded once."""
    of_one = [utterance for utterance in one for _ in utterance.words]
    of_other = [utterance for utterance in other for _ in utterance.words]
    pairs: list[_Pair] = []
    shifts: list[float] = []
    enough = False
    for run, weight in runs:
        counts: Counter[_Pair] = Counter()
        for at, there, size in run:
            for p, q in zip(range(at, at + size), range(there, there + size), strict=True):
                a, b = of_one[p], of_other[q]
                counts[a, b] += 1
                if _begins(of_one, p) and _begins(of_other, q):
                    shifts.append(a.start - b.start)
                if _begins(of_one, p + 1) and _begins(of_other, q + 1):
                    shifts.append(a.end - b.end)
        alike = [(a, b) for (a, b), n in counts.items() if n >= _SHARE * min(len(a.words), len(b.words))]
        alone = 1 in (len({a.id for a, _ in alike}), len({b.id for _, b in alike}))
        enough |= _is_enough(weight / (1 + alone))
        pairs += alike
    if enough:
        kind = "repeated" if _recorded_once(pairs, shifts) else "same_words"
        yield from ((kind, a, b) for a, b in pairs)


def _begins(by_word: list[_Utterance], at: int) -> bool:
    """Whether an utterance begins with this word, or ended with the one before."""
    return at in (0, len(by_word)) or by_word[at] is not by_word[at - 1]


def _recorded_once(pairs: list[_Pair], shifts: list[float]) -> bool:
    """Whether two dialogues that share words share their recording.

    Args:
        shifts: by how many seconds the first's utterances begin and end later than the second's.
    """
    if 2 * sum(_overlap(a, b) for a, b in pairs) > len(pairs):
        return True
    if not any(a.timed and b.timed for a, b in pairs):
        return bool({a.speaker for a, _ in pairs} & {b.speaker for _, b in pairs})
    known = [shift for shift in shifts if not math.isnan(shift)]
    shift = median(known or [0.0])
    steady = sum(abs(other - shift) <= _SAME_S for other in known)
    # Two shifts agree by chance, such as those of an utterance's end and the next one's beginning.
    enough = 2 if abs(shift) <= _SAME_S else 4
    return steady >= enough and 2 * steady > len(known)


def _overlap(a: _Utterance, b: _Utterance) -> bool:
    """Whether both are known to be spans of one recording that share half of the shorter or more."""
    common = min(a.end, b.end) - max(a.start, b.start)
    return (
        a.recording is not None
        and a.recording == b.recording
        and common > 0
        and common >= _SHARE * min(a.end - a.start, b.end - b.start)
    )


def _by_equal_spans(dialogues: list[_Dialogue], recordings: Collection[str]) -> Iterator[_Finding]:
    """The same words at the same place of two recordings, one of which must be misnamed.

    A word may happen to be said at the same second of two episodes; two utterances of two dialogues, or a
    longer one, do not.
    """
    same: dict[tuple[float, float, _Words], list[_Utterance]] = defaultdict(list)
    for utterance in itertools.chain.from_iterable(dialogues):
        if utterance.id in recordings and utterance.timed and utterance.words:
            same[round(utterance.start, 2), round(utterance.end, 2), utterance.words].append(utterance)
    pairs = [
        (a, b)
        for equal in same.values()
        for a, b in itertools.combinations(equal, 2)
        if a.dialogue != b.dialogue
    ]
    count = Counter(frozenset((a.dialogue, b.dialogue)) for a, b in pairs)
    for a, b in pairs:
        if count[frozenset((a.dialogue, b.dialogue))] > 1 or len(a.words) > _PHRASE:
            yield "repeated", a, b


def _by_overlap(dialogues: list[_Dialogue]) -> Iterator[_Finding]:
    """Spans of one recording that overlap, by whether they say the same."""
    by_recording: dict[str, list[_Utterance]] = defaultdict(list)
    for utterance in itertools.chain.from_iterable(dialogues):
        if utterance.recording is not None and utterance.timed:
            by_recording[utterance.recording].append(utterance)
    for spans in by_recording.values():
        spans.sort(key=lambda utterance: utterance.start)
        for at, a in enumerate(spans):
            for b in itertools.islice(spans, at + 1, None):
                if b.start >= a.end:
                    break
                if a.dialogue != b.dialogue and _overlap(a, b):
                    yield "repeated" if _same_words(a, b) else "same_span", a, b


def _same_words(a: _Utterance, b: _Utterance) -> bool:
    """Whether the words of two overlapping spans are those of one utterance, or of a part of it."""
    short, long = sorted((a.words, b.words), key=len)
    starts = range(len(long) - len(short) + 1)
    # One word may be in any sentence.
    part = len(short) > 1 and any(long[at : at + len(short)] == short for at in starts)
    if short and a.speaker == b.speaker and (part or short == long):
        return True
    blocks = SequenceMatcher(None, short, long, autojunk=False).get_matching_blocks()
    common = sum(block.size for block in blocks if block.size > 1)
    return common > _PHRASE and common >= _SHARE * len(short)
