"""What Kedro and MLflow cost over a plain script, in projects of their own."""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
DATA, CORPUS = "data/demo", "meld"
# What would let the machine's own settings into a project.
FOREIGN = ("ERC_KEDRO_RUN", "KEDRO_ENV", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID")
VARIANTS = ("bare", "kedro", "tracked")


@dataclass(frozen=True)
class Cost:
    """One command: wall-clock seconds, processor seconds of it and its children, what it printed."""

    wall: float
    processor: float
    printed: str


@dataclass(frozen=True)
class Project:
    """A copy of the project without its data, runs and local configuration."""

    folder: Path

    def run(self, *words: str) -> Cost:
        """Runs ``python <words>`` here with one thread.

        Raises:
            RuntimeError: it failed.
        """
        environment = {key: value for key, value in os.environ.items() if key not in FOREIGN} | {
            "PYTHONPATH": str(self.folder / "src"),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        before, started = _processor(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        wall, processor = time.perf_counter() - started, _processor() - before
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)} failed\n{done.stdout}\n{done.stderr}")
        return Cost(wall, processor, done.stdout)

    def kedro(self, pipelines: str, *words: str) -> Cost:
        """``kedro run`` of the embedded corpora."""
        return self.run("-m", "kedro", "run", "--env=demo", f"--pipelines={pipelines}", *words)

    def train(self, parameters: dict[str, Any]) -> Cost:
        """One seed of one corpus from scratch, through Kedro."""
        for layer in ("06_models", "07_model_output"):
            shutil.rmtree(self.folder / DATA / layer, ignore_errors=True)
        typed = {"seeds": 1, **{f"train.{name}": value for name, value in parameters.items()}}
        words = ",".join(f"{name}={value}" for name, value in typed.items())
        return self.kedro("train", f"--namespaces={CORPUS}", f"--params={words}")

    def read(self, name: str) -> dict[str, Any]:
        """A JSON document that the last training left."""
        found = next((self.folder / DATA / "07_model_output" / CORPUS).glob(f"*/{name}"))
        document: dict[str, Any] = json.loads(found.read_text("utf-8"))
        return document


def overhead(
    short: int, rounds: int, long_seconds: float, long_rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Times the same training as a plain script, through Kedro, and through Kedro with MLflow, in turn.

    Args:
        short: epochs of the short training, from which the fixed costs are read; rounds: its repetitions.
        long_seconds: how long the long training should take; long_rounds: its repetitions, 0 for none.
    """
    with tempfile.TemporaryDirectory() as folder:
        say("ingestion and features of the embedded corpora")
        tracked = _copy(Path(folder) / "tracked")
        tracked.kedro("demo")
        tracked.kedro("ingestion,features")
        # Makes MLflow's experiment and warms the file cache, too.
        settings = {"epochs": short, "patience": short, "jobs": 1, "threads": 1}
        tracked.train(settings)
        parameters = tracked.read("training.json")["parameters"]
        untracked = Project(Path(folder) / "untracked")
        ignored = shutil.ignore_patterns("mlflow.db*", "mlruns")
        shutil.copytree(tracked.folder, untracked.folder, ignore=ignored)
        _switch_off(untracked)
        lengths = {"short": _rounds(tracked, untracked, parameters, short, rounds, say)}
        if long_rounds:
            epoch = lengths["short"]["epoch_seconds"]
            epochs = max(short, round(long_seconds / epoch))
            lengths["long"] = _rounds(tracked, untracked, parameters, epochs, long_rounds, say)
        return lengths


def _rounds(
    tracked: Project,
    untracked: Project,
    parameters: dict[str, Any],
    epochs: int,
    rounds: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    settings = {"epochs": epochs, "patience": epochs, "jobs": 1, "threads": 1}
    plain = json.dumps({**parameters, **settings, "seeds": 1})
    script = str(Path(__file__).with_name("bare.py"))
    commands: dict[str, Callable[[], Cost]] = {
        "bare": lambda: untracked.run(script, DATA, CORPUS, plain),
        "kedro": lambda: untracked.train(settings),
        "tracked": lambda: tracked.train(settings),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in VARIANTS}
    history: dict[str, list[float]] = {}
    for turn in range(rounds):
        for name in VARIANTS:
            say(f"{epochs} epochs, round {turn + 1} of {rounds}: {name}")
            costs[name].append(commands[name]())
        history = json.loads(costs["bare"][-1].printed.splitlines()[-1])
    return {
        "epochs": epochs,
        "rounds": rounds,
        "epoch_seconds": statistics.median(history["seconds"]),
        "same_training": _same(history["val_loss"], untracked) and _same(history["val_loss"], tracked),
        **{
            name: {
                "wall_s": statistics.median(cost.wall for cost in each),
                "processor_s": statistics.median(cost.processor for cost in each),
                "wall_s_each": [cost.wall for cost in each],
                "processor_s_each": [cost.processor for cost in each],
            }
            for name, each in costs.items()
        },
        "kedro_adds": _added(costs["kedro"], costs["bare"]),
        "tracking_adds": _added(costs["tracked"], costs["kedro"]),
        "both_add": _added(costs["tracked"], costs["bare"]),
    }


def _added(dearer: list[Cost], cheaper: list[Cost]) -> dict[str, float]:
    """Medians over rounds of the difference within a round."""
    pairs = list(zip(dearer, cheaper, strict=True))
    return {
        "wall_s": statistics.median(d.wall - c.wall for d, c in pairs),
        "wall_percent": 100 * statistics.median(d.wall / c.wall - 1 for d, c in pairs),
        "processor_s": statistics.median(d.processor - c.processor for d, c in pairs),
        "processor_percent": 100 * statistics.median(d.processor / c.processor - 1 for d, c in pairs),
    }


def _same(losses: list[float], project: Project) -> bool:
    """Whether a project's last training went as the plain script's did."""
    import pandas as pd

    found = next((project.folder / DATA / "07_model_output" / CORPUS).glob("*/history.parquet"))
    theirs = pd.read_parquet(found)["val_loss"].tolist()
    return len(theirs) == len(losses) and all(abs(a - b) < 1e-6 for a, b in zip(theirs, losses, strict=True))


def _copy(folder: Path) -> Project:
    folder.mkdir(parents=True)
    # Copied, since the pipelines read the configuration that lies beside their sources.
    shutil.copytree(
        REPOSITORY / "src" / "erc_kedro",
        folder / "src" / "erc_kedro",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copytree(REPOSITORY / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    for name in ("pyproject.toml", ".gitignore"):
        shutil.copy(REPOSITORY / name, folder)
    # A checkout, since a run asks git for its revision; without git it is told "unknown".
    git = ["git", "-C", str(folder), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    try:
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
            subprocess.run([*git, *words], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pass
    return Project(folder)


def _switch_off(project: Project) -> None:
    import yaml

    path = project.folder / "conf" / "base" / "globals.yml"
    settings = yaml.safe_load(path.read_text("utf-8"))
    settings["mlflow"]["uri"] = ""
    path.write_text(yaml.safe_dump(settings), "utf-8")


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
