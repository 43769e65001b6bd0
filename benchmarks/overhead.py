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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
DATA, CORPUS = "data/demo", "meld"
# What would let the machine's own settings into a project.
FOREIGN = ("ERC_KEDRO_RUN", "KEDRO_ENV", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID")
# Which way of training is compared with which.
ADDED = {
    "kedro_adds": ("kedro", "bare"),
    "tracking_adds": ("tracked", "kedro"),
    "both_add": ("tracked", "bare"),
}


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
            [sys.executable, *words], cwd=self.folder, env=environment, capture_output=True, encoding="utf-8"
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

    def left(self, name: str) -> Path:
        """A file that the last training wrote."""
        return next((self.folder / DATA / "07_model_output" / CORPUS).glob(f"*/{name}"))


# By name, a way to train so many epochs: what it cost, and the validation loss of each epoch.
Ways = dict[str, Callable[[int], tuple[Cost, list[float]]]]


def overhead(
    short: int, rounds: int, long_seconds: float, long_rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Times the same training as a plain script, through Kedro, and through Kedro with MLflow, in turn.

    Args:
        short: epochs of the short training, from which the fixed costs are read; rounds: its repetitions.
        long_seconds: how long the long training should take, which runs through Kedro with tracking off
            and on; long_rounds: its repetitions.
    """
    with tempfile.TemporaryDirectory() as folder:
        say("ingestion and features of the embedded corpora")
        tracked = _copy(Path(folder) / "tracked")
        tracked.kedro("demo")
        tracked.kedro("ingestion,features")
        # Makes MLflow's store and warms the file cache, too.
        tracked.train(_settings(short))
        parameters = json.loads(tracked.left("training.json").read_text("utf-8"))["parameters"]
        untracked = Project(Path(folder) / "untracked")
        ignored = shutil.ignore_patterns("mlflow.db*", "mlruns")
        shutil.copytree(tracked.folder, untracked.folder, ignore=ignored)
        _switch_off(untracked)

        def kedro(project: Project, epochs: int) -> tuple[Cost, list[float]]:
            cost = project.train(_settings(epochs))
            history = pd.read_parquet(project.left("history.parquet"))
            return cost, history["val_loss"].tolist()

        def bare(epochs: int) -> tuple[Cost, list[float]]:
            plain = json.dumps({**parameters, **_settings(epochs), "seeds": 1})
            cost = untracked.run(str(Path(__file__).with_name("bare.py")), DATA, CORPUS, plain)
            printed = json.loads(cost.printed.splitlines()[-1])
            seconds.extend(printed["seconds"])
            return cost, printed["val_loss"]

        seconds: list[float] = []
        ways: Ways = {"kedro": partial(kedro, untracked), "tracked": partial(kedro, tracked)}
        fixed = _rounds({"bare": bare, **ways}, short, rounds, say)
        epochs = max(short, round(long_seconds / statistics.median(seconds)))
        lasting = _rounds(ways, epochs, long_rounds, say)
        # What Kedro alone adds does not depend on the epochs, and is best seen where they are few.
        adds = {
            clock: fixed["kedro_adds"][clock] + lasting["tracking_adds"][clock]
            for clock in ("wall_s", "processor_s")
        }
        lasting["both_add"] = {
            **adds,
            **{
                f"{clock[:-2]}_percent": 100
                * adds[clock]
                / (lasting["kedro"][clock] - fixed["kedro_adds"][clock])
                for clock in adds
            },
        }
        return {"short": fixed, "long": lasting}


def _settings(epochs: int) -> dict[str, int]:
    return {"epochs": epochs, "patience": epochs, "jobs": 1, "threads": 1}


def _rounds(ways: Ways, epochs: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    losses: dict[str, list[float]] = {}
    for turn in range(rounds):
        for name, train in ways.items():
            say(f"{epochs} epochs, round {turn + 1} of {rounds}: {name}")
            cost, losses[name] = train(epochs)
            costs[name].append(cost)
    result: dict[str, Any] = {
        "epochs": epochs,
        "rounds": rounds,
        "same_training": all(np.allclose(each, losses["kedro"], 1e-5) for each in losses.values()),
    }
    for name, each in costs.items():
        result[name] = {
            "wall_s": statistics.median(cost.wall for cost in each),
            "processor_s": statistics.median(cost.processor for cost in each),
            "wall_s_each": [cost.wall for cost in each],
            "processor_s_each": [cost.processor for cost in each],
        }
    for name, (dearer, cheaper) in ADDED.items():
        if dearer in costs and cheaper in costs:
            result[name] = _added(costs[dearer], costs[cheaper])
    return result


def _added(dearer: list[Cost], cheaper: list[Cost]) -> dict[str, float]:
    """Medians over rounds of the difference within a round."""
    pairs = list(zip(dearer, cheaper, strict=True))
    return {
        "wall_s": statistics.median(d.wall - c.wall for d, c in pairs),
        "wall_percent": 100 * statistics.median(d.wall / c.wall - 1 for d, c in pairs),
        "processor_s": statistics.median(d.processor - c.processor for d, c in pairs),
        "processor_percent": 100 * statistics.median(d.processor / c.processor - 1 for d, c in pairs),
    }


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
    path = project.folder / "conf" / "base" / "globals.yml"
    settings = yaml.safe_load(path.read_text("utf-8"))
    settings["mlflow"]["uri"] = ""
    path.write_text(yaml.safe_dump(settings), "utf-8")


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
