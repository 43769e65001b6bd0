"""What a process does with a file: plays it, and turns what it gives into vectors."""

import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from erc_kedro import extractors
from erc_kedro.extractors import media
from erc_kedro.extractors.cache import Cache, Result, status
from erc_kedro.parameters import AudioParameters, RunnerParameters, VisualParameters

# So often, in seconds, a long job's results are kept, so that an interruption costs no more than that.
KEEP_S = 10.0


@dataclass(frozen=True)
class Settings:
    """What is extracted, and how; None for a modality that is not.

    Worker processes make their own extractors of it.
    """

    audio: AudioParameters | None
    visual: VisualParameters | None
    runner: RunnerParameters


@dataclass(frozen=True)
class Request:
    """What is wanted of one utterance from one file: the key of each modality's result."""

    row: int
    span: media.Span
    keys: dict[str, str]


@dataclass(frozen=True)
class Job:
    """A file as it was when its fingerprint, ``digest``, was taken, and what is wanted of it."""

    path: Path
    status: tuple[int, ...]
    digest: str
    requests: tuple[Request, ...]

    @property
    def keys(self) -> dict[tuple[int, str], str]:
        """The key of each row's and modality's result."""
        return {(request.row, m): key for request in self.requests for m, key in request.keys.items()}

    def keep(self, results: "Results", store: Cache) -> None:
        """Stores those of the job's results that are to last."""
        keys = self.keys
        store.put({keys[item]: result for item, result in results.items() if result.lasting}, self.digest)


Results = dict[tuple[int, str], Result]


@dataclass(frozen=True)
class Tools:
    """A process's extractors, and what each one's results depend on besides the file."""

    extractors: dict[str, Any]
    versions: dict[str, str]
    detector: Any


def tools(settings: Settings) -> Tools:
    """The extractors, each made once in each process.

    Raises:
        ExtractionError: one cannot be made from its parameters.
    """
    made: dict[str, Any] = {}
    versions = {}
    detector = None
    if settings.audio:
        made["audio"], versions["audio"] = _audio(settings.audio)
    if settings.visual:
        made["visual"], versions["visual"], detector = _visual(settings.visual)
    return Tools(made, versions, detector)


# By the parameters of one modality: with other workers, or beside another modality, it is the same model.
@cache
def _audio(parameters: AudioParameters) -> tuple[Any, str]:
    extractor = extractors.build("audio", parameters)
    return extractor, extractors.identity(extractor.metadata, parameters)


@cache
def _visual(parameters: VisualParameters) -> tuple[Any, str, Any]:
    import cv2

    from erc_kedro.extractors.visual import detection

    cv2.setNumThreads(1)
    extractor = extractors.build("visual", parameters)
    detector = detection.detector(parameters)
    identity = extractors.identity(extractor.metadata, parameters)
    return extractor, f"{identity} {detector.version}", detector


@contextmanager
def one_thread() -> Iterator[None]:
    """Numerical libraries keep to one thread, for there is a worker to every core."""
    with threadpool_limits(1):
        yield


def done(job: Job, settings: Settings, folder: Path | None) -> Results:
    """A job's results, in a worker process.

    Args:
        folder: of the cache, where what takes long is kept meanwhile; None where workers cannot reach it.
    """
    # Not a Dask worker, nor a process that somebody else runs us in: those are not ours to end.
    if multiprocessing.current_process().name.startswith("LokyProcess"):
        _settle()
    results: Results = {}

    def keep(some: Results) -> None:
        results.update(some)
        if folder is not None:
            with Cache(folder) as store:
                job.keep(some, store)

    with one_thread():
        results |= work(job, settings, tools(settings), keep)
    return results


@cache
def _settle() -> None:
    # What we say once, such as a licence, each worker need not say again.
    logging.getLogger("erc_kedro").setLevel(logging.ERROR)


