"""Decoding: a media file, opened once, to the sound and the sampled frames of each utterance in it."""

import itertools
import math
import os
import stat
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import av
import numpy as np

from erc_kedro.extractors.base import RATE, Sound

# What FFmpeg may take a file for. Playlists, image patterns and the like would open other files.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,dv,"
    "wav,w64,mp3,flac,ogg,aac,aiff,amr,au,caf"
)
# Part of every key: raise it when the same file may give another sound or other pictures.
VERSION = 1
_SHORTEST_S = 0.05
# Peak of a sound, its mean taken off, below which nobody is heard (-60 dB of full scale).
_SILENCE = 1e-3
# A file that breaks off before this share of what it declares is not the utterance any more.
_LEAST_SHARE = 0.5
# What codecs and containers may disagree by.
_PADDING_S = 0.2
# A channel with so much less energy than the loudest has nothing of what was said in it (-40 dB).
_DEAD = 1e-4
# The mean of channels with less of the loudest one's energy than this has lost what was said (-9 dB).
_CANCELLED = 0.125
# A container of these does not say how long it is; FFmpeg guesses it by bit rates or time stamps.
_UNSTATED = ("aac", "amr", "mpeg", "mpegts")
# Where files were joined, time begins again: it goes back by more than this, to less than twice as much.
_RESTART_S = 1.0
# What opening a file may take of the processor, in seconds: usual ones take some hundredths, but zeros behind
# a sound are a header every eight bytes. And what each second in it may take besides: pictures of any size
# that videos have are decoded in fewer.
_OPENING_S, _MOST_WORK = 5.0, 10.0
# Larger pictures are no video's: 8K has half of it.
_MOST_PIXELS = 1 << 26
# Headers of an MP3's own before its sound.
_MOST_TAGS = 64
# Rates that sounds have, in samples a second; of others a few bytes would become hours.
_RATES = (1000, 1_000_000)
# Pictures are decoded from so much before the first that is wanted, for codecs reorder them; and no more
# packets than this wait for that.
_EARLIER_S, _MOST_WAITING = 1.0, 500
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
        remark: what of the sound was left out, or is not in the file; "" if nothing.
    """

    span: int
    sound: Sound | Unusable | None
    video: Unusable | None
    seconds: float
    errors: dict[str, int]
    remark: str = ""


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
    except ValueError as error:
        raise Unusable("no_media", f"no file can be called so ({error})") from error
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

    What an utterance gets does not depend on the others: sound is always decoded from the file's beginning,
    since a decoder that is put down anywhere else starts with garbage, draws other noise than it would have,
    and in many containers is not where its clock says. Pictures are decoded from the last key frame before.

    Args:
        path: a file that ``check`` has passed.
        spans: utterances, in any order; they may overlap.
        frames_per_second: how often a picture is taken, counted from each utterance's start.
        longest_s: how much of an utterance is decoded.

    Yields:
        each utterance's pictures in order, and then its ``Finished``. Only utterances that are going on are
        held in memory.

    Raises:
        Unusable: the file cannot be opened, or takes so much work that it was made to.
    """
    try:
        # Through a Python file, since FFmpeg would take some names for protocols or patterns.
        with path.open("rb") as file:
            watched = _Watched(file)
            with _container(watched) as container:
                watched.check()
                for event in _Player(path, watched, container, frames_per_second, longest_s).play(spans):
                    with watched.paused():
                        yield event
    except OSError as error:
        raise Unusable("unreadable", _said(error)) from error


class _Watched:
    """A file that can be read until what is done with it has taken too much of the processor.

    Time on the processor, not on the clock: a slow disk or a busy machine refuses no file.

    Attributes:
        allowed: seconds.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # FFmpeg looks at the name's ending, too.
        self.name, self.seek, self.tell = file.name, file.seek, file.tell
        self.allowed = _OPENING_S
        self._begun = time.thread_time()

    def read(self, size: int = -1) -> bytes:
        # An end, since PyAV loses errors that are raised here.
        return b"" if self._spent() else self._file.read(size)

    def _spent(self) -> bool:
        return time.thread_time() - self._begun > self.allowed

    def check(self) -> None:
        """Raises Unusable where too much was used."""
        if self._spent():
            raise Unusable("too_slow", f"more work than {self.allowed:.0f} s of processor time")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done meanwhile does not count."""
        at = time.thread_time()
        yield
        self._begun += time.thread_time() - at


