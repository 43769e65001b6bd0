"""Kills, signals and pairs every pipeline at random moments, and counts what was lost.

    python -m tests.faults.interruptions --kills=200 --signals=100 --pairs=50 --together=20

Each trial works on a copy of a small project in which all earlier stages have run. A pipeline is killed
(its main process alone, by SIGKILL) or sent a signal (SIGINT or SIGTERM, to the main process or to the
group) a few times in a row, each time begun again; then it runs undisturbed. In a pair, two runs of a
pipeline begin within seconds of each other. Counted are:

lost
    the last run failed, or a table, page or model differs from that of a project that nobody disturbed
twice
    a fit or an extraction that had been done was done again, or a study has more trials than its budget
orphans
    a process of a killed run was still there after five seconds
swallowed
    a run that was sent a signal went on to its end
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil

from erc_kedro.files import LOCKS
from tests import tiny

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path("data/demo")
CONFIGURATION = {
    "parameters_demo.yml": """
demo: {folder: data/demo/01_raw, seed: 0, meld_dialogues: 12, iemocap_dialogues_per_session: 2, n_jobs: 2}
""",
    "parameters_features.yml": "features: {runner: {n_jobs: 2}}\n",
    "parameters_train.yml": """
train:
  {seeds: 4, epochs: 25, patience: 25, warmup_epochs: 1, jobs: 2, model: {hidden: 16, attention_heads: 2}}
""",
    "parameters_finetune.yml": """
finetune:
  {encoder: tiny, context: 1, epochs: 3, batch_utterances: 4, max_tokens: 64, folds: 3, jobs: 2}
meld: {finetune: {folds: 3}}
""",
    "parameters_tune.yml": """
tune: {trials: 8, seeds: 2, sampler_seed: 0, workers: 2, space: {model: {hidden: {choices: [16, 24]}}}}
""",
}
COMPARED = "--params=experiments=[full,no_gates,only_text]"
# What is run, and which stages come before it.
RUNS: dict[str, tuple[list[str], list[str]]] = {
    "demo": (["--pipelines=demo"], []),
    "ingestion": (["--pipelines=ingestion"], ["demo"]),
    "features": (["--pipelines=features"], ["demo", "ingestion"]),
    "finetune": (["--pipelines=finetune"], ["demo", "ingestion"]),
    "train": (["--pipelines=train"], ["demo", "ingestion", "features"]),
    "compare": (["--pipelines=compare", COMPARED], ["demo", "ingestion", "features"]),
    "tune": (["--pipelines=tune"], ["demo", "ingestion", "features"]),
    "contributions": (["--pipelines=contributions"], ["demo", "ingestion", "features", "train"]),
    "reporting": (["--pipelines=reporting"], ["demo", "ingestion", "features", "train"]),
    # From the first raw file to the report, where not even MLflow's store is there yet.
    "whole": ([], ["demo"]),
}
# Kills between one undisturbed run and the next.
CHAIN = 5


@dataclass
class Count:
    """What came of one pipeline's trials."""

    kills: int = 0
    signals: int = 0
    pairs: int = 0
    lost: int = 0
    twice: int = 0
    orphans: int = 0
    swallowed: int = 0
    slowest_end_s: float = 0.0
    said: list[str] = field(default_factory=list)


