"""Kedro's hooks: every ``kedro run`` is an MLflow run that ends as what it was."""

import atexit
import logging
import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kedro.framework import project
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import MemoryDataset
from kedro.pipeline import Node, Pipeline

from erc_kedro import processes
from erc_kedro.config import ConfigError, check_mapping
from erc_kedro.dotted import is_dotted
from erc_kedro.errors import PlainError
from erc_kedro.escaping import Visible
from erc_kedro.surroundings import unwritable

# A node with this tag gets None for an input that was never made; any other node gets an error.
ACCEPTS_MISSING = "accepts_missing"


class LoggingHooks:
    """Messages quote names and texts of data, which may hold what commands a terminal: it is made visible."""

    @hook_impl
    def after_context_created(self) -> None:
        for handler in logging.getLogger().handlers:
            if not isinstance(handler.formatter, Visible):
                handler.setFormatter(Visible(handler.formatter))


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
        if run_params.get("load_versions"):
            raise ConfigError(
                "--load-versions: no dataset keeps versions here; leave it out. What earlier runs predicted "
                "is kept with their MLflow runs: --pipeline=reporting --params=runs=[ID]"
            )
        for name in sorted(pipeline.inputs()):
            if name.startswith("params:") and name.endswith(".compare"):
                compared = catalog.load(name)
                for why in compared.refused.values():
                    raise ConfigError(why)
                for experiment, train in compared.experiments.items():
                    _refuse_network(train.model, f"experiment {experiment}: ")
            elif name.startswith("params:") and name.endswith(".train"):
                _refuse_network(catalog.load(name).model)
        nodes = pipeline.nodes
        if run_params.get("only_missing_outputs"):
            nodes = [node for node in nodes if not all(catalog.exists(name) for name in node.outputs)]
        _refuse_missing(nodes, run_params, pipeline, catalog)
        _refuse_unwritable(nodes, catalog)


def _refuse_network(model: Any, where: str = "") -> None:
    """Refuses a class that cannot be imported, and settings that a network has not."""
    if model.settings or is_dotted(model.architecture):
        # It imports torch.
        from erc_kedro.models.architectures import ArchitectureError, resolved

        try:
            resolved(model)
        except ArchitectureError as error:
            raise ConfigError(f"{where}{error}") from error


def _refuse_missing(nodes: list[Node], run_params: dict[str, Any], pipeline: Pipeline, catalog: Any) -> None:
    """Before the first node, not after hours of it, a run ends of what none of its nodes makes."""
    from erc_kedro.datasets import Folder

    for node in nodes:
        if ACCEPTS_MISSING in node.tags:
            continue
        given = {name: catalog.get(name) for name in sorted(pipeline.inputs() & set(node.inputs))}
        missing = [
            name
            for name, dataset in given.items()
            # A folder is made when it is read; what is in no catalog, Kedro refuses itself.
            if not isinstance(dataset, Folder | None) and not catalog.exists(name)
        ]
        in_memory = _never_on_disk(missing, catalog)
        if in_memory:
            raise ConfigError(_left_out(node, in_memory, run_params, catalog))
        for name in missing:
            # Says what makes it.
            catalog.load(name)


def _never_on_disk(names: Iterable[str], catalog: Any) -> set[str]:
    return {
        name for name in names if isinstance(catalog.get(name), MemoryDataset) and not catalog.exists(name)
    }


def _left_out(node: Node, names: set[str], run_params: dict[str, Any], catalog: Any) -> str:
    every = {maker for known in project.pipelines.values() for maker in known.nodes}
    makers: list[str] = []
    wanted = names
    while wanted:
        found = sorted(maker for maker in every if wanted & set(maker.outputs))
        makers += [maker.name for maker in found if maker.name not in makers]
        # What they read may never be on disk either.
        wanted = _never_on_disk({name for maker in found for name in maker.inputs}, catalog)
    option = "nodes" if run_params.get("node_names") else "from-nodes"
    named = [*(run_params.get("node_names") or run_params.get("from_nodes") or ()), *makers]
    return (
        f"{node.name} reads {', '.join(sorted(names))}, which is never on disk, and {', '.join(makers)}, "
        f"which makes it, is left out; add it, such as by --{option}={','.join(named)}, or end before "
        f"{node.name} (--to-nodes)"
    )