def _container(file: _Watched) -> Any:
    try:
        return av.open(file, options={"format_whitelist": _FORMATS}, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        file.check()
        raise Unusable("unreadable", _said(error)) from error


class _Clock:
    """When what a stream gives is to be played, in seconds from the file's beginning.

    Where files were joined, time begins again in each; it goes on here.
    """

    def __init__(self, origin: float, shifts: list[float]) -> None:
        """``shifts``: of each file after the first, found by whichever clock comes to it first."""
        self.now = 0.0
        self._origin = origin
        self._shifts = shifts
        self._part = 0

    def at(self, time: float | None, lasts: float) -> float:
        """The time of the next thing, which ``lasts`` so many seconds; None if it does not say."""
        if time is None:
            at = self.now
        else:
            time -= self._origin
            at = time + self._shifts[self._part]
            if time < 2 * _RESTART_S and at < self.now - _RESTART_S:
                self._part += 1
                if self._part == len(self._shifts):
                    self._shifts.append(self.now - time)
                at = time + self._shifts[self._part]
        self.now = max(self.now, at + lasts)
        return at


class _Player:
    def __init__(
        self, path: Path, file: _Watched, container: Any, frames_per_second: float, longest_s: float
    ) -> None:
        if not container.streams:
            raise Unusable("unreadable", "there is no stream in it")
        self._path = path
        self._file = file
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
            stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}
        video = self._streams["frames"]
        if video and float(video.average_rate or 0) >= _SKIPPING * frames_per_second:
            # The first frame is always one that others refer to, so that a single one is not lost.
            video.codec_context.skip_frame = "NONREF"
        # How long a picture is shown where its file does not say when.
        self._tick = 1 / float((video and video.guessed_rate) or 25)
        origin, shifts = (container.start_time or 0) / av.time_base, [0.0]
        # Until when packets reached: a file that breaks off ends early without an error.
        self._packed = {kind: _Clock(origin, shifts) for kind in self._streams}
        self._decoded = {kind: _Clock(origin, shifts) for kind in self._streams}
        self._declared = {
            kind: self._stated(stream) if stream else math.inf for kind, stream in self._streams.items()
        }

    def play(self, spans: Sequence[Span]) -> Iterator[Picture | Finished]:
        # Sorted, so that whoever comes to one that begins later need not look at the rest.
        left = sorted(
            (self._utterance(index, span) for index, span in enumerate(spans)), key=lambda u: (u.start, u.end)
        )
        kinds = [kind for kind, s in self._streams.items() if s and any(getattr(u.span, kind) for u in left)]
        now = dict.fromkeys(kinds, -math.inf)
        for kind, frame in self._frames(kinds, left):
            lasts = frame.samples / frame.sample_rate if kind == "sound" else 1e-3
            time = now[kind] = self._decoded[kind].at(frame.time, lasts if kind == "sound" else self._tick)
            done = []
            for utterance in left:
                if utterance.start > time + lasts:
                    break
                if all(now[k] >= utterance.end for k in kinds if getattr(utterance.span, k)):
                    done.append(utterance)
                elif time >= utterance.end or not getattr(utterance.span, kind):
                    continue
                elif kind == "sound":
                    if time + lasts > utterance.start:
                        utterance.heard.append((time, frame))
                elif time >= utterance.next_picture - 1e-3:
                    steps = math.floor((time - utterance.start + 1e-3) / self._interval) + 1
                    utterance.next_picture = utterance.start + steps * self._interval
                    utterance.pictures += 1
                    yield Picture(utterance.index, time - utterance.start, frame, utterance.span.side)
            for utterance in done:
                left.remove(utterance)
                yield self._finish(utterance, ended=False)
            if not left:
                return
        for utterance in left:
            yield self._finish(utterance, ended=True)

    def _utterance(self, index: int, span: Span) -> _Utterance:
        start = span.start_s or 0.0
        end = math.inf if span.end_s is None else span.end_s
        return _Utterance(index, span, start, min(end, start + self._longest), start)

    def _frames(self, kinds: list[str], left: list[_Utterance]) -> Iterator[tuple[str, Any]]:
        """Decoded frames of the wanted streams; a packet that cannot be decoded is counted and left.

        Of pictures, only those that somebody of ``left`` may still want, and what these refer to.
        """
        waiting: list[Any] = []
        skipped = False
        for kind, packet in self._packets(kinds):
            packets = [packet]
            time = packet.dts if packet.pts is None else packet.pts
            lasts = float((packet.duration or 0) * packet.time_base)
            at = self._packed[kind].at(None if time is None else float(time * packet.time_base), lasts)
            # Beyond what is wanted, no claim of a later time buys more.
            reached = min(at, max(utterance.end for utterance in left)) if left else 0.0
            self._file.allowed = max(self._file.allowed, _OPENING_S + _MOST_WORK * reached)
            self._file.check()
            if kind == "frames":
                first = next((u.start for u in left if u.span.frames), math.inf)
                if time is not None and at < first - _EARLIER_S and len(waiting) < _MOST_WAITING:
                    if packet.is_keyframe:
                        skipped = skipped or bool(waiting)
                        waiting.clear()
                    waiting.append(packet)
                    continue
                if skipped:
                    # What came before the key frame is not to be referred to.
                    self._streams[kind].codec_context.flush_buffers()
                packets, waiting, skipped = [*waiting, packet], [], False
            for packet in packets:
                try:
                    frames = packet.decode()
                except (av.FFmpegError, ValueError) as error:
                    self._errors[type(error).__name__] += 1
                    continue
                for frame in frames:
                    yield kind, frame

    def _packets(self, kinds: list[str]) -> Iterator[tuple[str, Any]]:
        """Packets of the wanted streams, from the file's beginning."""
        if not kinds:
            return
        wanted = [self._streams[kind] for kind in kinds]
        streams = dict(zip((stream.index for stream in wanted), kinds, strict=True))
        packets, failed = self._container.demux(*wanted), False
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                self._file.check()
                return
            except (av.FFmpegError, ValueError) as error:
                self._errors[type(error).__name__] += 1
                if failed:
                    return
                # Behind what is broken there may be more.
                failed, packets = True, self._container.demux(*wanted)
                continue
            failed = False
            if packet.stream_index in streams:
                yield streams[packet.stream_index], packet

    def _finish(self, utterance: _Utterance, ended: bool) -> Finished:
        """What became of an utterance; ``ended``: because the file did."""
        sound: Sound | Unusable | None = None
        seconds = 0.0
        remarks: list[str] = []
        if utterance.span.sound:
            try:
                samples, remarks = self._sound(utterance, ended)
                seconds = len(samples) / RATE
                sound = samples
                self._judge(utterance, "sound", seconds, samples)
                missing = utterance.end - utterance.start - seconds
                if utterance.span.end_s is not None and missing > _PADDING_S:
                    remarks.append(f"its last {missing:.2f} s are not in the file")
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
        return Finished(utterance.index, sound, video, seconds, dict(self._errors), "; ".join(remarks))

    def _require(self, kind: str) -> None:
        if self._streams[kind] is None:
            name = {"sound": "audio", "frames": "video"}[kind]
            raise Unusable(f"no_{name}", f"the file has no {name} stream")

    def _sound(self, utterance: _Utterance, ended: bool) -> tuple[Sound, list[str]]:
        self._require("sound")
        if not utterance.heard:
            return np.zeros(0, np.float32), []
        for rate in {frame.sample_rate for _, frame in utterance.heard}:
            if not _RATES[0] <= rate <= _RATES[1]:
                raise Unusable("unreadable", f"a sound of {rate:,} samples a second")
        # Where the number of channels or the rate changes, another sound begins.
        alike = itertools.groupby((frame for _, frame in utterance.heard), _shape)
        try:
            parts, remarks = zip(*(mono(_resampled(frames)) for _, frames in alike), strict=True)
        except av.FFmpegError as error:
            raise Unusable("unreadable", _said(error)) from error
        samples = np.concatenate(parts)
        offset = utterance.heard[0][0]
        first = max(0, round((utterance.start - offset) * RATE))
        # Codecs of whole blocks pad the last one; a declared end that is far off is not believed.
        declared = self._declared["sound"] if ended else math.inf
        padding = offset + len(samples) / RATE - declared
        end = declared if 0 < padding < _PADDING_S else math.inf
        end = min(end, utterance.end)
        last = len(samples) if end == math.inf else round((end - offset) * RATE)
        sound = np.ascontiguousarray(samples[first : max(first, last)])
        return sound, list(dict.fromkeys(filter(None, remarks)))

    def _judge(
        self, utterance: _Utterance, kind: str, seconds: float | None, samples: np.ndarray | None
    ) -> None:
        """Refuses what is too little to be the utterance, whether or not the decoder complained."""
        if utterance.end <= utterance.start:
            raise Unusable("too_short", "the utterance ends when it starts, or before")
        declared = self._declared[kind]
        known = math.isfinite(declared)
        expected = min(declared, utterance.end) - utterance.start if known else 0.0
        reached = self._packed[kind].now - utterance.start if seconds is None else seconds
        nothing = not utterance.pictures if seconds is None else not seconds
        ends = declared if known else self._packed[kind].now
        # What decodes is there, whatever the file says of its length.
        if nothing and utterance.start >= ends > 0:
            detail = f"it starts at {utterance.start:.2f} s, and the file ends at {ends:.2f} s"
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

    def _stated(self, stream: Any) -> float:
        """How long the container says that a stream is, in seconds; infinity where it does not say."""
        name = self._container.format.name
        if stream.duration:
            said = float(stream.duration * stream.time_base)
        else:
            said = self._container.duration / av.time_base if self._container.duration else math.inf
        if name in _UNSTATED or (name == "matroska,webm" and stream.duration):
            # Matroska states it for all of its streams at once, or else it is a guess.
            return math.inf
        if name == "mp3":
            rate = stream.codec_context.sample_rate
            counted = _mp3_frames(self._path) * (1152 if rate >= 32_000 else 576) / max(rate, 1)
            # Of several joined files, FFmpeg does not believe the first one's either, and guesses.
            return said if abs(said - counted) < 2 * _PADDING_S else math.inf
        if name == "wav":
            # FFmpeg takes what is left of a file that breaks off for the whole.
            stated = _riff_bytes(self._path)
            if stated > self._container.size and stream.codec_context.bit_rate:
                said = max(said, 8 * stated / stream.codec_context.bit_rate)
        video = self._streams["frames"]
        if name == "avi" and video and video.frames and video.average_rate:
            # The same; the header counts frames.
            said = max(said, video.frames / float(video.average_rate))
        return said

    def _complaints(self, pattern: str = "{}") -> str:
        said = ", ".join(f"{name} {count}" for name, count in self._errors.items())
        return pattern.format(said) if said else ""


