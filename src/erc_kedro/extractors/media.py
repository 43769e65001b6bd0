"""Decoding: a media file, opened once, to the sound and the sampled frames of each utterance in it."""

import math
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from erc_kedro.extractors.base import RATE, Sound

# What FFmpeg may take a file for. Playlists, image patterns and the like would open other files.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,dv,"
    "wav,w64,mp3,flac,ogg,aac,aiff,amr,au,caf"
)
_SHORTEST_S = 0.05
# Peak of a sound, its mean taken off, below which nobody is heard (-60 dB of full scale).
_SILENCE = 1e-3
# A file that breaks off before this share of what it declares is not the utterance any more.
_LEAST_SHARE = 0.5
# What codecs and containers may disagree by.
_PADDING_S = 0.2
# Further than this ahead it is quicker to seek than to decode.
_SEEK_S = 5.0
# With so many frames for each picture, those that no other frame refers to need not be decoded.
_SKIPPING = 5.0


class Unusable(Exception):
    """A signal that is not there; ``reason`` is short and counted, ``detail`` says more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Span:
    """An utterance's place in a file, and what is wanted of it.

    Attributes:
        start_s: seconds from the file's beginning; None, with ``end_s``, for the whole file.
        side: the half of the frame that is looked at.
    """

    start_s: float | None = None
    end_s: float | None = None
    side: Literal["left", "right"] | None = None
    sound: bool = True
    frames: bool = True


@dataclass(frozen=True)
class Picture:
    """A sampled frame of one utterance, turned upright, cut to the wanted half.

    Attributes:
        span: index of the utterance's span.
        time_s: seconds from the utterance's start.
    """

    span: int
    time_s: float
    frame: av.VideoFrame
    side: Literal["left", "right"] | None

    @cached_property
    def gray(self) -> np.ndarray:
        """Luma, uint8 [H, W]; a view of the decoder's own memory wherever that is possible."""
        frame = self.frame
        if frame.format.name.startswith(("yuv4", "yuvj4", "nv12", "gray")) and (
            frame.format.components[0].bits == 8
        ):
            plane: Any = frame.planes[0]
            luma: np.ndarray = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[
                : frame.height, : frame.width
            ]
        else:
            luma = frame.to_ndarray(format="gray")
        return self._upright(luma)

    def rgb(self) -> np.ndarray:
        """Colours, uint8 [H, W, 3]."""
        return self._upright(self.frame.to_ndarray(format="rgb24"))

    def _upright(self, image: np.ndarray) -> np.ndarray:
        image = np.rot90(image, round(self.frame.rotation / 90) % 4)
        half = image.shape[1] // 2
        return {None: image, "left": image[:, :half], "right": image[:, half:]}[self.side]


@dataclass(frozen=True)
class Finished:
    """What an utterance gave; its pictures came before.

    Attributes:
        span: index of its span.
        sound: float32 [samples] at ``RATE``, or why there is none.
        video: None if there were pictures to be had, else why there are none.
        seconds: decoded duration of the sound.
        errors: kinds of decoding errors in the file so far, counted.
    """

    span: int
    sound: Sound | Unusable | None
    video: Unusable | None
    seconds: float
    errors: dict[str, int]


@dataclass
class _Utterance:
    """The state of one span while its file is played."""

    index: int
    span: Span
    start: float
    end: float
    next_picture: float
    heard: list[tuple[float, av.AudioFrame]] = field(default_factory=list)
    pictures: int = 0