def _refuse_unwritable(nodes: list[Node], catalog: Any) -> None:
    for node in nodes:
        for name in node.outputs:
            path = _path_of(catalog.get(name))
            why = unwritable(path) if path else None
            if why is not None:
                raise PlainError(f"{name}: {why}")


def _path_of(dataset: Any) -> Path | None:
    """The file or folder that a dataset is kept in; None in memory."""
    path = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
    return Path(path) if path else None


class InterruptionHooks:
    """Ctrl-C and a polite kill end a run wherever they hit it."""

    @hook_impl
    def before_pipeline_run(self) -> None:
        processes.handle_signals()

    @hook_impl
    def before_dataset_loaded(self) -> None:
        processes.raise_if_interrupted()

    @hook_impl
    def after_node_run(self) -> None:
        processes.raise_if_interrupted()


class LockHooks:
    """Lets no two runs write one output at once: the second waits for the first, and says so.

    Runs that write other outputs, such as other experiments, go on beside each other; and so do the processes
    that fill one study (``many_writers`` in the catalog). What is only read is not locked.
    """

    def __init__(self) -> None:
        self._held = ExitStack()

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Any) -> None:
        from erc_kedro import files

        outputs = [catalog.get(name) for name in sorted(pipeline.all_outputs())]
        paths = [
            path
            for dataset in outputs
            if (path := _path_of(dataset)) and not (dataset.metadata or {}).get("many_writers")
        ]
        self._held.enter_context(files.held(paths))

    @hook_impl
    def after_pipeline_run(self) -> None:
        self.release()

    @hook_impl
    def on_pipeline_error(self) -> None:
        self.release()

    def release(self) -> None:
        """Gives back what the run held, however it ended; a second call does nothing."""
        self._held.close()


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
        from erc_kedro import __version__, tracking

        project = self._context.project_path
        uri, experiment = _store(self._context)
        if not uri:
            return
        names = run_params.get("pipeline_names") or [run_params.get("pipeline_name") or "__default__"]
        # Kedro hands them over as a set: the same command would have another name each time.
        pipeline = "+".join(sorted(name or "__default__" for name in names))
        parameters = _without_own_runs(self._context.params)
        command = processes.command()
        if pipeline == "forget":
            # Else the run would remember whom it forgot.
            parameters, command = {}, "kedro run --pipeline=forget"
        corpora = run_params.get("namespaces") or []
        tracking.start(
            uri=uri,
            experiment=experiment,
            name="kedro run" if pipeline == "__default__" else pipeline,
            tags={
                "pipeline": pipeline,
                "env": self._context.env or "local",
                "experiment": parameters.get("experiment", ""),
                "corpora": ",".join(corpora) or "all",
                "level": "run",
                "command": command,
                "erc_kedro.version": __version__,
                "mlflow.source.git.commit": tracking.git_revision(project),
            },
            parameters=parameters,
        )
        atexit.register(tracking.finish, "KILLED")

    @hook_impl
    def after_pipeline_run(self) -> None:
        from erc_kedro import tracking

        tracking.finish("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        from erc_kedro import tracking

        tracking.finish("FAILED")


def _store(context: KedroContext) -> tuple[str, str]:
    """Where runs are tracked, and as which experiment; the first is empty where they are not.

    The command line wins over MLflow's own variables, and these over globals.yml; an empty ``uri`` over all.
    """
    from erc_kedro.tracking import located

    configured = context.config_loader["globals"].get("mlflow") or {}
    typed = (context.config_loader.runtime_params or {}).get("mlflow") or {}
    check_mapping(typed, "mlflow")
    settings = {**configured, **typed}
    if not settings.get("uri"):
        return "", ""
    asked = os.environ.get("MLFLOW_TRACKING_URI")
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    uri = (
        located(asked, Path.cwd())
        if asked and "uri" not in typed
        else located(settings["uri"], context.project_path)
    )
    return uri, experiment if experiment and "experiment" not in typed else settings["experiment"]


def _without_own_runs(parameters: dict[str, Any]) -> dict[str, Any]:
    """What a corpus compares or searches is logged with the runs that do it."""
    own = ("compare", "tune")
    return {
        key: {k: v for k, v in value.items() if k not in own} if isinstance(value, dict) else value
        for key, value in parameters.items()
        if key != "tune"
    }
