"""A file played from front to back for all the utterances in it."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from erc_kedro.extractors.base import RATE, Sound
from erc_kedro.extractors.media import containers, refusals, sound
from erc_kedro.extractors.media.budget import Watched
from erc_kedro.extractors.media.refusals import PADDING_S
from erc_kedro.extractors.media.signals import GLANCES, Finished, Picture, Span, Unusable

# Part of every key: raise it when the same file may give another sound or other pictures.
VERSION = 1
# Where files were joined, time begins again: it goes back by more than this, to less than twice as much.
RESTART_S = 1.0
# Larger pictures are no video's: 8K has half of it.
MOST_PIXELS = 1 << 26
# Pictures are decoded from so much before the first that is wanted, for codecs reorder them; and no more
# packets than this wait for that.
EARLIER_S, MOST_WAITING = 1.0, 500
# Streams of one file lie side by side in it; one that is so far behind the other has ended.
BEHIND_S = 30.0
# With so many frames for each picture, those that no other frame refers to need not be decoded.
SKIPPING = 5.0


@dataclass
class _Utterance:
    """The state of one span while its file is played."""

    index: int
    span: Span
    start: float
    end: float
    next_picture: float
    next_glance: float
    heard: list[tuple[float, av.AudioFrame]] = field(default_factory=list)
    pictures: int = 0


def play(
    path: Path, spans: Sequence[Span], frames_per_second: float, longest_s: float
) -> Iterator[Picture | Finished]:
    """Decodes a file once, from front to back, for all the utterances in it.

    What an utterance gets does not depend on the others: sound is always decoded from the file's beginning,
    since a decoder that is put down anywhere else starts with garbage, draws other noise than it would have,
    and in many containers is not where its clock says. Pictures are decoded from the last key frame before.

    Args:
        path: a file that ``check`` has passed.
        spans: utterances, in any order; they may overlap. Whether frames are shared is the same for all, for
            it decides which ones are decoded.
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
            watched = Watched(file)
            with containers.opened(watched) as container:
                watched.check()
                player = _Player(path, watched, container, spans, frames_per_second, longest_s)
                for event in player.play():
                    with watched.paused():
                        yield event
    except OSError as error:
        raise Unusable("unreadable", containers.said(error)) from error


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
            if time < 2 * RESTART_S and at < self.now - RESTART_S:
                self._part += 1
                if self._part == len(self._shifts):
                    self._shifts.append(self.now - time)
                at = time + self._shifts[self._part]
        self.now = max(self.now, at + lasts)
        return at


