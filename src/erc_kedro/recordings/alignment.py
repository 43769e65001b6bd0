"""Whether a transcript's times are its recording's, and who of two is heard, by the sound's level."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from erc_kedro.recordings.base import Turn
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.sound import STEP_S, Media
from erc_kedro.recordings.times import clock

# Below it nothing is heard (-60 dB of full scale), and so much above the quiet is speech (6 dB).
_SILENCE, _ABOVE = 1e-6, 4.0
# Of fewer turns the fit of times is chance; nor is it looked for farther away, in seconds.
_LEAST_TURNS, _FARTHEST_S = 8, 120.0
# A shift is one from so many seconds; it explains the sound so well, and so much better than none.
_LEAST_SHIFT_S, _LEAST_FIT, _BETTER = 1.0, 0.4, 0.25
# Of a turn that is heard, at least this share of time is not silent.
_HEARD = 0.1
# What diarization calls speakers, in each recording anew: SPEAKER_00 is whoever was heard first.
_DIARIZED = re.compile(r"(?:speaker|spk|s)?[\s_-]*\d+", re.IGNORECASE)
# A channel is a speaker's who is so much louder there than on the other (6 dB).
_LOUDER = 4.0


def list_misfits(turns: Sequence[Turn], media: Media, remarks: Remarks) -> None:
    """Lists a transcript that would fit the sound better if it were moved, or that lies in silence."""
    if not len(media.level):
        return
    level = media.level.max(0)
    active = level > max(_SILENCE, _ABOVE * float(np.quantile(level, 0.1)))
    spans = [
        (int(turn.start_s / STEP_S), max(int(np.ceil(turn.end_s / STEP_S)), int(turn.start_s / STEP_S) + 1))
        for turn in turns
        if turn.start_s is not None and turn.end_s is not None and turn.start_s >= 0
    ]
    if len(spans) < _LEAST_TURNS:
        return
    shift, fit, as_it_is = _best_shift(spans, active)
    if abs(shift) >= _LEAST_SHIFT_S and fit >= _LEAST_FIT and fit - as_it_is >= _BETTER:
        moved = "later" if shift > 0 else "earlier"
        remarks.add(
            "shifted",
            f"by about {abs(shift):.1f} s: its correlation with the sound is {fit:.2f} if all turns were so "
            f"much {moved}, and {as_it_is:.2f} as it is",
        )
        return
    heard = np.concatenate([[0], np.cumsum(level > _SILENCE)])
    unheard = []
    for start, end in spans:
        low, high = min(start, len(level)), min(end, len(level))
        if heard[high] - heard[low] < _HEARD * (end - start):
            unheard.append(start * STEP_S)
    if 2 * len(unheard) > len(spans):
        first = ", ".join(clock(at) for at in unheard[:3])
        remarks.add("in_silence", f"of {len(spans)} turns, first at {first}", len(unheard))


def _best_shift(spans: Sequence[tuple[int, int]], active: np.ndarray) -> tuple[float, float, float]:
    """How many seconds later the turns fit the sound best, how well they do, and how well as they are.

    The fit is Pearson's correlation of "a turn is going on" with "something is heard", over the steps.
    """
    length = max(len(active), max(end for _, end in spans))
    said = np.zeros(length)
    for start, end in spans:
        said[start:end] = 1.0
    heard = np.zeros(length)
    heard[: len(active)] = active
    if said.std() == 0 or heard.std() == 0:
        return 0.0, 0.0, 0.0
    farthest = min(int(_FARTHEST_S / STEP_S), length - 1)
    # Room for the farthest, so that no end meets the other's beginning.
    size = 1 << (length + farthest).bit_length()
    a, b = (said - said.mean()) / said.std(), (heard - heard.mean()) / heard.std()
    cross = np.fft.irfft(np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size), size) / length
    shifts = np.concatenate([np.arange(farthest + 1), np.arange(-farthest, 0)])
    fits = cross[shifts]
    best = int(fits.argmax())
    return float(shifts[best]) * STEP_S, float(fits[best]), float(cross[0])


def with_channel_speakers(
    turns: Sequence[Turn], media: Media, channels: dict[str, str], remarks: Remarks
) -> list[Turn]:
    """Turns that nobody is named for get the speaker whose channel is louder meanwhile.

    So do those of a name that diarization gave, by all that is said under it, unless ``score.speakers`` says
    whose it is.

    Args:
        channels: left and right, to the speakers who are heard there.
    """
    sums = np.concatenate([np.zeros((2, 1)), np.cumsum(media.level, axis=1)], axis=1)
    energy = [_energy(turn, sums) if _open(turn, channels) else None for turn in turns]
    # By name, the energy of the two channels, and the steps in which it was measured.
    of_name: dict[str, np.ndarray] = {}
    for turn, own in zip(turns, energy, strict=True):
        if own is not None and turn.speaker:
            of_name[turn.speaker] = of_name.get(turn.speaker, np.zeros(3)) + own
    made = []
    for turn, own in zip(turns, energy, strict=True):
        side = "" if own is None else _louder(of_name.get(turn.speaker, own))
        if side in channels:
            was = f"{turn.speaker} is " if turn.speaker else ""
            remarks.add("channel_speaker", f"at {clock(turn.start_s)} ({was}{channels[side]})")
            turn = replace(turn, speaker=channels[side])
        made.append(turn)
    return made


def _open(turn: Turn, channels: dict[str, str]) -> bool:
    """Whether a turn does not say which person speaks."""
    named = turn.speaker and (turn.speaker in channels.values() or not _DIARIZED.fullmatch(turn.speaker))
    return not named


def _energy(turn: Turn, sums: np.ndarray) -> np.ndarray | None:
    """Of a turn, the energy of the left and of the right channel, and its steps; None without times."""
    if turn.start_s is None or turn.end_s is None:
        return None
    last = sums.shape[1] - 1
    start = min(int(turn.start_s / STEP_S), last)
    end = min(max(int(np.ceil(turn.end_s / STEP_S)), start + 1), last)
    return np.append(sums[:, end] - sums[:, start], end - start)


def _louder(energy: np.ndarray) -> str:
    left, right, steps = energy
    if max(left, right) <= _SILENCE * steps:
        return ""
    return "left" if left > _LOUDER * right else "right" if right > _LOUDER * left else ""
