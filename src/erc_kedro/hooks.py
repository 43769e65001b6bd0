"""Kedro's hooks: every ``kedro run`` is an MLflow run that ends as what it was."""

import atexit
import logging
import os
import re
import signal
import sys
import traceback
from types import FrameType, TracebackType
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Node, Pipeline

from erc_kedro.config import ConfigError
from erc_kedro.escaping import Visible, visible

# A node with this tag gets None for an input that was never made; any other node gets an error.
ACCEPTS_MISSING = "accepts_missing"


# Errors whose message says what to mend; a page of calls in between would hide it.
PLAIN_ERRORS = (
    "AuditError",
    "ConfigError",
    "CorpusError",
    "DatasetError",
    "ExtractionError",
    "FinetuningError",
    "ParameterValidationError",
    "UnknownRunError",
)


class PlainErrorHooks:
    """Lets `kedro run` end on an error's message; ERC_TRACEBACK=1 shows where it was raised."""

    @hook_impl
    def after_context_created(self) -> None:
        # Messages quote names and texts of data, which may hold what commands a terminal.
        for handler in logging.getLogger().handlers:
            if not isinstance(handler.formatter, Visible):
                handler.setFormatter(Visible(handler.formatter))
        if sys.excepthook is sys.__excepthook__ and not os.environ.get("ERC_TRACEBACK"):
            sys.excepthook = _print_plainly


def _print_plainly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if kind.__name__ in PLAIN_ERRORS:
        # Pydantic adds what it was given, whole, and a link to its own pages.
        said = re.sub(
            r" \[type=\w+, input_value=.*\]$|^ *For further information visit .*\n?",
            "",
            str(error),
            flags=re.M,
        )
        print(
            f"\n{kind.__name__}: {visible(said)}\n(ERC_TRACEBACK=1 shows where it was raised.)",
            file=sys.stderr,
        )
    else:
        said = "".join(traceback.format_exception(kind, error, trace))
        print(visible(said), end="", file=sys.stderr)


class RefusalHooks:
    """Refuses, before anything is computed, what would end badly or wrongly."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any) -> None:
        runner = str(run_params.get("runner"))
        for refused in ("ThreadRunner", "ParallelRunner"):
            if refused in runner:
                raise ConfigError(
                    f"--runner={refused}: fits of one process share PyTorch's random generator, so that "
                    "nodes run one after the other; leave it out. Stages are parallel within: train.jobs, "
                    "features.runner.n_jobs, finetune.jobs and tune.workers say how far"
                )
        for name in sorted(pipeline.inputs()):
            if name.startswith("params:") and name.endswith(".compare"):
                for why in catalog.load(name).refused.values():
                    raise ConfigError(why)


class MissingInputHooks:
    """Tells the datasets whether the node that is about to load them can do without."""

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        from erc_kedro.datasets import missing_is_none

        missing_is_none.set(ACCEPTS_MISSING in node.tags)

    @hook_impl
    def after_dataset_loaded(self) -> None:
        from erc_kedro.datasets import missing_is_none

        missing_is_none.set(False)


class TrackingHooks:
    """Opens the run before the first node and closes it after the last, or when the process ends."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self._context = context

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        assert self._context is not None
        settings = self._context.config_loader["globals"].get("mlflow") or {}
        if not settings.get("uri"):
            return
        from erc_kedro import __version__, tracking

        project = self._context.project_path
        names = run_params.get("pipeline_names") or [run_params.get("pipeline_name") or "__default__"]
        # Kedro hands them over as a set: the same command would have another name each time.
        pipeline = "+".join(sorted(name or "__default__" for name in names))
        parameters = _without_own_runs(self._context.params)
        corpora = run_params.get("namespaces") or []
        tracking.start(
            uri=settings["uri"],
            experiment=settings["experiment"],
            artifacts=project / "mlruns",
            name="kedro run" if pipeline == "__default__" else pipeline,
            tags={
                "pipeline": pipeline,
                "env": self._context.env or "local",
                "experiment": parameters.get("experiment", ""),
                "corpora": ",".join(corpora) or "all",
                "level": "run",
                "command": tracking.command(),
                "erc_kedro.version": __version__,
                "mlflow.source.git.commit": tracking.git_revision(project),
            },
            parameters=parameters,
        )
        atexit.register(tracking.finish, "KILLED")
        # A polite kill unwinds like Ctrl-C, so that children end and files close.
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _leave)

    @hook_impl
    def after_pipeline_run(self) -> None:
        from erc_kedro import tracking

        tracking.finish("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        from erc_kedro import tracking

        tracking.finish("FAILED")


def _without_own_runs(parameters: dict[str, Any]) -> dict[str, Any]:
    """What a corpus compares or searches is logged with the runs that do it."""
    own = ("compare", "tune")
    return {
        key: {k: v for k, v in value.items() if k not in own} if isinstance(value, dict) else value
        for key, value in parameters.items()
        if key != "tune"
    }


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