def mono(channels: np.ndarray) -> tuple[np.ndarray, str]:
    """One sound of several channels: their mean, but for those in which there is nothing.

    Where the mean has lost what was said, as that of two channels of opposite phase has, it is the loudest
    channel. Only these samples decide it, so that no other utterance of the file matters.

    Args:
        channels: float32 [channels, samples].

    Returns:
        the sound [samples]; what was left out and why, "" if nothing was.
    """
    count = len(channels)
    energy = np.array([_energy(channel) for channel in channels])
    if not energy.any():
        return channels.mean(0), ""
    loudest = int(energy.argmax())
    heard = energy > _DEAD * energy[loudest]
    # The plain mean: FFmpeg's own mix is louder than the same sound in mono.
    mean = channels[heard].mean(0)
    if _energy(mean) < _CANCELLED * energy[loudest]:
        return channels[loudest], f"channel {loudest + 1} of {count} alone: the channels cancel each other"
    left = count - int(heard.sum())
    return mean, f"without {left} of {count} channels: nothing is in them" if left else ""


def _energy(sound: np.ndarray) -> float:
    """How strong a sound is; 0 for one that is not all numbers.

    Of its changes from sample to sample, so that neither a constant nor hum nor rumble passes for speech.
    """
    with np.errstate(invalid="ignore"):
        change = np.diff(sound.astype(np.float64))
        energy = float(change @ change)
    return energy if math.isfinite(energy) else 0.0