class Project:
    """A copy of the project, its configuration made tiny."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def new(cls, folder: Path) -> "Project":
        """One in which nothing has run."""
        folder.mkdir(parents=True)
        for name in ("src", "conf"):
            shutil.copytree(
                REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "local")
            )
        shutil.copy(REPOSITORY / "pyproject.toml", folder)
        (folder / "conf/local").mkdir()
        for name, text in CONFIGURATION.items():
            (folder / "conf/demo" / name).write_text(text, "utf-8")
        path = folder / "conf/demo/globals.yml"
        text = re.sub(r"^corpora:.*$", "corpora: [meld]", path.read_text("utf-8"), flags=re.M)
        path.write_text(text, "utf-8")
        tiny.bert(folder / "tiny", layers=2)
        return cls(folder)

    def copy(self, folder: Path) -> "Project":
        """Another one like it, whose clips are shared."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def start(self, words: list[str]) -> subprocess.Popen:
        """``kedro run`` in a session of its own, whose output goes to a file."""
        own = {"PYTHONPATH": str(self.folder / "src"), "OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "1"}
        own |= {"HF_HUB_OFFLINE": "1", "COLUMNS": "1000"}
        with (self.folder / "said.log").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "kedro", "run", "--env=demo", *words],
                cwd=self.folder,
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A shell that starts this in the background has its children ignore Ctrl-C.
                preexec_fn=_restore_interruptions,
            )

    def run(self, words: list[str]) -> bool:
        """Whether it ran to a good end."""
        return self.start(words).wait() == 0

    def said(self) -> str:
        """The last lines that runs printed."""
        lines = (self.folder / "said.log").read_text("utf-8", errors="replace").splitlines()
        return " | ".join(line for line in lines[-4:] if line.strip())[-500:]


def _restore_interruptions() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def contents(project: Project) -> dict[str, str]:
    """What each file below data says, without times and names of runs.

    The page over MLflow's runs is left out: it lists those that were interrupted, too.
    """
    found = {}
    for path in sorted((project.folder / DATA).rglob("*")):
        name = path.relative_to(project.folder / DATA).as_posix()
        left_out = name.startswith(("04_feature/cache", "08_reporting/runs/"))
        if path.is_file() and path.parent.name != LOCKS and not left_out:
            found[name] = _content(path)
    return found


def _content(path: Path) -> str:
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        table = table.drop(columns=[column for column in ("seconds",) if column in table])
        return str(pd.util.hash_pandas_object(table.astype(str), index=False).sum())
    if path.suffix in (".json", ".html", ".md", ".csv", ".tex", ".yml"):
        text = path.read_text("utf-8", errors="replace")
        return re.sub(r'"(seconds|run|resumed|git_revision)": [^,}]+|\d{4}-\d\d-\d\d \d\d:\d\d UTC', "", text)
    return str(hash(path.read_bytes()))


def done(project: Project) -> dict[str, object]:
    """What is finished for good: models by when they were written, extractions by where they lie."""
    made: dict[str, object] = {}
    # An encoder's fit.json is written once more, when it is found to be done.
    for finished, written in (("config.json", "config.json"), ("fit.json", "model.safetensors")):
        for path in (project.folder / DATA / "06_models").rglob(finished):
            # In an encoder's folder, config.json is the library's, written with each better epoch.
            of_encoder = "encoders" in path.parts
            if "tuning" not in path.parts and of_encoder == (finished == "fit.json"):
                with suppress(OSError):
                    made[str(path.relative_to(project.folder))] = path.with_name(written).stat().st_mtime_ns
    store = project.folder / DATA / "04_feature/cache/features.sqlite"
    if store.exists():
        with suppress(sqlite3.Error), sqlite3.connect(store) as connection:
            made |= dict(connection.execute("SELECT key, rowid FROM results").fetchall())
    return made


def trials_over(project: Project) -> bool:
    """Whether the study, if there is one, has another number of trials than its budget."""
    path = project.folder / DATA / "08_reporting/tuning/meld.json"
    return path.exists() and json.loads(path.read_text("utf-8"))["trials"] != 8


def family(process: subprocess.Popen) -> list[psutil.Process]:
    """A run's main process and all that it started: a session."""
    found = []
    for other in psutil.process_iter():
        with suppress(OSError):
            if os.getsid(other.pid) == process.pid:
                found.append(other)
    return found


def outlived(process: subprocess.Popen, within_s: float = 5.0) -> int:
    """How many of a run's processes are still there after a while; they are ended."""
    until = time.monotonic() + within_s
    while (left := [one for one in family(process) if _runs(one)]) and time.monotonic() < until:
        time.sleep(0.1)
    for one in left:
        with suppress(psutil.Error):
            one.kill()
    return len(left)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


