"""What is to be known of a media file before anything is extracted: how long it is, where it is silent."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from erc_kedro.extractors.media import Unusable, check, containers
from erc_kedro.extractors.media.budget import Watched
from erc_kedro.recordings.base import RecordingError

# Seconds of a step of the level.
STEP_S = 0.1
# Samples a second that are enough for a level.
_ENOUGH = 8000
# Channels that differ by so much less than they hold are the same (-40 dB).
_SAME = 1e-4
# Where time goes back by more, joined files begin again.
_RESTART_S = 1.0
# Frames that are measured at a time.
_AT_ONCE = 64
# Longer recordings than two days are none.
_MOST_STEPS = int(2 * 86_400 / STEP_S)
# What a file's declared end may be off by, as a share and in seconds.
_OFF, _OFF_S = 0.02, 1.0


@dataclass(frozen=True)
class Media:
    """A media file.

    Attributes:
        seconds: decoded length of the sound, or of the picture if that is longer; None if nobody knows.
        stated_s: how long the file says that its sound is; infinity where it does not.
        level: mean square of full scale, float64 [channels, steps of ``STEP_S``]; no channels without sound.
        alike: whether there are two channels, and both are the same.
        breaks_off: whether less of the sound can be decoded than the file declares.
    """

    path: Path
    seconds: float | None
    stated_s: float
    sample_rate: int | None
    channels: int
    video: bool
    level: np.ndarray
    alike: bool
    breaks_off: bool


@dataclass
class _Level:
    """The level of a sound that comes in frames.

    Frames are of some hundredths of a second: measured by the dozen, they cost a third of what they would one
    by one.
    """

    now: float = 0.0
    difference: float = 0.0
    steps: int = 0
    sums: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _waiting: list[np.ndarray] = field(default_factory=list)
    _begin: list[tuple[float, float]] = field(default_factory=list)

    def add(self, samples: np.ndarray, rate: int, at: float) -> None:
        """Takes [channels, samples], of full scale as their type has it, that begin at a time."""
        every = max(1, rate // _ENOUGH)
        # A copy, for what is left of a frame must not hold all of it.
        chosen = samples[:2, ::every].copy()
        before = self._waiting[0] if self._waiting else chosen
        if len(before) != len(chosen) or before.dtype != chosen.dtype or len(self._waiting) == _AT_ONCE:
            self.measure()
        self._waiting.append(chosen)
        self._begin.append((at, every / rate))

    def measure(self) -> None:
        """Measures what was added and waits."""
        if not self._waiting:
            return
        sizes = [samples.shape[1] for samples in self._waiting]
        begin, apart_s = np.repeat(self._begin, sizes, axis=0).T
        number = np.arange(len(begin)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        steps = ((begin + number * apart_s) / STEP_S).astype(np.int64)
        chosen = _floats(np.concatenate(self._waiting, axis=1))
        self._waiting.clear()
        self._begin.clear()
        first, last = int(steps.min()), int(steps.max()) + 1
        if last > len(self.counts):
            grown = min(max(last, 2 * len(self.counts), 1024), _MOST_STEPS)
            self.sums = np.pad(self.sums, ((0, 0), (0, grown - self.sums.shape[1])))
            self.counts = np.pad(self.counts, (0, grown - len(self.counts)))
        own = steps - first
        reach = slice(first, last)
        self.counts[reach] += np.bincount(own, minlength=last - first)
        for channel, sound in enumerate(chosen):
            self.sums[channel, reach] += np.bincount(own, sound * sound, minlength=last - first)
        if len(chosen) == 2:
            apart = chosen[0] - chosen[1]
            self.difference += float(apart @ apart)
        self.steps = max(self.steps, last)

    def mean(self, channels: int) -> np.ndarray:
        return self.sums[:channels, : self.steps] / np.maximum(self.counts[: self.steps], 1)


def look(path: Path) -> Media:
    """Plays a file's sound once, in constant memory, and keeps nothing but its level.

    Raises:
        RecordingError: it is not there, no media, or has neither sound nor pictures.
    """
    try:
        check(path)
        with path.open("rb") as file:
            head = file.read(256).lstrip().lower()
            if head.startswith((b"<!doctype html", b"<html")):
                raise RecordingError(
                    "html_page", f"{path}: a web page, whatever its name; download the file itself"
                )
            file.seek(0)
            watched = Watched(file)
            with containers.opened(watched) as container:
                watched.check()
                return _looked(path, watched, container)
    except Unusable as unusable:
        reason = {"no_media": "not_found", "unreadable": "unreadable_media"}.get(
            unusable.reason, unusable.reason
        )
        raise RecordingError(
            reason,
            f"{path}: {unusable.detail}; mend the file, or take it away to have the text scored alone",
        ) from unusable
    except OSError as error:
        raise RecordingError("unreadable_media", f"{path}: cannot be read ({error})") from error


def _looked(path: Path, file: Watched, container: Any) -> Media:
    covers = av.stream.Disposition.attached_pic
    video = next((stream for stream in container.streams.video if not stream.disposition & covers), None)
    audio = next(iter(container.streams.audio), None)
    if audio is None and video is None:
        raise RecordingError("no_streams", f"{path}: neither sound nor pictures in it; name a recording")
    pictured = containers.stated_s(path, container, video, video) if video else math.inf
    level, stated, rate, channels = _Level(), math.inf, None, 0
    if audio is not None:
        stated = containers.stated_s(path, container, audio, video)
        rate, channels = _play(file, container, audio, level)
        level.measure()
    if not level.steps:
        rate, channels = None, 0
    breaks_off = bool(level.steps) and math.isfinite(stated) and level.now < stated * (1 - _OFF) - _OFF_S
    # What a file that breaks off declares of its pictures is not in it, either.
    known = [level.now] if breaks_off else [level.now, pictured]
    ends = [end for end in known if end and math.isfinite(end)]
    shown = min(channels, 2)
    energy = float(level.sums.sum())
    return Media(
        path=path,
        seconds=max(ends) if ends else None,
        stated_s=stated,
        sample_rate=rate,
        channels=channels,
        video=video is not None,
        level=level.mean(shown),
        alike=channels == 2 and level.difference <= _SAME * max(energy, 1e-30),
        breaks_off=breaks_off,
    )


def _play(file: Watched, container: Any, stream: Any, level: _Level) -> tuple[int | None, int]:
    """Decodes a stream of sound; returns its rate and number of channels."""
    stream.codec_context.thread_count = 1
    origin = (container.start_time or 0) / av.time_base
    rate, channels = None, 0
    packets = container.demux(stream)
    failed = False
    while level.steps < _MOST_STEPS:
        try:
            packet = next(packets)
            frames = packet.decode()
            failed = False
        except StopIteration:
            break
        except (av.FFmpegError, ValueError):
            # Behind what is broken there may be more.
            if failed:
                break
            failed = True
            continue
        file.allow(level.now)
        file.check()
        for frame in frames:
            if not frame.samples or not frame.sample_rate:
                continue
            samples = _channels(frame)
            rate, channels = rate or frame.sample_rate, channels or len(samples)
            at = level.now
            # A gap is silence; where time begins again, files were joined.
            if frame.time is not None and frame.time - origin > level.now - _RESTART_S:
                at = max(frame.time - origin, 0.0)
            ends = at + frame.samples / frame.sample_rate
            if ends >= 2 * 86_400:
                return rate, channels
            level.add(samples, frame.sample_rate, at)
            level.now = max(level.now, ends)
    return rate, channels


def _channels(frame: Any) -> np.ndarray:
    """A frame's samples as they are, [channels, samples]."""
    array: np.ndarray = frame.to_ndarray()
    return array if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels).T


def _floats(samples: np.ndarray) -> np.ndarray:
    """Samples of any type as float64 of full scale 1."""
    if samples.dtype.kind in "iu":
        middle = 128 if samples.dtype == np.uint8 else 0
        scale = 128.0 if samples.dtype == np.uint8 else float(np.iinfo(samples.dtype).max)
        return (samples.astype(np.float64) - middle) / scale
    return np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=1.0, neginf=-1.0).clip(-1e3, 1e3)