def check(path: Path) -> os.stat_result:
    """The file's status.

    Raises:
        Unusable: it is not there, not a file, empty, or cannot be looked at.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Unusable("no_media", "there is no such file") from error
    except OSError as error:
        raise Unusable("unreadable", error.strerror or str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise Unusable("unreadable", "not a file")
    if status.st_size == 0:
        raise Unusable("unreadable", "the file is empty")
    return status


def play(
    path: Path, spans: Sequence[Span], frames_per_second: float, longest_s: float
) -> Iterator[Picture | Finished]:
    """Decodes a file once, from front to back, for all the utterances in it.

    Args:
        path: a file that ``check`` has passed.
        spans: utterances, in any order; they may overlap.
        frames_per_second: how often a picture is taken, counted from each utterance's start.
        longest_s: how much of an utterance is decoded.

    Yields:
        each utterance's pictures in order, and then its ``Finished``. Only utterances that are going on are
        held in memory.

    Raises:
        Unusable: the file cannot be opened.
    """
    try:
        # Through a Python file, since FFmpeg would take some names for protocols or patterns.
        with path.open("rb") as file, _container(file) as container:
            yield from _Player(container, frames_per_second, longest_s).play(spans)
    except OSError as error:
        raise Unusable("unreadable", _said(error)) from error


def _container(file: Any) -> Any:
    try:
        return av.open(file, options={"format_whitelist": _FORMATS}, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise Unusable("unreadable", _said(error)) from error


class _Player:
    def __init__(self, container: Any, frames_per_second: float, longest_s: float) -> None:
        if not container.streams:
            raise Unusable("unreadable", "there is no stream in it")
        self._container = container
        self._interval = 1 / frames_per_second
        self._longest = longest_s
        self._errors: Counter[str] = Counter()
        # Cover art is a video stream of one picture that is no frame.
        videos = [
            s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic
        ]
        self._streams: dict[str, Any] = {
            "sound": next(iter(container.streams.audio), None),
            "frames": next(iter(videos), None),
        }
        for stream in filter(None, self._streams.values()):
            stream.codec_context.thread_count = 1
        video = self._streams["frames"]
        if video and float(video.average_rate or 0) >= _SKIPPING * frames_per_second:
            # The first frame is always one that others refer to, so that a single one is not lost.
            video.codec_context.skip_frame = "NONREF"
        self._origin = (container.start_time or 0) / av.time_base
        # Until when packets reached, by kind: a file that breaks off ends early without an error.
        self._reached = {"sound": 0.0, "frames": 0.0}

    def play(self, spans: Sequence[Span]) -> Iterator[Picture | Finished]:
        waiting = sorted(
            (self._utterance(index, span) for index, span in enumerate(spans)), key=lambda u: (u.start, u.end)
        )
        while waiting:
            together = [waiting.pop(0)]
            while waiting and waiting[0].start < max(u.end for u in together) + _SEEK_S:
                together.append(waiting.pop(0))
            yield from self._run(together)

    def _utterance(self, index: int, span: Span) -> _Utterance:
        start = span.start_s or 0.0
        end = math.inf if span.end_s is None else span.end_s
        return _Utterance(index, span, start, min(end, start + self._longest), start)

    def _run(self, utterances: list[_Utterance]) -> Iterator[Picture | Finished]:
        """Utterances that follow closely on each other, or overlap."""
        first = utterances[0].start
        if first > _SEEK_S:
            try:
                self._container.seek(int((first + self._origin) * av.time_base))
            except av.FFmpegError as error:
                self._errors[type(error).__name__] += 1
        wanted = {kind: any(getattr(u.span, kind) for u in utterances) for kind in self._streams}
        # How far each kind has been decoded; a stream that is not wanted or not there never holds us up.
        now = {
            kind: -math.inf if stream and wanted[kind] else math.inf for kind, stream in self._streams.items()
        }
        going = list(utterances)
        for kind, frame in self._frames([kind for kind, time in now.items() if time < math.inf]):
            time = now[kind] = self._time(frame, now[kind])
            for utterance in going:
                if time >= utterance.end or not getattr(utterance.span, kind):
                    continue
                if kind == "sound":
                    if time + frame.samples / frame.sample_rate > utterance.start:
                        utterance.heard.append((time, frame))
                elif time >= utterance.next_picture - 1e-3:
                    steps = math.floor((time - utterance.start + 1e-3) / self._interval) + 1
                    utterance.next_picture = utterance.start + steps * self._interval
                    utterance.pictures += 1
                    yield Picture(utterance.index, time - utterance.start, frame, utterance.span.side)
            done = [u for u in going if min(now.values()) >= u.end]
            for utterance in done:
                going.remove(utterance)
                yield self._finish(utterance)
            if not going:
                return
        for utterance in going:
            yield self._finish(utterance)

    def _frames(self, kinds: list[str]) -> Iterator[tuple[str, Any]]:
        """Decoded frames of the wanted streams; a packet that cannot be decoded is counted and left."""
        if not kinds:
            return
        streams = {self._streams[kind].index: kind for kind in kinds}
        packets = self._container.demux(*(self._streams[kind] for kind in kinds))
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, ValueError) as error:
                self._errors[type(error).__name__] += 1
                return
            kind = streams.get(packet.stream_index, "")
            if not kind:
                continue
            if packet.pts is not None:
                until = float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._origin
                self._reached[kind] = max(self._reached[kind], until)
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError) as error:
                self._errors[type(error).__name__] += 1
                continue
            for frame in frames:
                yield kind, frame

    def _time(self, frame: Any, last: float) -> float:
        if frame.time is not None:
            return float(frame.time) - self._origin
        if isinstance(frame, av.AudioFrame):
            return max(last, 0.0) + frame.samples / frame.sample_rate
        return max(last, 0.0) + 1 / float(self._streams["frames"].guessed_rate or 25)

    def _finish(self, utterance: _Utterance) -> Finished:
        sound: Sound | Unusable | None = None
        seconds = 0.0
        if utterance.span.sound:
            try:
                samples = self._sound(utterance)
                seconds = len(samples) / RATE
                sound = samples
                self._judge(utterance, "sound", seconds, samples)
            except Unusable as unusable:
                sound = unusable
        video = None
        if utterance.span.frames:
            try:
                self._require("frames")
                self._judge(utterance, "frames", None, None)
            except Unusable as unusable:
                video = unusable
        utterance.heard.clear()
        return Finished(utterance.index, sound, video, seconds, dict(self._errors))

    def _require(self, kind: str) -> None:
        if self._streams[kind] is None:
            name = {"sound": "audio", "frames": "video"}[kind]
            raise Unusable(f"no_{name}", f"the file has no {name} stream")

    def _sound(self, utterance: _Utterance) -> Sound:
        self._require("sound")
        if not utterance.heard:
            return np.zeros(0, np.float32)
        parts: list[np.ndarray] = []
        resampler = None
        shape = None
        for _, frame in utterance.heard:
            # The resampler would fill what lies between two spans with silence.
            frame.pts = None
            if shape != (shape := (frame.format.name, frame.layout.name, frame.sample_rate)):
                parts += _arrays(resampler, None)
                resampler = av.AudioResampler(format="fltp", rate=RATE)
            parts += _arrays(resampler, frame)
        parts += _arrays(resampler, None)
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        offset = utterance.heard[0][0]
        first = max(0, round((utterance.start - offset) * RATE))
        # Codecs of whole blocks pad the last one; a declared end that is far off is not believed.
        padding = offset + len(samples) / RATE - self._declared("sound")
        end = self._declared("sound") if 0 < padding < _PADDING_S else math.inf
        end = min(end, utterance.end)
        last = len(samples) if end == math.inf else round((end - offset) * RATE)
        return np.ascontiguousarray(samples[first : max(first, last)])

    def _judge(
        self, utterance: _Utterance, kind: str, seconds: float | None, samples: np.ndarray | None
    ) -> None:
        """Refuses what is too little to be the utterance, whether or not the decoder complained."""
        if utterance.end <= utterance.start:
            raise Unusable("too_short", "the utterance ends when it starts, or before")
        declared = self._declared(kind)
        known = math.isfinite(declared) or utterance.span.end_s is not None
        expected = min(declared, utterance.end) - utterance.start if known else 0.0
        reached = self._reached[kind] - utterance.start if seconds is None else seconds
        nothing = not utterance.pictures if seconds is None else not seconds
        if utterance.start >= declared:
            detail = f"it starts at {utterance.start:.2f} s, and the file ends at {declared:.2f} s"
            raise Unusable("too_short", detail)
        if nothing and self._errors:
            raise Unusable("unreadable", f"nothing could be decoded ({self._complaints()})")
        if expected > _PADDING_S and reached < _LEAST_SHARE * expected:
            raise Unusable(
                "unreadable",
                f"only {max(reached, 0):.2f} of {expected:.2f} s could be decoded{self._complaints(' ({})')}",
            )
        if nothing:
            raise Unusable("too_short", "there is nothing in it")
        if samples is not None:
            if not np.isfinite(samples).all():
                raise Unusable("unreadable", "samples that are not numbers")
            if len(samples) < _SHORTEST_S * RATE:
                raise Unusable("too_short", f"{seconds:.3f} s, and {_SHORTEST_S} s are needed")
            if np.abs(samples - samples.mean()).max() < _SILENCE:
                raise Unusable("silent", "nothing louder than -60 dB of full scale")

    def _declared(self, kind: str) -> float:
        """How long the stream says that it is, in seconds; infinity where nothing is said."""
        stream = self._streams[kind]
        if stream.duration:
            said = float(stream.duration * stream.time_base)
        else:
            said = self._container.duration / av.time_base if self._container.duration else math.inf
        video = self._streams["frames"]
        if self._container.format.name == "avi" and video and video.frames and video.average_rate:
            # FFmpeg guesses the duration of an AVI that breaks off by its size; the header counts frames.
            said = max(said, video.frames / float(video.average_rate))
        return said

    def _complaints(self, pattern: str = "{}") -> str:
        said = ", ".join(f"{name} {count}" for name, count in self._errors.items())
        return pattern.format(said) if said else ""


def _arrays(resampler: Any, frame: av.AudioFrame | None) -> list[np.ndarray]:
    # The plain mean of the channels: FFmpeg's own mix is louder than the same sound in mono.
    return [part.to_ndarray().mean(0) for part in resampler.resample(frame)] if resampler else []


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
