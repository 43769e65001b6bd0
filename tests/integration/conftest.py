"""Whole projects in folders of their own, and Kedro run in them as a user runs it."""

import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from erc_kedro.files import LOCKS
from tests.integration import forked

REPOSITORY = Path(__file__).resolve().parents[2]
# What would let the machine's own settings, or the run of another test, into a project.
FOREIGN = ("ERC_KEDRO_RUN", "KEDRO_ENV", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID")
# Files are in UTF-8, whatever a machine thinks.
FOREIGN_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

# Instead of what the demo environment has, and beside it.
TINY = {
    "demo": "{seed: 0, meld_dialogues: 12, iemocap_dialogues_per_session: 2, n_jobs: 1}",
    "train": """
  seeds: 2
  epochs: 3
  patience: 3
  warmup_epochs: 1
  jobs: 1
  model: {hidden: 16, attention_heads: 2}
""",
    "compare": "{draws: 500}",
    # Whisper, which the default has where it is installed, takes most of a minute.
    # Nor do workers, which import for seconds, pay for some sixty clips.
    "features": "{audio: {extractor: functionals}, runner: {n_jobs: 1}}",
}


def ended(process: forked.Kedro | subprocess.Popen, succeeds: bool) -> str:
    try:
        printed, _ = process.communicate(timeout=600)
    except BaseException:
        process.kill()
        process.wait()
        raise
    assert (process.returncode == 0) == succeeds, f"exit status {process.returncode}\n{printed}"
    return printed


@dataclass(frozen=True)
class Project:
    """A copy of the project without its data, runs and local configuration."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        return inherited | {
            "PYTHONPATH": str(self.folder / "src"),
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Rich breaks lines where the terminal ends, and messages with them.
            "COLUMNS": "1000",
        }

    def start(self, *words: str, **others: str) -> forked.Kedro:
        """``kedro <words>``, running, without the seconds that an interpreter takes to import libraries.

        Args:
            others: of ``forked.Kedro``.
        """
        return forked.Kedro(words, self.folder, self.environment, **others)

    def start_command(
        self, *words: str, module: str = "kedro", below: str = ".", **variables: str
    ) -> subprocess.Popen:
        """The command ``kedro <words>``, running.

        Args:
            module: of Python, instead of kedro.
            below: the folder that it is typed in.
            variables: more of the environment.
        """
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=self.folder / below,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
        )

    def kedro(self, *words: str, succeeds: bool = True, **others: str) -> str:
        """Runs ``kedro <words>`` to its end, as ``start`` does, and returns all that it printed."""
        return ended(self.start(*words, **others), succeeds)

    def command(self, *words: str, succeeds: bool = True, **others: str) -> str:
        """Runs the command ``kedro <words>`` to its end, as ``start_command`` does; what it printed."""
        return ended(self.start_command(*words, **others), succeeds)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def files(self, below: str = "data") -> dict[str, tuple[int, bytes]]:
        """Every file, hidden ones too but no locks, with its time of change and content."""
        every = (path for path in (self.folder / below).rglob("*") if path.is_file())
        paths = sorted(path for path in every if path.parent.name != LOCKS)
        return {
            path.relative_to(self.folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
            for path in paths
        }

    def runs(self) -> list:
        """All MLflow runs, oldest first."""
        client = self.client()
        every = [experiment.experiment_id for experiment in client.search_experiments()]
        return list(client.search_runs(every, order_by=["attributes.start_time ASC"]))

    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")

    def statuses(self) -> dict[str, str]:
        """Each MLflow run's status by name, read past MLflow; a name that is there twice is an error."""
        with sqlite3.connect(self.folder / "mlflow.db") as store:
            rows = store.execute("select name, status from runs").fetchall()
        assert len(dict(rows)) == len(rows), rows
        return dict(rows)


def set_up(folder: Path, store: Path) -> Project:
    """A project that nothing has run in, of base and demo configuration, both tiny."""
    folder.mkdir()
    # Copied, since the pipelines read the configuration that lies beside their sources.
    shutil.copytree(REPOSITORY / "src" / "erc_kedro", folder / "src" / "erc_kedro")
    shutil.copytree(REPOSITORY / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    for name in ("pyproject.toml", ".gitignore"):
        shutil.copy(REPOSITORY / name, folder)
    for keep in (REPOSITORY / "data").glob("*/.gitkeep"):
        (folder / "data" / keep.parent.name).mkdir(parents=True)
        shutil.copy(keep, folder / "data" / keep.parent.name)
    shutil.copy(store, folder / "mlflow.db")
    project = Project(folder)
    project.write("conf/local/.gitkeep", "")
    for stage, parameters in TINY.items():
        project.write(f"conf/demo/parameters_{stage}.yml", f"{stage}: {parameters}\n")
    return project


@pytest.fixture(scope="session")
def new_project(store, tmp_path_factory):
    """Makes a project that nothing has run in."""
    return lambda: set_up(tmp_path_factory.mktemp("project") / "erc", store)


@pytest.fixture
def project(new_project):
    """A project that nothing has run in."""
    return new_project()


@pytest.fixture(scope="session")
def demo(store, made_once):
    """A checkout in which the two commands of `make demo` have run. Look, do not touch: tests share it."""

    def make(folder: Path) -> None:
        project = set_up(folder / "erc", store)
        git = ["git", "-C", str(project.folder), "-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "all"], check=True)
        project.kedro("run", "--env=demo", "--pipelines=demo")
        project.command("run", "--env=demo", **FOREIGN_LOCALE)

    return Project(made_once("demo", make) / "erc")


@pytest.fixture(scope="session")
def copy_of(store, tmp_path_factory):
    """Makes copies of a project, to change at will; their MLflow stores are empty."""

    def make(project: Project) -> Project:
        folder = tmp_path_factory.mktemp("copy") / "erc"
        shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns("mlflow.db", "mlruns", ".git"))
        shutil.copy(store, folder / "mlflow.db")
        return Project(folder)

    return make


@pytest.fixture(scope="session")
def copy_of_demo(demo, copy_of):
    """Makes copies of the finished demo, to change at will; their MLflow stores are empty."""
    return lambda: copy_of(demo)


@pytest.fixture
def demo_copy(copy_of_demo):
    """A copy of the finished demo, to change at will; its MLflow store is empty."""
    return copy_of_demo()
