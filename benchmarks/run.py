"""The driver of ``make bench``: runs the parts, each measurement in its own process, and writes the figures.

It imports neither torch nor the project, so that its own memory and threads disturb nothing.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.overhead import overhead
from benchmarks.shapes import SHAPES, Shape, equal_dialogues

REPOSITORY = Path(__file__).resolve().parents[1]
# Git ignores what lies there.
RESULTS = REPOSITORY / "data" / "08_reporting" / "bench"
# Set by --threads.
threads_tried = [2, 1]

_started = time.monotonic()


def main() -> None:
    """Runs the parts asked for; the others keep the figures of an earlier call."""
    parser = argparse.ArgumentParser(description="Measures speed, memory, growth and overhead.")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a look; leaves out overhead")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        default=threads_tried,
        help="of training and inference, one measurement each; the first also for baselines (default: 2 1)",
    )
    asked = parser.parse_args()
    threads_tried[:] = asked.threads
    parts = asked.only or [name for name in PARTS if not (asked.quick and name == "overhead")]
    RESULTS.mkdir(parents=True, exist_ok=True)
    # Quick figures must not take the place of real ones.
    path = RESULTS / ("quick.json" if asked.quick else "bench.json")
    for name in parts:
        began, machine = time.monotonic(), _machine()
        say(f"{name}{' (quick)' if asked.quick else ''}")
        figures = PARTS[name](asked.quick)
        # Read late, since another call may have written another part meanwhile.
        results = json.loads(path.read_text("utf-8")) if path.exists() else {}
        results[name] = {
            "quick": asked.quick,
            "finished": time.strftime("%Y-%m-%d %H:%M"),
            "took_s": round(time.monotonic() - began, 1),
            "machine": machine,
            "figures": figures,
        }
        path.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
        path.with_suffix(".md").write_text(page.page(results), "utf-8")
        print("\n" + page.part(name, results[name]), flush=True)
    say(f"written: {path.relative_to(REPOSITORY)} and the tables in {path.stem}.md beside it")


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.monotonic() - _started:5.0f} s  {text}", flush=True)


def measure(task: str, shape: Shape | None = None, **arguments: Any) -> Any:
    """A task of ``benchmarks.child`` in a fresh process with the threads that it asks for, or one."""
    threads = str(arguments.get("threads", 1))
    given = {"shape": asdict(shape), **arguments} if shape else arguments
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", task, json.dumps(given)],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            # Bars of many short calls would bury the lines above them.
            "TQDM_DISABLE": "1",
        },
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    if done.returncode:
        raise SystemExit(f"benchmarks: {task} failed; its error is above")
    return json.loads(done.stdout.splitlines()[-1])


def speed(quick: bool) -> dict[str, Any]:
    """Training and inference of both shapes."""
    figures: dict[str, Any] = {}
    for name, whole in SHAPES.items():
        shape = whole.times(0.05) if quick else whole
        say(f"  {name}: parameters, padding, arithmetic")
        figures[name] = {"shape": asdict(shape), "work": measure("work", shape), "train": [], "infer": []}
        for threads in threads_tried[:1] if quick else threads_tried:
            say(f"  {name}: training, threads: {threads}")
            epochs = 1 if quick else 4
            figures[name]["train"].append(measure("train", shape, threads=threads, epochs=epochs))
            say(f"  {name}: inference, threads: {threads}")
            repeats, singles = (1, 20) if quick else (3, 200)
            figures[name]["infer"].append(
                measure("infer", shape, threads=threads, repeats=repeats, singles=singles)
            )
    return figures


def length(quick: bool) -> dict[str, Any]:
    """Longer dialogues, equally many utterances."""
    utterances, lengths = (512, (8, 64)) if quick else (4096, (8, 16, 32, 64, 128, 256, 512))
    figures: dict[str, Any] = {"utterances": utterances, "rows": []}
    for each in lengths:
        say(f"  dialogues of {each} utterances")
        row = measure("train", equal_dialogues(each, utterances), threads=1, epochs=1 if quick else 2)
        figures["rows"].append({"length": each, **row})
    return figures


def corpus(quick: bool) -> dict[str, Any]:
    """More dialogues of MELD's lengths; all in memory, all predicted, an epoch cut short."""
    base = SHAPES["meld"].times(0.05) if quick else SHAPES["meld"]
    batches = 2 if quick else 12
    figures: dict[str, Any] = {"batches_an_epoch": batches, "rows": []}
    for times in (1, 4) if quick else (1, 2, 4, 8, 16):
        shape = base.times(times)
        say(f"  {shape.utterances} utterances")
        row = measure("train", shape, threads=1, epochs=1 if quick else 3, most=batches)
        figures["rows"].append({"times": times, "utterances": shape.utterances, **row})
    return figures


