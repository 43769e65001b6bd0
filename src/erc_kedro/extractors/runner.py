"""Clips to vectors: every file decoded once, in parallel, and never a second time while nothing changed."""

import itertools
import logging
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool
from threadpoolctl import threadpool_limits

from erc_kedro import extractors, processes, surroundings
from erc_kedro.extractors import media
from erc_kedro.extractors.base import ExtractionError, Metadata, fingerprint
from erc_kedro.extractors.cache import Cache, Result, status
from erc_kedro.parameters import AudioParameters, RunnerParameters, VisualParameters
from erc_kedro.progress import bar as progress_bar

# A long recording is shared out in parts, so that it has more than one worker and a run can go on halfway;
# not in more, since each of them decodes the sound before it again.
_PART_S, _MOST_PARTS = 600.0, 8


@dataclass(frozen=True)
class Settings:
    """What is extracted, and how; None for a modality that is not.

    Worker processes make their own extractors of it.
    """

    audio: AudioParameters | None
    visual: VisualParameters | None
    runner: RunnerParameters


@dataclass(frozen=True)
class _Request:
    """What is wanted of one utterance from one file: the key of each modality's result."""

    row: int
    span: media.Span
    keys: dict[str, str]


@dataclass(frozen=True)
class _Job:
    """A file as it was when its fingerprint was taken, and what is wanted of it."""

    path: Path
    status: tuple[int, ...]
    requests: tuple[_Request, ...]


Results = dict[tuple[int, str], Result]


def extract(
    utterances: pd.DataFrame, settings: Settings, folder: Path
) -> dict[str, tuple[Metadata, list[Result]]]:
    """Audio and visual vectors of every utterance.

    Args:
        utterances: with clip, clip_start_s, clip_end_s, wav and frame_side.
        settings: of the extractors and the runner.
        folder: of the cache; what it holds is not extracted again.

    Returns:
        modality to its extractor's metadata and one result an utterance, in the table's order.

    Raises:
        ExtractionError: an extractor cannot be made from its parameters, the cache not be written, or the
            Dask cluster not be reached.
    """
    results: Results = {}
    kept = Cache(folder)
    try:
        with _one_thread():
            tools = _tools(settings)
            jobs = _jobs(utterances, settings, tools, kept, results)
            if jobs:
                _work_through(jobs, settings, kept, results)
    finally:
        kept.close()
    return {
        modality: (extractor.metadata, [results[row, modality] for row in range(len(utterances))])
        for modality, extractor in tools.extractors.items()
    }


def metadata(settings: Settings) -> dict[str, Metadata]:
    """What the extractors of the settings say of themselves, by modality.

    Raises:
        ExtractionError: one cannot be made.
    """
    with _one_thread():
        made = _tools(settings).extractors
    return {modality: extractor.metadata for modality, extractor in made.items()}


@dataclass(frozen=True)
class _Tools:
    """A process's extractors, and what each one's results depend on besides the file."""

    extractors: dict[str, Any]
    versions: dict[str, str]
    detector: Any


@cache
def _tools(settings: Settings) -> _Tools:
    made: dict[str, Any] = {}
    versions = {}
    detector = None
    if settings.audio:
        made["audio"] = extractors.build("audio", settings.audio)
        versions["audio"] = extractors.identity(made["audio"].metadata, settings.audio)
    if settings.visual:
        import cv2

        from erc_kedro.extractors.visual import detection

        cv2.setNumThreads(1)
        made["visual"] = extractors.build("visual", settings.visual)
        detector = detection.detector(settings.visual)
        identity = extractors.identity(made["visual"].metadata, settings.visual)
        versions["visual"] = f"{identity} {detector.version}"
    return _Tools(made, versions, detector)


