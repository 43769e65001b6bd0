"""From clips to vectors: speed, the share of decoding, the straightforward way beside it, cache and memory.

Every function without an underscore runs in its own process. Only what encodes words imports torch, so that
the start of the rest is its own.
"""

import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import count as counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import psutil

from erc_kedro import extractors
from erc_kedro.extractors import media, runner, text
from erc_kedro.extractors.base import RATE, FaceTrack, Line
from tests.defaults import AudioParameters, RunnerParameters, TextParameters, VisualParameters

SOUND_RATE, FPS = 44_100, 25
CONTENTS = 4
SAID = "you know what I never said that she would not come to the party and now they all think it was me"


def clips(folder: str, kind: str, count: int, size: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Makes media files, few contents in many files that all differ.

    Args:
        kind: the beginning of their names.
        size: width and height of the frames.
    """
    contents = []
    for number in range(min(count, CONTENTS)):
        path = Path(folder) / "content.mp4"
        _encode(path, number, size, seconds)
        contents.append(path.read_bytes())
        path.unlink()
    for number in range(count):
        # Readers skip this box of MP4, but the file's fingerprint is another.
        box = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        (Path(folder) / f"{kind}{number:04d}.mp4").write_bytes(contents[number % len(contents)] + box)
    bits = statistics.mean(map(len, contents)) * 8
    return {"count": count, "size": list(size), "seconds": seconds, "mbit_s": bits / seconds / 1e6}


def _encode(path: Path, number: int, size: tuple[int, int], seconds: float) -> None:
    """A photographed face that wanders over a moving, noisy picture, and something like a voice."""
    import cv2
    from skimage import data

    draw = np.random.default_rng(number)
    width, height = size
    ground = cv2.resize(data.coffee(), (width + width // 8, height + height // 8))
    ground = cv2.flip(ground, number % 3 - 1)
    side = round(height * (0.4 + 0.1 * number))
    face = cv2.resize(data.astronaut()[0:260, 90:350], (side, side))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.bit_rate = 2_000_000 * width * height // (1280 * 720)
        audio = container.add_stream("aac", rate=SOUND_RATE)
        audio.layout = "stereo"
        for index in range(max(1, round(seconds * FPS))):
            step = index % (height // 8)
            image = ground[step // 3 : step // 3 + height, step // 2 : step // 2 + width].copy()
            left, top = width // 4 + index % 160 * width // 1280, height // 5 + round(4 * np.sin(index / 9))
            image[top : top + side, left : left + side] = face
            noise = draw.integers(-6, 7, image.shape, dtype=np.int16)
            image = np.clip(image + noise, 0, 255).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        sound = _voice(draw, seconds, 110.0 + 35 * number)
        for first in range(0, len(sound), 1024):
            both = np.tile(sound[first : first + 1024], (2, 1))
            frame = av.AudioFrame.from_ndarray(both, "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, first, Fraction(1, SOUND_RATE)
            container.mux(audio.encode(frame))
        container.mux([*video.encode(None), *audio.encode(None)])


def _voice(draw: np.random.Generator, seconds: float, pitch: float) -> np.ndarray:
    """A tone that wavers and swells four times a second, with breath; float32 [samples]."""
    at = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    turns = np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * at))) / SOUND_RATE
    tone = sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 16))
    swell = np.clip(np.sin(2 * np.pi * 2 * at), 0, None)
    return (swell * 0.15 * tone + 0.01 * draw.normal(size=len(at))).astype(np.float32)


def speed(folder: str, what: str, workers: int, count: int, rounds: int) -> dict[str, Any]:
    """One kind of extraction: clips that are new, the same ones again, and the start of worker processes.

    Args:
        what: text, audio, visual or all.
        workers: processes for clips, threads for text.
    """
    extract = _Extraction(what, workers)
    ready = {"wall_s": time.time() - psutil.Process().create_time(), "cpu_s": time.process_time()}
    files, few = _files(folder, "clip")[:count], _files(folder, "small")[: 2 * workers]
    passes: dict[str, list[tuple[float, float]]] = {"start": [], "cold": [], "cached": []}
    with tempfile.TemporaryDirectory() as caches:
        extract(few, Path(caches, "warm"))
        for turn in range(rounds):
            new = Path(caches, str(turn))
            # Workers start anew with every call; little else happens when there is little to extract.
            starts = workers > 1 and what != "text"
            passes["start"].append(_used(extract, few, new / "few") if starts else (0.0, 0.0))
            passes["cold"].append(_used(extract, files, new))
            passes["cached"].append(_used(extract, files, new))
    cold, start = (np.array(passes[name]) for name in ("cold", "start"))
    wall, cpu = np.median(cold - start, axis=0).tolist()
    # Where the start is most of it, the difference is chance.
    told = bool((np.median(start, axis=0) < 2 * np.array([wall, cpu])).all())
    return {
        "what": what,
        "workers": workers,
        "clips": count,
        "ready": ready,
        "each": passes,
        **{name: _medians(each) for name, each in passes.items()},
        "clips_per_s": count / wall if told else None,
        "cpu_s_per_clip": cpu / count if told else None,
        "processor_share": cpu / wall / workers if told else None,
    }


def compare(folder: str, count: int, rounds: int) -> dict[str, Any]:
    """Processor seconds a clip of all three extractors, of decoding alone, and of the straightforward way.

    All in this one process, in turn, after one clip that is not timed.
    """
    extract, plain = _Extraction("all", 1), _Straightforward()
    ways: dict[str, Callable[[list[Path], Path], None]] = {
        "all": extract,
        "decoding_sound": lambda files, _: _decode(files, media.Span(frames=False)),
        "decoding_frames": lambda files, _: _decode(files, media.Span(sound=False)),
        "decoding_both": lambda files, _: _decode(files, media.Span()),
        "plain_text": lambda files, _: plain.text(files),
        "plain_audio": lambda files, _: plain.audio(files),
        "plain_visual": lambda files, _: plain.visual(files),
    }
    each: dict[str, list[float]] = {name: [] for name in [*ways, "plain_detection"]}
    files = _files(folder, "clip")[:count]
    with tempfile.TemporaryDirectory() as caches:
        for turn in range(1 + rounds):
            some = files if turn else files[:1]
            plain.detection = 0.0
            for name, way in ways.items():
                cpu = _used(way, some, Path(caches, str(turn)))[1]
                each[name].append(cpu / len(some))
            each["plain_detection"].append(plain.detection / len(some))
    each = {name: values[1:] for name, values in each.items()}
    each["plain"] = [sum(parts) for parts in zip(*(each[f"plain_{m}"] for m in _MODALITIES), strict=True)]
    return {
        "clips": count,
        "rounds": rounds,
        "cpu_s_per_clip": {name: statistics.median(values) for name, values in each.items()},
        "cpu_s_per_clip_each": each,
        "plain_is_times": _ratio(each["plain"], each["all"]),
        "decoding_share": {
            kind: _ratio(each[f"decoding_{kind}"], each["all"]) for kind in ("sound", "frames", "both")
        },
    }


def cached(folder: str, cache: str, count: int, workers: int, repeats: int) -> dict[str, Any]:
    """Wall-clock seconds of whole calls of ``runner.extract``; the first also makes the extractors."""
    table = _table(_files(folder, "small")[:count])
    settings = _settings("all", workers)
    return {
        "clips": len(table),
        "wall_s_each": [_used(_extract, table, settings, Path(cache))[0] for _ in range(repeats)],
    }


def memory(folder: str, count: int, workers: int) -> dict[str, Any]:
    """Peaks in RAM, in MiB, of this process and of its largest worker while clips are worked through."""
    from benchmarks import machine

    extract = _Extraction("all", workers)
    before = machine.resident()
    machine.reset_peak()
    with _watched_workers() as peaks, tempfile.TemporaryDirectory() as cache:
        extract(_files(folder, "clip")[:count], Path(cache))
    return {"clips": count, "before": before, "parent": machine.peak(), "worker": max(peaks.values())}


_MODALITIES = ("text", "audio", "visual")


class _Extraction:
    """The default extractors, made and ready, as the pipeline calls them."""

    def __init__(self, what: str, workers: int) -> None:
        self._text: Any = None
        if what in ("text", "all"):
            import torch

            torch.set_num_threads(workers)
            self._text = extractors.build("text", TextParameters())
        self._settings = _settings(what, workers)
        self._clips = what != "text"
        if self._clips:
            runner.metadata(self._settings)

    def __call__(self, files: list[Path], cache: Path) -> None:
        if self._text:
            text.vectors(self._text, _lines(len(files)), cache, TextParameters())
        if self._clips:
            _extract(_table(files), self._settings, cache)


class _Straightforward:
    """Each modality by itself, each opening and decoding every file from front to back.

    Attributes:
        detection: processor seconds so far of looking for faces.
    """

    def __init__(self) -> None:
        import cv2

        # Sampling rate, crops and descriptors are ours: other ones would be another task.
        self._parameters = VisualParameters()
        self._text = extractors.build("text", TextParameters())
        self._audio = extractors.build("audio", AudioParameters())
        self._visual = extractors.build("visual", self._parameters)
        cascade = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
        self._cascade = cv2.CascadeClassifier(str(cascade))
        self.detection = 0.0

    def text(self, files: list[Path]) -> None:
        for line in _lines(len(files)):
            self._text([line])

    def audio(self, files: list[Path]) -> None:
        for path in files:
            with av.open(str(path)) as container:
                resampler = av.AudioResampler(format="fltp", rate=RATE)
                frames = [*container.decode(audio=0), None]
                parts = [part.to_ndarray().mean(0) for frame in frames for part in resampler.resample(frame)]
            self._audio([np.concatenate(parts)])

    def visual(self, files: list[Path]) -> None:
        for path in files:
            self._visual([self._track(path)])

    def _track(self, path: Path) -> FaceTrack:
        import cv2

        from erc_kedro.extractors.visual import crops as cropping

        crops, boxes, times = [], [], []
        wanted = counter()
        following = next(wanted)
        with av.open(str(path)) as container:
            # Several threads would do the same work with some more processor time.
            container.streams.video[0].codec_context.thread_count = 1
            for frame in container.decode(video=0):
                if frame.time < following / self._parameters.frames_per_second - 1e-3:
                    continue
                following = next(wanted)
                gray = cv2.cvtColor(frame.to_ndarray(format="rgb24"), cv2.COLOR_RGB2GRAY)
                started = time.process_time()
                found = self._cascade.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=3)
                self.detection += time.process_time() - started
                if len(found):
                    box = np.array(max(found, key=lambda box: box[3]), np.float64)
                    crops.append(cropping.cut(gray, box, cropping.GRAY))
                    boxes.append(box / np.tile(gray.shape[::-1], 2))
                    times.append(frame.time)
        places = np.stack(boxes).astype(np.float32)
        return FaceTrack(np.stack(crops), None, places, np.array(times, np.float32))


def _decode(files: list[Path], span: media.Span) -> None:
    for path in files:
        for _ in media.play(path, [span], VisualParameters().frames_per_second, RunnerParameters().longest_s):
            pass


def _settings(what: str, workers: int) -> runner.Settings:
    return runner.Settings(
        AudioParameters() if what in ("audio", "all") else None,
        VisualParameters() if what in ("visual", "all") else None,
        RunnerParameters(n_jobs=workers),
    )


def _files(folder: str, kind: str) -> list[Path]:
    return sorted(Path(folder).glob(f"{kind}*.mp4"))


def _table(files: list[Path]) -> pd.DataFrame:
    nothing = dict.fromkeys(["clip_start_s", "clip_end_s", "wav", "frame_side"])
    return pd.DataFrame([{"clip": str(path), **nothing} for path in files])


def _lines(count: int) -> list[Line]:
    """What might have been said, 4 to 20 words each."""
    draw, words = np.random.default_rng(0), SAID.split()
    return [Line(" ".join(draw.choice(words, draw.integers(4, 21)))) for _ in range(count)]


def _extract(table: pd.DataFrame, settings: runner.Settings, cache: Path) -> None:
    """Refuses to have been quick because there was nothing to do: every clip must give every vector."""
    for modality, (_, results) in runner.extract(table, settings, cache).items():
        reasons = {result.reason for result in results}
        if reasons != {"ok"}:
            raise RuntimeError(f"{modality} of generated clips: {', '.join(sorted(reasons))}")


def _used(action: Callable[..., None], *given: Any) -> tuple[float, float]:
    """Wall-clock and processor seconds of a call, its worker processes included."""
    # What others of this process have begun, such as tests, may never end.
    known = {*threading.enumerate()}
    before, started = _processor(), time.perf_counter()
    action(*given)
    wall = time.perf_counter() - started
    # The system counts a child only once it has ended and been waited for, which these threads of loky do.
    for thread in {*threading.enumerate()} - known:
        if thread.name == "ExecutorManagerThread":
            thread.join()
    return wall, _processor() - before


def _processor() -> float:
    """Processor seconds of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _medians(passes: list[tuple[float, float]]) -> dict[str, float]:
    wall, cpu = np.median(passes, axis=0).tolist()
    return {"wall_s": wall, "cpu_s": cpu}


def _ratio(above: list[float], below: list[float]) -> float:
    """The median over rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


@contextmanager
def _watched_workers() -> Iterator[dict[int, float]]:
    """The most that each child process had in RAM, in MiB by its id, looked up every 20 ms."""
    peaks: dict[int, float] = {}
    over = threading.Event()
    own = psutil.Process()

    def watch() -> None:
        while not over.wait(0.02):
            for child in own.children():
                with suppress(psutil.Error):
                    # Until it becomes another program, a new child shows its parent's memory.
                    if child.cmdline() != own.cmdline():
                        peaks[child.pid] = max(peaks.get(child.pid, 0.0), child.memory_info().rss / 2**20)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        over.set()
        watcher.join()