def work(job: Job, settings: Settings, tools: Tools, keep: Callable[[Results], None]) -> Results:
    """Plays a file and turns what it gives into vectors, one utterance after the other.

    Args:
        keep: is given what is finished every ``KEEP_S``.

    Returns:
        what ``keep`` was not given.
    """
    results: Results = {}
    # Not by row: an utterance whose sound lies apart may name one file twice.
    left = dict(enumerate(job.requests))

    def refuse(bad: Result) -> None:
        results.update({(request.row, m): bad for request in left.values() for m in request.keys})

    kept = time.monotonic()
    try:
        for number, found in _played(job, settings, tools):
            row = left.pop(number).row
            results |= {(row, modality): result for modality, result in found.items()}
            if time.monotonic() - kept > KEEP_S and _is_unchanged(job):
                keep(results)
                results, kept = {}, time.monotonic()
    except media.Unusable as unusable:
        # On another machine, or a less busy one, it may be done in time.
        refuse(Result(unusable.reason, unusable.detail, lasting=unusable.reason != "too_slow"))
    except Exception as error:
        refuse(_failed(error, {}))
    if _is_unchanged(job):
        return results
    changed = Result("unreadable", "the file changed while it was read; run again", lasting=False)
    return dict.fromkeys(results, changed)


def _is_unchanged(job: Job) -> bool:
    try:
        return status(media.check(job.path)) == job.status
    except media.Unusable:
        return False


def _played(job: Job, settings: Settings, tools: Tools) -> Iterator[tuple[int, dict[str, Result]]]:
    """Each request's number in the job and results, as soon as the file was played to its end."""
    watchers: dict[int, _Watcher] = {}
    rate = settings.visual.frames_per_second if settings.visual else 1.0
    spans = [request.span for request in job.requests]
    for event in media.play(job.path, spans, rate, settings.runner.longest_s):
        request = job.requests[event.span]
        if isinstance(event, media.Picture):
            if event.span not in watchers:
                watchers[event.span] = _Watcher(tools, request.span.shared)
            watchers[event.span].see(event)
            continue
        found = {}
        if "audio" in request.keys:
            found["audio"] = _heard(event, tools)
        if "visual" in request.keys:
            watcher = watchers.pop(event.span, None) or _Watcher(tools, request.span.shared)
            found["visual"] = watcher.result(event)
        yield event.span, found


def _heard(event: media.Finished, tools: Tools) -> Result:
    facts: dict[str, Any] = {"seconds": event.seconds, "errors": event.errors}
    if isinstance(event.sound, media.Unusable):
        return Result(event.sound.reason, event.sound.detail, None, facts)
    sound = event.sound
    assert sound is not None
    facts["clipped"] = float((np.abs(sound) >= 0.999).mean())
    return _vector(tools.extractors["audio"], sound, facts, event.remark)


class _Watcher:
    """Follows the face of one utterance; an error costs this utterance, not the run."""

    def __init__(self, tools: Tools, shared: bool) -> None:
        from erc_kedro.extractors.visual.speaking import VoiceFollower
        from erc_kedro.extractors.visual.tracking import FaceFollower

        self._extractor = tools.extractors["visual"]
        kind = VoiceFollower if shared else FaceFollower
        self._follower = kind(tools.detector, getattr(self._extractor, "color", False))
        self._error: Exception | None = None

    def see(self, picture: media.Picture) -> None:
        if self._error is None:
            try:
                self._follower.see(picture)
            except Exception as error:
                self._error = error

    def result(self, event: media.Finished) -> Result:
        if event.video is None and self._error is None:
            try:
                doubt = self._follower.choose(event.sound)
            except Exception as error:
                self._error = error
        facts = {"frames": self._follower.seen, "with_face": self._follower.with_face, "errors": event.errors}
        if event.video is not None:
            return Result(event.video.reason, event.video.detail, None, facts)
        if self._error is not None:
            return _failed(self._error, facts)
        if doubt:
            return Result("whose_face", doubt, None, facts)
        track = self._follower.track()
        if track is None:
            return Result("no_face", f"no face in {self._follower.seen} frames", None, facts)
        return _vector(self._extractor, track, facts)


def _vector(extractor: Any, signal: Any, facts: dict[str, Any], remark: str = "") -> Result:
    try:
        [vector] = extractors.checked(extractor([signal]), 1, extractor.metadata)
    except Exception as error:
        return _failed(error, facts)
    return Result("ok", remark, vector, facts)


def _failed(error: Exception, facts: dict[str, Any]) -> Result:
    # Not lasting: the fault may be fixed in code or a library that is in no key.
    return Result("failed", f"{type(error).__name__}: {error}", None, facts, lasting=False)