def _mp3_frames(path: Path) -> int:
    """How many frames an MP3 says that it has, in its first one (Xing, Info or VBRI); 0 if it does not."""
    with path.open("rb") as file:
        head = file.read(10)
        # A file may be nothing but such headers.
        for _ in range(_MOST_TAGS):
            if head[:3] != b"ID3" or len(head) != 10:
                break
            # Four bytes of seven bits; a footer repeats the header.
            size = sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
            file.seek(size + (10 if head[5] & 16 else 0), os.SEEK_CUR)
            head = file.read(10)
        head += file.read(4096)
    for name, place in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        at = head.find(name)
        if at >= 0 and (name == b"VBRI" or int.from_bytes(head[at + 4 : at + 8], "big") & 1):
            return int.from_bytes(head[at + place : at + place + 4], "big")
    return 0


def _riff_bytes(path: Path) -> int:
    """How many bytes a WAV file says that it has; 0 if it does not, as one that was streamed."""
    with path.open("rb") as file:
        head = file.read(8)
    size = int.from_bytes(head[4:], "little")
    # Streams write the largest number of 31 or 32 bits, or almost.
    return size + 8 if head[:4] == b"RIFF" and size < 0x7FFF0000 else 0


def _shape(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _resampled(frames: Iterable[av.AudioFrame]) -> np.ndarray:
    """Frames of one shape, at ``RATE``, float32 [channels, samples]."""
    # Not a plane a channel: of eight or more, PyAV takes what lies behind their list for planes, too.
    resampler = av.AudioResampler(format="flt", rate=RATE)
    parts: list[av.AudioFrame] = []
    for frame in frames:
        # The resampler would fill what lies between two spans with silence.
        frame.pts = None
        parts += resampler.resample(frame)
    parts += resampler.resample(None)
    samples = np.concatenate([part.to_ndarray().reshape(part.samples, -1) for part in parts])
    return np.ascontiguousarray(samples.T)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
