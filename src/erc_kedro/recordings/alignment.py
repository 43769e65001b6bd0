"""Whether a transcript's times are its recording's, and who of two is heard, by the sound's level."""

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

    Args:
        channels: left and right, to the speakers who are heard there.
    """
    sums = np.concatenate([np.zeros((2, 1)), np.cumsum(media.level, axis=1)], axis=1)
    made = []
    for turn in turns:
        if turn.speaker or turn.start_s is None or turn.end_s is None:
            made.append(turn)
            continue
        last = sums.shape[1] - 1
        start = min(int(turn.start_s / STEP_S), last)
        end = min(max(int(np.ceil(turn.end_s / STEP_S)), start + 1), last)
        left, right = sums[:, end] - sums[:, start]
        side = "left" if left > _LOUDER * right else "right" if right > _LOUDER * left else ""
        if side in channels and max(left, right) > _SILENCE * (end - start):
            remarks.add("channel_speaker", f"at {clock(turn.start_s)} ({channels[side]})")
            turn = replace(turn, speaker=channels[side])
        made.append(turn)
    return made
