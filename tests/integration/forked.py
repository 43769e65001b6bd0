"""Kedro in processes that are forked from one that has imported the libraries.

Each is as much of its own as one that a user starts, in memory, folder, variables and exit status, but saves
the 7 CPU seconds that imports take. This module imports nothing of the project: a copy of it runs.
"""

import atexit
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from tests.forkserver import CONTEXT


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
        self._process = CONTEXT.Process(
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