class _Player:
    def __init__(
        self,
        path: Path,
        file: Watched,
        container: Any,
        spans: Sequence[Span],
        frames_per_second: float,
        longest_s: float,
    ) -> None:
        if not container.streams:
            raise Unusable("unreadable", "there is no stream in it")
        self._file = file
        self._container = container
        self._interval = 1 / frames_per_second
        self._longest = longest_s
        # Those to come. Sorted, so that whoever meets one that begins later need not look at the rest.
        self._left = sorted(
            (self._utterance(index, span) for index, span in enumerate(spans)), key=lambda u: (u.start, u.end)
        )
        self._watched = [utterance for utterance in self._left if utterance.span.frames]
        self._last = max((utterance.end for utterance in self._left), default=0.0)
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
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        video = self._streams["frames"]
        most = max(frames_per_second, GLANCES if any(span.shared for span in spans) else 0)
        if video and float(video.average_rate or 0) >= SKIPPING * most:
            # The first frame is always one that others refer to, so that a single one is not lost.
            video.codec_context.skip_frame = "NONREF"
        # How long a picture is shown where its file does not say when.
        self._tick = 1 / float((video and video.guessed_rate) or 25)
        origin, shifts = (container.start_time or 0) / av.time_base, [0.0]
        # Until when packets reached: a file that breaks off ends early without an error.
        self._packed = {kind: _Clock(origin, shifts) for kind in self._streams}
        self._decoded = {kind: _Clock(origin, shifts) for kind in self._streams}
        self._stated = {
            kind: containers.stated_s(path, container, stream, video) if stream else math.inf
            for kind, stream in self._streams.items()
        }

    def play(self) -> Iterator[Picture | Finished]:
        left = self._left
        kinds = [kind for kind, s in self._streams.items() if s and any(getattr(u.span, kind) for u in left)]
        now = dict.fromkeys(kinds, -math.inf)
        for kind, frame in self._frames(kinds):
            lasts = frame.samples / frame.sample_rate if kind == "sound" else 1e-3
            time = now[kind] = self._decoded[kind].at(frame.time, lasts if kind == "sound" else self._tick)
            over = {k for k in kinds if self._is_over(k)}
            done = []
            for utterance in left:
                if utterance.start > time + lasts:
                    break
                if all(now[k] >= utterance.end or k in over for k in kinds if getattr(utterance.span, k)):
                    done.append(utterance)
                elif time >= utterance.end or not getattr(utterance.span, kind):
                    continue
                elif kind == "sound":
                    if time + lasts > utterance.start:
                        utterance.heard.append((time, frame))
                elif (picture := self._picture(utterance, time, frame)) is not None:
                    yield picture
            for utterance in done:
                left.remove(utterance)
                if utterance.span.frames:
                    self._watched.remove(utterance)
                yield self._finish(utterance, ended=bool(over))
            if not left:
                return
        for utterance in left:
            yield self._finish(utterance, ended=True)

    def _utterance(self, index: int, span: Span) -> _Utterance:
        start = span.start_s or 0.0
        end = math.inf if span.end_s is None else span.end_s
        glance = start if span.shared else math.inf
        return _Utterance(index, span, start, min(end, start + self._longest), start, glance)

    def _is_over(self, kind: str) -> bool:
        """Whether a stream has ended long before the other; utterances then wait for it no longer.

        Else all that are left would be held in memory until the other ends, too.
        """
        return self._packed[kind].now < max(clock.now for clock in self._packed.values()) - BEHIND_S

    def _picture(self, utterance: _Utterance, time: float, frame: av.VideoFrame) -> Picture | None:
        """The frame as the utterance's next picture, if it is time for one."""

        def after(interval: float) -> float:
            steps = math.floor((time - utterance.start + 1e-3) / interval) + 1
            return utterance.start + steps * interval

        wanted, glance = time >= utterance.next_picture - 1e-3, time >= utterance.next_glance - 1e-3
        if not wanted and not glance:
            return None
        if wanted:
            utterance.next_picture = after(self._interval)
            utterance.pictures += 1
        if glance:
            utterance.next_glance = after(1 / GLANCES)
        return Picture(utterance.index, time - utterance.start, frame, utterance.span.side, not wanted)

    def _frames(self, kinds: list[str]) -> Iterator[tuple[str, Any]]:
        """Decoded frames of the wanted streams; a packet that cannot be decoded is counted and left.

        Of pictures, only those that an utterance may still want, and what these refer to.
        """
        waiting: list[Any] = []
        skipped = False
        for kind, packet in self._packets(kinds):
            packets = [packet]
            time = packet.dts if packet.pts is None else packet.pts
            lasts = float((packet.duration or 0) * packet.time_base)
            at = self._packed[kind].at(None if time is None else float(time * packet.time_base), lasts)
            # Beyond what is wanted, no claim of a later time buys more.
            self._file.allow(min(at, self._last))
            self._file.check()
            if kind == "frames":
                first = self._watched[0].start if self._watched else math.inf
                if time is not None and at < first - EARLIER_S and len(waiting) < MOST_WAITING:
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
        heard: Sound | Unusable | None = None
        seconds = 0.0
        remarks: list[str] = []
        if utterance.span.sound:
            try:
                samples, remarks = self._sound(utterance, ended)
                seconds = len(samples) / RATE
                heard = samples
                self._refuse_missing(utterance, "sound", seconds, not seconds)
                refusals.refuse_unheard(samples)
                missing = utterance.end - utterance.start - seconds
                if utterance.span.end_s is not None and missing > PADDING_S:
                    remarks.append(f"its last {missing:.2f} s are not in the file")
            except Unusable as unusable:
                heard = unusable
        video = None
        if utterance.span.frames:
            try:
                self._require("frames")
                reached = self._packed["frames"].now - utterance.start
                self._refuse_missing(utterance, "frames", reached, not utterance.pictures)
            except Unusable as unusable:
                video = unusable
        utterance.heard.clear()
        return Finished(utterance.index, heard, video, seconds, dict(self._errors), "; ".join(remarks))

    def _require(self, kind: str) -> None:
        if self._streams[kind] is None:
            name = {"sound": "audio", "frames": "video"}[kind]
            raise Unusable(f"no_{name}", f"the file has no {name} stream")

    def _sound(self, utterance: _Utterance, ended: bool) -> tuple[Sound, list[str]]:
        self._require("sound")
        if not utterance.heard:
            return np.zeros(0, np.float32), []
        samples, remarks = sound.joined([frame for _, frame in utterance.heard], utterance.span.channel)
        offset = utterance.heard[0][0]
        first = max(0, round((utterance.start - offset) * RATE))
        # Codecs of whole blocks pad the last one; a declared end that is far off is not believed.
        declared = self._stated["sound"] if ended else math.inf
        padding = offset + len(samples) / RATE - declared
        end = declared if 0 < padding < PADDING_S else math.inf
        end = min(end, utterance.end)
        last = len(samples) if end == math.inf else round((end - offset) * RATE)
        return np.ascontiguousarray(samples[first : max(first, last)]), remarks

    def _refuse_missing(self, utterance: _Utterance, kind: str, reached: float, nothing: bool) -> None:
        refusals.refuse_missing(
            utterance.start,
            utterance.end,
            reached,
            nothing,
            self._stated[kind],
            self._packed[kind].now,
            self._errors,
        )