def peers(quick: bool) -> dict[str, Any]:
    """The baselines on both shapes."""
    figures = {}
    for name, shape in SHAPES.items():
        say(f"  {name}: baselines in turn")
        rounds, most = (1, 1) if quick else (3, 6)
        shape = shape.times(0.05) if quick else shape
        figures[name] = measure("peers", shape, threads=threads_tried[0], rounds=rounds, most=most)
    return figures


def overheads(quick: bool) -> dict[str, Any]:
    """Kedro and MLflow over a plain script."""

    def show(text: str) -> None:
        say(f"  {text}")

    if quick:
        return overhead(short=2, rounds=1, long_seconds=6, long_rounds=1, say=show)
    return overhead(short=4, rounds=3, long_seconds=60, long_rounds=3, say=show)


def extraction(quick: bool) -> dict[str, Any]:
    """Clips to vectors; the clips are made first, in a folder that is thrown away."""
    count, small, rounds = (6, 50, 1) if quick else (24, 1000, 3)
    seconds = 1.2 if quick else 3.6
    with tempfile.TemporaryDirectory() as folder:
        say("  making clips")
        figures: dict[str, Any] = {
            "clips": measure(
                "clips", folder=folder, kind="clip", count=4 * count, size=(1280, 720), seconds=seconds
            ),
            "small": measure("clips", folder=folder, kind="small", count=small, size=(320, 240), seconds=0.4),
            "workers": 2,
            "speed": [],
        }
        for what in ("text", "audio", "visual", "all"):
            for workers in (1, 2):
                say(f"  {what}: new and cached, workers: {workers}")
                # The start of worker processes is taken off, so that there must be much beside it.
                many = count if workers == 1 else 4 * count
                figures["speed"].append(
                    measure("extract", folder=folder, what=what, workers=workers, count=many, rounds=rounds)
                )
        say("  decoding alone, and the straightforward way")
        figures["compare"] = measure("compare", folder=folder, count=4, rounds=rounds)
        say(f"  {small} clips, and again")
        figures["cached"] = [
            measure("cached", folder=folder, cache=f"{folder}/cache", count=small, workers=2, repeats=repeats)
            for repeats in (2, 4)
        ]
        figures["memory"] = []
        for times in (1, 4):
            say(f"  memory with {times * count} clips")
            figures["memory"].append(measure("memory", folder=folder, count=times * count, workers=2))
    return figures


def scoring(quick: bool) -> dict[str, Any]:
    """Recordings to results and pages, each in a process; two speakers share a frame, one does not."""
    minute, long, longest = (30, 60, 120) if quick else (60, 600, 7200)
    large, small = ((640, 360), (320, 240)) if quick else ((1280, 720), (320, 240))
    one, two = ["Ann"], ["Ann", "Ben"]
    kinds: dict[str, tuple[float, tuple[int, int] | None, list[str]]] = {
        "sound": (long, None, two),
        "video": (long, large, one),
        "shared": (long, large, two),
        "short": (minute, small, one),
        "long": (longest, small, one),
    }
    figures: dict[str, Any] = {"size": list(large), "runs": {}}
    with tempfile.TemporaryDirectory() as folder:
        say("  a bundle of random features")
        figures["bundle"] = measure("bundle", folder=folder)
        for name, (seconds, size, speakers) in kinds.items():
            say(f"  {name}: {seconds} s")
            asked: dict[str, Any] = {"folder": folder, "name": name, "seconds": seconds}
            made = measure("recording", **asked, size=size, speakers=speakers)
            suffix = "mp4" if size else "m4a"
            figures["runs"][name] = made | measure("score", **{**asked, "name": f"{name}.{suffix}"})
            Path(folder, f"{name}.{suffix}").unlink()
        # What is left of the longest is its transcript.
        say("  text alone")
        figures["runs"]["text"] = measure("score", folder=folder, name="long.vtt", seconds=longest)
    return figures


def coverage(quick: bool) -> dict[str, Any]:
    """How often intervals hold the true value, of few dialogues and of many."""
    repeats, bootstrapped, draws = (100, 20, 200) if quick else (2000, 300, 1000)
    figures: dict[str, Any] = {"repeats": repeats, "bootstrapped": bootstrapped, "draws": draws, "rows": []}
    for population in ("iemocap", "meld"):
        for units in (5, 15) if quick else (5, 8, 15, 31, 151, 280):
            for metric in ("weighted_f1", "accuracy", "macro_f1"):
                say(f"  {units} dialogues as in {population}, {metric}")
                asked = {"population": population, "units": units, "metric": metric}
                also = bootstrapped if metric == "weighted_f1" else 0
                made = measure("coverage", **asked, repeats=repeats, bootstrapped=also, draws=draws)
                figures["rows"] += [{**asked, **row} for row in made["rows"]]
    return figures


def _machine() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
        "processor": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "mlflow": version("mlflow"),
        "kedro": version("kedro"),
    }


PARTS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "speed": speed,
    "length": length,
    "corpus": corpus,
    "peers": peers,
    "overhead": overheads,
    "extraction": extraction,
    "scoring": scoring,
    "coverage": coverage,
}

if __name__ == "__main__":
    main()