class Trials:
    """All trials of one pipeline, against one undisturbed project."""

    def __init__(self, name: str, base: Project, work: Path, draw: random.Random) -> None:
        self.name, self.base, self.work, self.draw = name, base, work, draw
        self.words = RUNS[name][0]
        self.count = Count()
        started = time.monotonic()
        expected = self._fresh("expected")
        assert expected.run(self.words), expected.said()
        self.lasts_s = time.monotonic() - started
        self.expected = contents(expected)
        # A training's summary tells how long its epochs took.
        self.same = {file for file in self.expected if not file.endswith("/training.json")}
        print(f"{name}: {self.lasts_s:.1f} s undisturbed, {len(self.same)} files compared", flush=True)

    def _fresh(self, name: str) -> Project:
        return self.base.copy(self.work / name)

    def interrupted(self, how: list[str]) -> None:
        """One project, whose runs are ended in these ways, and then left alone."""
        project = self._fresh("trial")
        kept: dict[str, object] = {}
        twice = False
        for way in how:
            process = project.start(self.words)
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.draw.uniform(0.3, max(self.lasts_s, 4.0)))
            if process.poll() is not None:
                # It was faster: nothing was interrupted, and the next one begins with all done.
                self._failed(process.returncode != 0, "lost", project, f"{way}: failed by itself")
            self._end(process, way, project)
            now = done(project)
            twice |= any(now.get(item, at) != at for item, at in kept.items())
            kept = now
        ended = project.run(self.words)
        self._failed(not ended, "lost", project, f"{how}: did not go on")
        if ended:
            self._compare(project, f"{how}")
            now = done(project)
            twice |= any(now.get(item, at) != at for item, at in kept.items())
        self._failed(twice, "twice", project, f"{how}: done again")

    def _end(self, process: subprocess.Popen, way: str, project: Project) -> None:
        kind, _, whom = way.partition(" ")
        number = getattr(signal, kind)
        before = process.poll()
        if number == signal.SIGKILL:
            self.count.kills += 1
            process.kill()
            process.wait()
        else:
            self.count.signals += 1
            if before is None:
                started = time.monotonic()
                os.killpg(process.pid, number) if whom == "group" else process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(self.lasts_s + 30)
                took = time.monotonic() - started
                self.count.slowest_end_s = max(self.count.slowest_end_s, took)
                went_on = process.poll() is None or process.returncode == 0
                # One that hits the very end changes nothing.
                self._failed(went_on and took > 2, "swallowed", project, f"{way}: ran on {took:.0f} s")
                process.kill()
                process.wait()
        left = outlived(process)
        self._failed(left > 0, "orphans", project, f"{way}: {left} processes")

    def paired(self) -> None:
        """Two runs at once."""
        project = self._fresh("trial")
        first = project.start(self.words)
        time.sleep(self.draw.uniform(0, 0.6 * self.lasts_s))
        second = project.start(self.words)
        ended = [first.wait(), second.wait()]
        self.count.pairs += 1
        self._failed(ended != [0, 0], "lost", project, f"pair: {ended}")
        self._compare(project, "pair")

    def _compare(self, project: Project, how: str) -> None:
        found = contents(project)
        if self.name == "tune":
            # Trials that were interrupted are repeated under other numbers.
            self._failed(trials_over(project), "twice", project, f"{how}: trials")
            self._failed(
                not found.keys() >= self.expected.keys(),
                "lost",
                project,
                f"{how}: {self.expected.keys() - found.keys()}",
            )
            return
        other = [file for file in sorted(self.same) if found.get(file) != self.expected[file]]
        other += sorted(self.expected.keys() - found.keys())
        other += [file for file in found if file.endswith(".part")]
        self._failed(bool(other), "lost", project, f"{how}: {other[:4]} differ")

    def _failed(self, failed: bool, kind: str, project: Project, why: str) -> None:
        if failed:
            setattr(self.count, kind, getattr(self.count, kind) + 1)
            self.count.said.append(f"{kind}: {why}: {project.said()}")
            print(f"  {self.name} {self.count.said[-1]}", flush=True)


