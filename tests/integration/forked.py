"""Kedro in processes that are forked from one that has imported the libraries.

Each is as much of its own as one that a user starts, in memory, folder, variables and exit status, but saves
the 7 CPU seconds that imports take. This module imports nothing of the project: a copy of it runs.
"""

import atexit
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "av",
        "cv2",
        "dynaconf",
        "hypothesis.strategies",
        "jinja2",
        "joblib.externals.loky",
        "kedro.config",
        "kedro_datasets.json",
        "mlflow.store.tracking.sqlalchemy_store",
        "omegaconf",
        "optuna",
        "pandera.pandas",
        "plotly.express",
        "safetensors.torch",
        "scipy.signal",
        "scipy.stats",
        "sklearn.linear_model",
        "sklearn.manifold",
        "sklearn.metrics",
        # Of which an optimiser makes use.
        "torch._dynamo",
        "transformers",
        "tests.integration.forked",
    ]
)


class Kedro:
    """``kedro <words>`` in a project, running; of ``subprocess.Popen``'s methods those that tests need."""

    def __init__(self, words: tuple[str, ...], folder: Path, environment: dict[str, str]) -> None:
        output, name = tempfile.mkstemp(dir=folder.parent)
        os.close(output)
        self._printed = Path(name)
        self._process = _context.Process(target=_run, args=(words, folder, environment, self._printed))
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> None:
        self._process.join()

    def communicate(self, timeout: float) -> tuple[str, None]:
        """All that it printed, once it has ended.

        Raises:
            TimeoutError: it did not end in time.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"it did not end within {timeout} s")
        return self._printed.read_text("utf-8", "backslashreplace"), None


def _run(words: tuple[str, ...], folder: Path, environment: dict[str, str], printed: Path) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(printed, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    sys.path.insert(0, str(folder / "src"))
    sys.argv = ["kedro", *words]
    from kedro.framework.cli import main

    try:
        main()
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:
        # As an interpreter does at its end, but no forked process.
        atexit._run_exitfuncs()
