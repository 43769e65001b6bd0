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


def kedro(
    words: tuple[str, ...], folder: Path, environment: dict[str, str], timeout: float
) -> tuple[int, str]:
    """``kedro <words>`` in a project; its exit status and all that it printed.

    Raises:
        TimeoutError: it did not end in time, and was killed.
    """
    with tempfile.NamedTemporaryFile() as printed:
        process = _context.Process(target=_run, args=(words, folder, environment, printed.name))
        process.start()
        try:
            process.join(timeout)
            if process.exitcode is None:
                raise TimeoutError(f"kedro {' '.join(words)} did not end in {timeout} s")
        finally:
            process.kill()
            process.join()
        return process.exitcode, Path(printed.name).read_text("utf-8", "backslashreplace")


def _run(words: tuple[str, ...], folder: Path, environment: dict[str, str], printed: str) -> None:
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
