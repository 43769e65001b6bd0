"""Kedro's session, for runs that start anywhere and end in a sentence."""

import traceback
from contextlib import chdir
from pkgutil import iter_modules
from typing import Any

from kedro.framework import project
from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession

from erc_kedro import pipelines, processes, surroundings
from erc_kedro.config import ConfigError, active_corpora
from erc_kedro.errors import PlainError
from erc_kedro.hooks import LockHooks

# Where Kedro refuses a name that was typed wrongly.
_REFUSING = ("kedro.framework.session.session", "kedro.pipeline.pipeline")


class ProjectSession(KedroSession):
    """Runs where the project is, so that relative paths mean one place whatever folder a run starts in."""

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As Kedro's; what ends for want of disk, memory or rights, or by a wrong name, is a PlainError."""
        _check_names(kwargs.get("pipeline_names") or [])
        self._namespaces = kwargs.get("namespaces") or []
        # An earlier session of this process may have built them for other corpora.
        project.pipelines.configure(f"{pipelines.__package__.partition('.')[0]}.pipeline_registry")
        with chdir(self._project_path):
            try:
                return super().run(*args, **kwargs)
            except PlainError:
                raise
            except Exception as error:
                said = surroundings.explained(error) or _refused(error)
                if said is None:
                    raise
                raise PlainError(said) from error
            except BaseException:
                # Here, while relative paths still mean the project's: a notebook goes on elsewhere.
                from erc_kedro import tracking

                tracking.finish("KILLED")
                raise
            finally:
                self._let_go()

    def load_context(self) -> KedroContext:
        """As Kedro's; a namespace that is no corpus of the session's configuration is a ConfigError."""
        context = super().load_context()
        for name in getattr(self, "_namespaces", []):
            # Kedro takes a node's, too: meld.train.
            if name.partition(".")[0] not in (corpora := active_corpora()):
                raise ConfigError(
                    f"--namespaces: no corpus is called {name!r}; there are {', '.join(corpora)} "
                    "(globals.yml: corpora)"
                )
        return context

    def _let_go(self) -> None:
        # Kedro tells hooks neither of an interruption nor of what another hook refused.
        for hooks in self._hook_manager.get_plugins():
            if isinstance(hooks, LockHooks):
                hooks.release()
        processes.restore_signals()


def _check_names(names: list[str]) -> None:
    known = ["__default__", *(module.name for module in iter_modules(pipelines.__path__) if module.ispkg)]
    for name in names:
        if name not in known:
            raise ConfigError(f"--pipelines: none is called {name!r}; there are {', '.join(known)}")


def _refused(error: Exception) -> str | None:
    raised_in = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return str(error) if isinstance(error, ValueError) and raised_in in _REFUSING else None