def together(base: Project, work: Path, number: int) -> list[int]:
    """Exit statuses of so many runs at once, of different experiments, on one checkout and store."""
    project = base.copy(work / "together")
    experiments = ["full", "no_gates", "only_text", "no_distillation"]
    started = [
        project.start(["--pipelines=train,reporting", f"--params=experiment={experiments[at % 4]},seeds=1"])
        for at in range(number)
    ]
    statuses = [process.wait() for process in started]
    if any(statuses):
        print(project.said())
    return statuses


def _shares(total: int, lasting: dict[str, float]) -> dict[str, int]:
    """So many trials, shared out so that quick pipelines have more of them."""
    weights = {name: 1 / (4 + lasts) for name, lasts in lasting.items()}
    shares = {name: max(1, round(total * weight / sum(weights.values()))) for name, weight in weights.items()}
    quickest = min(lasting, key=lasting.__getitem__)
    shares[quickest] += total - sum(shares.values())
    return shares


def _table(counts: dict[str, Count]) -> str:
    rows = pd.DataFrame({name: vars(count) for name, count in counts.items()}).T.drop(columns="said")
    rows["slowest_end_s"] = rows["slowest_end_s"].astype(float).round(1)
    total = rows.drop(columns="slowest_end_s").sum()
    total["slowest_end_s"] = rows["slowest_end_s"].max()
    rows.loc["all"] = total
    header = ["pipeline", *(column.replace("_", " ") for column in rows)]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += [
        "| " + " | ".join([str(name), *map(str, row)]) + " |"
        for name, row in zip(rows.index, rows.to_numpy(), strict=True)
    ]
    return "\n".join(lines)


def main() -> None:
    """Runs what the command line asks for and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--together", type=int, default=20)
    parser.add_argument("--pipelines", default=",".join(RUNS))
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    names = asked.pipelines.split(",")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        bases = _bases(work, names)
        every = {name: Trials(name, bases[name], work / name, draw) for name in names}
        lasting = {name: trials.lasts_s for name, trials in every.items()}
        kills, signals, pairs = (
            _shares(total, lasting) for total in (asked.kills, asked.signals, asked.pairs)
        )
        todo: list[tuple[str, list[str]]] = []
        for name in names:
            ways = ["SIGKILL"] * (kills[name] if asked.kills else 0)
            for _ in range(signals[name] if asked.signals else 0):
                ways.append(f"{draw.choice(['SIGINT', 'SIGTERM'])} {draw.choice(['alone', 'group'])}")
            draw.shuffle(ways)
            todo += [(name, ways[first : first + CHAIN]) for first in range(0, len(ways), CHAIN)]
            todo += [(name, [])] * (pairs[name] if asked.pairs else 0)
        draw.shuffle(todo)
        until = time.monotonic() + 60 * asked.minutes
        for name, ways in todo:
            if time.monotonic() > until:
                print(f"{asked.minutes} minutes are over")
                break
            if ways:
                every[name].interrupted(ways)
            else:
                every[name].paired()
        print(_table({name: trials.count for name, trials in every.items()}))
        if asked.together:
            statuses = together(
                bases["train"] if "train" in bases else bases[names[-1]], work, asked.together
            )
            print(f"{asked.together} runs at once: {Counter(statuses)[0]} ended well")


def _bases(work: Path, names: list[str]) -> dict[str, Project]:
    """For each pipeline a project in which the stages before it have run; equal ones are shared."""
    known: dict[tuple[str, ...], Project] = {(): Project.new(work / "base")}
    bases = {}
    for name in names:
        stages: tuple[str, ...] = ()
        for stage in RUNS[name][1]:
            before, stages = known[stages], (*stages, stage)
            if stages not in known:
                known[stages] = before.copy(work / "-".join(["base", *stages]))
                assert known[stages].run(RUNS[stage][0]), known[stages].said()
        bases[name] = known[stages]
        if name == "whole":
            bases[name] = bases[name].copy(work / "base-first")
            (bases[name].folder / "mlflow.db").unlink()
            shutil.rmtree(bases[name].folder / "mlruns", ignore_errors=True)
    return bases


if __name__ == "__main__":
    main()