def _jobs(
    utterances: pd.DataFrame, settings: Settings, tools: _Tools, kept: Cache, results: Results
) -> list[_Job]:
    """Files with what is still wanted of them; what is known already goes straight into ``results``."""
    wanted: dict[Path, list[tuple[int, media.Span]]] = {}
    rows = utterances[["clip", "clip_start_s", "clip_end_s", "wav", "frame_side"]].astype(object)
    rows = rows.where(rows.notna(), None)
    for row, (clip, start, end, wav, side) in enumerate(rows.itertuples(index=False, name=None)):
        own_sound = wav is not None and "audio" in tools.versions
        if own_sound:
            wanted.setdefault(Path(wav), []).append((row, media.Span(frames=False)))
        span = media.Span(
            start, end, side, "audio" in tools.versions and not own_sound, "visual" in tools.versions
        )
        if clip is not None and (span.sound or span.frames):
            wanted.setdefault(Path(clip), []).append((row, span))
        elif clip is None:
            named_none = Result("no_media", "the corpus names no file")
            results |= {(row, modality): named_none for modality in _modalities(span)}

    def refuse(path: Path, result: Result) -> None:
        for row, span in wanted[path]:
            results.update({(row, modality): result for modality in _modalities(span)})

    files = {}
    for path in wanted:
        try:
            files[path] = media.check(path)
        except media.Unusable as unusable:
            refuse(path, Result(unusable.reason, unusable.detail))
    jobs = []
    with progress_bar(len(files), "Fingerprints of media files", "file") as bar:
        for path, digest in kept.digests(files, os.cpu_count() or 1):
            bar.update()
            if digest is None:
                refuse(path, Result("unreadable", "the file cannot be read"))
                continue
            requests = [
                _Request(row, span, {m: _key(digest, span, m, settings, tools) for m in _modalities(span)})
                for row, span in wanted[path]
            ]
            known = kept.get(key for request in requests for key in request.keys.values())
            left = []
            for request in requests:
                results |= {(request.row, m): known[key] for m, key in request.keys.items() if key in known}
                keys = {m: key for m, key in request.keys.items() if key not in known}
                if keys:
                    span = replace(request.span, sound="audio" in keys, frames="visual" in keys)
                    left.append(_Request(request.row, span, keys))
            jobs += [_Job(path, status(files[path]), part) for part in _parts(left)]
    return jobs


def _modalities(span: media.Span) -> list[str]:
    return ["audio"] * span.sound + ["visual"] * span.frames


