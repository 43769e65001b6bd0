"""Kedro in processes that are forked from one that has imported the libraries.

Each is as much of its own as one that a user starts, in memory, folder, variables and exit status, but saves
the 7 CPU seconds that imports take. This module imports nothing of the project: a copy of it runs.
"""

import atexit
import multiprocessing
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "alembic.command",
        "alembic.config",
        "attrs",
        "av",
        "cv2",
        "dynaconf",
        "fsspec.implementations.local",
        "hypothesis.strategies",
        "jinja2",
        "joblib.externals.loky",
        "kedro.framework.cli",
        "kedro.framework.session",
        "kedro.runner",
        "kedro.validation.parameter_validator",
        "kedro_datasets.json",
        "kedro_datasets.pandas",
        "kedro_datasets.partitions",
        "kedro_datasets.plotly",
        "kedro_datasets.text",
        "kedro_telemetry.plugin",
        "kedro_viz.integrations.kedro.hooks",
        "kedro_viz.integrations.kedro.run_hooks",
        "kedro_viz.launchers.cli.main",
        "mlflow.store.tracking.sqlalchemy_workspace_store",
        "multiprocessing.managers",
        "omegaconf._impl",
        "optuna",
        "pandera.pandas",
        "pathspec",
        "plotly.express",
        "plotly.graph_objects",
        "safetensors.torch",
        "scipy.signal",
        "scipy.stats",
        "sklearn.linear_model",
        "sklearn.manifold",
        "sklearn.metrics",
        "sqlalchemy.dialects.sqlite",
        # Of which an optimiser makes use.
        "torch._dynamo",
        "transformers",
        "tests.integration.forked",
        # Last, since it freezes what the others made.
        "tests.integration.frozen",
    ]
)


class Kedro:
    """``kedro <words>`` in a project, running; of ``subprocess.Popen``'s methods those that tests need.

    Args:
        below: the folder that it is typed in, below the project's.
        first: a module of the project's that is imported before it runs.
    """

    def __init__(
        self,
        words: tuple[str, ...],
        folder: Path,
        environment: dict[str, str],
        below: str = ".",
        first: str | None = None,
    ) -> None:
        output, name = tempfile.mkstemp(dir=folder.parent)
        os.close(output)
        self._printed = Path(name)
        self._process = _context.Process(
            target=_run, args=(words, folder, environment, self._printed, below, first)
        )
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
        if self._printed.exists():
            self._said = self._printed.read_text("utf-8", "backslashreplace")
            self._printed.unlink()
        return self._said, None


def _run(
    words: tuple[str, ...],
    folder: Path,
    environment: dict[str, str],
    printed: Path,
    below: str,
    first: str | None,
) -> None:
    os.chdir(folder / below)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(printed, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    sys.path.insert(0, str(folder / "src"))
    sys.argv = ["kedro", *words]
    # The variables may say another.
    tempfile.tempdir = None
    from kedro.framework.cli import main
    from kedro.framework.project import LOGGING

    # It has the logging of the folder that it was first imported in.
    LOGGING.__init__()
    try:
        if first is not None:
            import_module(first)
        main()
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:
        # As an interpreter does at its end, but no forked process.
        atexit._run_exitfuncs()