def _parts(requests: list[_Request]) -> list[tuple[_Request, ...]]:
    def start(request: _Request) -> float:
        return request.span.start_s or 0.0

    length = max(_PART_S, max(map(start, requests), default=0.0) / _MOST_PARTS)
    parts = itertools.groupby(
        sorted(requests, key=start), lambda request: min(start(request) // length, _MOST_PARTS - 1)
    )
    return [tuple(part) for _, part in parts]


def _key(digest: str, span: media.Span, modality: str, settings: Settings, tools: _Tools) -> str:
    side = span.side if modality == "visual" else None
    where = f"{span.start_s} {span.end_s} {side} {settings.runner.longest_s}"
    decoding = f"{media.VERSION} PyAV {av.__version__}"
    return fingerprint(digest, modality, where, decoding, tools.versions[modality])


def _work_through(jobs: list[_Job], settings: Settings, kept: Cache, results: Results) -> None:
    left = dict(enumerate(jobs))
    with progress_bar(sum(len(job.requests) for job in jobs), "Extracting from clips", "utt") as bar:

        def keep(number: int, made: Results) -> None:
            job = left.pop(number)
            keys = {(request.row, m): key for request in job.requests for m, key in request.keys.items()}
            kept.put({keys[item]: result for item, result in made.items() if result.lasting})
            results.update(made)
            bar.update(len(job.requests))

        while left:
            try:
                for number, made in _in_parallel(left, settings):
                    keep(number, made)
            except BrokenProcessPool:
                # A worker died of one of the files in flight; these are the first of what is left.
                for number in list(left)[: 4 * _workers(settings.runner)]:
                    keep(number, _alone(left[number], settings))


def _in_parallel(jobs: dict[int, _Job], settings: Settings) -> Iterator[tuple[int, Results]]:
    runner = settings.runner
    calls = [delayed(_numbered)(number, job, settings) for number, job in jobs.items()]
    with _backend(runner):
        parallel = Parallel(
            n_jobs=-1 if runner.backend == "dask" else _workers(runner),
            return_as="generator_unordered",
            batch_size=1,
        )
        try:
            yield from parallel(calls)
        finally:
            # Else idle workers would hold their memory while models are trained.
            if runner.backend == "loky" and _workers(runner) > 1:
                get_reusable_executor(reuse=True).shutdown()


@contextmanager
def _backend(runner: RunnerParameters) -> Iterator[None]:
    if runner.backend == "loky":
        # One works here; loky itself would need semaphores, which not every machine has.
        alone = _workers(runner) == 1
        options = {"inner_max_num_threads": 1, **processes.pool_options()}
        with nullcontext() if alone else parallel_config(backend="loky", **options):
            yield
        return
    client = processes.dask_client(runner.address, "features.runner", ExtractionError)
    with client, parallel_config(backend="dask", client=client):
        yield


def _workers(runner: RunnerParameters) -> int:
    asked = surroundings.workers(runner.n_jobs, "features.runner.n_jobs")
    return asked if asked > 0 else os.cpu_count() or 1


def _alone(job: _Job, settings: Settings) -> Results:
    """A job in a process of its own, so that it can only end itself."""
    pool = ProcessPoolExecutor(max_workers=1, **processes.pool_options())
    try:
        return pool.submit(_numbered, 0, job, settings).result()[1]
    except BrokenProcessPool:
        ended = Result("unreadable", "the process that decoded it died", lasting=False)
        return {(request.row, m): ended for request in job.requests for m in request.keys}
    finally:
        # An interruption must not wait for the rest of the file.
        pool.shutdown(kill_workers=True)


def _numbered(number: int, job: _Job, settings: Settings) -> tuple[int, Results]:
    # Not a Dask worker, nor a process that somebody else runs us in: those are not ours to end.
    if multiprocessing.current_process().name.startswith("LokyProcess"):
        _settle_as_worker()
    with _one_thread():
        return number, _work(job, settings, _tools(settings))


@cache
def _settle_as_worker() -> None:
    # What we say once, such as a licence, each worker need not say again.
    logging.getLogger("erc_kedro").setLevel(logging.ERROR)


def _work(job: _Job, settings: Settings, tools: _Tools) -> Results:
    """Plays a file and turns what it gives into vectors, one utterance after the other."""
    results: Results = {}
    followers: dict[int, _Watcher] = {}
    rate = settings.visual.frames_per_second if settings.visual else 1.0
    spans = [request.span for request in job.requests]
    try:
        for event in media.play(job.path, spans, rate, settings.runner.longest_s):
            row = job.requests[event.span].row
            if isinstance(event, media.Picture):
                if event.span not in followers:
                    followers[event.span] = _Watcher(tools)
                followers[event.span].see(event)
                continue
            if spans[event.span].sound:
                results[row, "audio"] = _heard(event, tools)
            if spans[event.span].frames:
                watcher = followers.pop(event.span, None) or _Watcher(tools)
                results[row, "visual"] = watcher.result(event)
    except media.Unusable as unusable:
        # On another machine, or a less busy one, it may be done in time.
        lasting = unusable.reason != "too_slow"
        bad = Result(unusable.reason, unusable.detail, lasting=lasting)
        results |= {(request.row, m): bad for request in job.requests for m in request.keys}
    except Exception as error:
        bad = _failed(error, {})
        results |= {(request.row, m): bad for request in job.requests for m in request.keys}
    try:
        unchanged = status(media.check(job.path)) == job.status
    except media.Unusable:
        unchanged = False
    if unchanged:
        return results
    changed = Result("unreadable", "the file changed while it was read; run again", lasting=False)
    return dict.fromkeys(results, changed)


def _heard(event: media.Finished, tools: _Tools) -> Result:
    facts: dict[str, Any] = {"seconds": event.seconds, "errors": event.errors}
    if isinstance(event.sound, media.Unusable):
        return Result(event.sound.reason, event.sound.detail, None, facts)
    sound = event.sound
    assert sound is not None
    facts["clipped"] = float((np.abs(sound) >= 0.999).mean())
    return _vector(tools.extractors["audio"], sound, facts, event.remark)


class _Watcher:
    """Follows the face of one utterance; an error costs this utterance, not the run."""

    def __init__(self, tools: _Tools) -> None:
        from erc_kedro.extractors.visual.tracking import FaceFollower

        self._extractor = tools.extractors["visual"]
        self._follower = FaceFollower(tools.detector, getattr(self._extractor, "color", False))
        self._error: Exception | None = None

    def see(self, picture: media.Picture) -> None:
        if self._error is None:
            try:
                self._follower.see(picture)
            except Exception as error:
                self._error = error

    def result(self, event: media.Finished) -> Result:
        facts = {"frames": self._follower.seen, "with_face": self._follower.with_face, "errors": event.errors}
        if event.video is not None:
            return Result(event.video.reason, event.video.detail, None, facts)
        if self._error is not None:
            return _failed(self._error, facts)
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


@contextmanager
def _one_thread() -> Iterator[None]:
    """Numerical libraries keep to one thread, for there is a worker to every core."""
    with threadpool_limits(1):
        yield
