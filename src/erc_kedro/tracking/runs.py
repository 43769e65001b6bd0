"""Runs that are going on: opened, logged to and ended through MLflow's client, by id.

MLflow's global state is never used, so that worker processes and nested runs cannot open strays. Where no
run was started (a notebook, a unit test), children log nothing. What cannot be logged is said and costs no
computation: only ``start`` raises, before there is any.
"""

import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc_kedro.processes import alive, identity, machine
from erc_kedro.tracking import store
from erc_kedro.tracking.names import DEVIATION, flatten, logged_name

if TYPE_CHECKING:
    import pandas as pd
    from filelock import BaseFileLock
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

logger = logging.getLogger(__name__)

# Names the open run to worker processes, which inherit it: a JSON list [uri, experiment id, run id].
VARIABLE = "ERC_KEDRO_RUN"
# MLflow's own limits for one batch.
METRICS_A_BATCH, PARAMS_A_BATCH, PARAM_LENGTH = 1000, 100, 6000
# A longer curve is drawn no finer, and stores take seconds for each ten thousand points.
POINTS_A_CURVE = 2000

# A view that the UI opens with viewStateShareKey=corpora: the corpora of all runs in one table, with scores.
VIEW = "corpora"
_VIEW_STATE = {
    "searchFilter": "tags.level = 'corpus'",
    # Sorted by a metric, the UI lists runs side by side instead of under their parents.
    "orderByKey": "metrics.`test.weighted_f1`",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
    "selectedColumns": [
        *(f"metrics.`{name}`" for name in ("test.accuracy", "test.macro_f1", "test.weighted_f1")),
        *(f"metrics.`{name}`" for name in ("test.weighted_f1.std", "val.weighted_f1")),
        *(f"tags.`{name}`" for name in ("corpus", "experiment", "protocol", "synthetic")),
    ],
}

_current: ContextVar[str | None] = ContextVar("current", default=None)
# Stores that stopped answering while runs were going on; nothing more is tried there.
_lost: set[str] = set()
_held: "BaseFileLock | None" = None


class Run:
    """An open MLflow run; without an id it swallows what it is given."""

    def __init__(self, client: "MlflowClient | None", run_id: str | None) -> None:
        self._client = client
        self.id = run_id

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Logs nested parameters under dotted names."""

        def log(client: "MlflowClient", run_id: str) -> None:
            from mlflow.entities import Param

            named = flatten(values).items()
            flat = [Param(logged_name(key), str(value)[:PARAM_LENGTH]) for key, value in named]
            for first in range(0, len(flat), PARAMS_A_BATCH):
                with store.turn(client.tracking_uri):
                    client.log_batch(run_id, params=flat[first : first + PARAMS_A_BATCH])

        self.attempt("its parameters", log)

    def metrics(self, values: Mapping[str, float], deviations: Mapping[str, float] | None = None) -> None:
        """Logs final metrics; NaN is left out, since the UI draws it as a number.

        Args:
            deviations: those of metrics over seeds, by the same names; logged with ``DEVIATION`` after them.
        """
        named = [(logged_name(name), value, 0) for name, value in values.items()]
        named += [(logged_name(name) + DEVIATION, value, 0) for name, value in (deviations or {}).items()]
        self._metrics("its scores", named)

    def curves(self, history: "pd.DataFrame", step: str = "epoch") -> None:
        """Logs every numeric column of a table against its column ``step``.

        Of more than ``POINTS_A_CURVE`` rows, about as many are logged, evenly spread, and the last one.
        """
        every = max(1, math.ceil(len(history) / POINTS_A_CURVE))
        thinned = history.iloc[sorted({*range(0, len(history), every), *range(len(history))[-1:]})]
        numeric = thinned.select_dtypes("number").drop(columns=[step])
        self._metrics(
            "its curves",
            [
                (logged_name(str(name)), value, int(at))
                for name in numeric
                for value, at in zip(numeric[name], thinned[step], strict=True)
            ],
        )

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keeps a file, or a folder's files, with the run."""

        def log(client: "MlflowClient", run_id: str) -> None:
            (client.log_artifacts if path.is_dir() else client.log_artifact)(run_id, str(path), folder)

        self.attempt(folder or path.name, log)

    def text(self, text: str, name: str) -> None:
        """Keeps a text as a file of that name."""
        self.attempt(name, lambda client, run_id: client.log_text(run_id, text, name))

    def tags(self, values: Mapping[str, Any]) -> None:
        """Sets tags."""

        def log(client: "MlflowClient", run_id: str) -> None:
            from mlflow.entities import RunTag

            with store.turn(client.tracking_uri):
                client.log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in values.items()])

        self.attempt("its tags", log)

    def _end(self, status: str) -> None:
        def log(client: "MlflowClient", run_id: str) -> None:
            with store.turn(client.tracking_uri):
                client.set_terminated(run_id, status)

        self.attempt("its end", log)

    def _metrics(self, what: str, rows: list[tuple[str, float, int]]) -> None:
        def log(client: "MlflowClient", run_id: str) -> None:
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            flat = [Metric(n, float(v), now, step) for n, v, step in rows if v == v]
            for first in range(0, len(flat), METRICS_A_BATCH):
                with store.turn(client.tracking_uri):
                    client.log_batch(run_id, metrics=flat[first : first + METRICS_A_BATCH])

        self.attempt(what, log)

    def attempt(self, what: str, log: "Callable[[MlflowClient, str], object]") -> None:
        """Calls a function of client and run id; what it cannot log is said, and costs no computation."""
        if self._client is None or self.id is None or self._client.tracking_uri in _lost:
            return
        try:
            log(self._client, self.id)
        except Exception as error:
            _missed(self._client, self.id, what, error)


def start(
    uri: str, experiment: str, name: str, tags: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Run:
    """Opens the run of this process and marks as KILLED those whose process is gone.

    Args:
        uri: the tracking store, such as ``sqlite:///mlflow.db``.

    Raises:
        TrackingError: the store cannot be used, or does not answer within seconds.
    """
    global _held
    _lost.discard(uri)
    client = store.connect(uri)
    with store.explained(uri), store.impatient(), store.turn(uri):
        store.refuse_unwritable(uri)
        experiment_id = _experiment(client, uri, experiment)
        _end_dead_runs(client, uri, experiment_id)
        # Held before the run is seen, so that nobody takes it for a dead one's.
        _held = store.hold(uri)
        run_id = _open(client, experiment_id, name, tags)
    os.environ[VARIABLE] = json.dumps([uri, experiment_id, run_id])
    run = Run(client, run_id)
    run.parameters(parameters)
    return run


def current() -> Run:
    """The innermost open run."""
    found = opened()
    if found is None:
        return Run(None, None)
    client, _, root = found
    return Run(client, _current.get() or root)


def finish(status: str) -> None:
    """Ends this process's run as FINISHED, FAILED or KILLED; a second call does nothing."""
    global _held
    root = os.environ.pop(VARIABLE, None)
    if root is not None:
        uri, _, run_id = json.loads(root)
        try:
            # Tried even where the store was lost: it may be back.
            with store.impatient():
                client = store.connect(uri)
                with store.turn(uri):
                    client.set_terminated(run_id, status)
                    if uri in _lost:
                        client.set_tag(run_id, "not_kept", "what came after tracking stopped")
        except Exception as error:
            logger.warning(
                "MLflow run %s in %s could not be ended as %s (%s); the next run there ends it",
                run_id,
                store.shown(uri),
                status,
                store.reason(error),
            )
    store.release(_held)
    _held = None


@contextmanager
def child(name: str, tags: Mapping[str, Any]) -> Iterator[Run]:
    """A run under the current one, which ends FINISHED, FAILED (an exception) or KILLED (an interruption)."""
    found = opened()
    if found is None:
        yield Run(None, None)
        return
    client, experiment_id, root = found
    parent = _current.get() or root
    family = {"mlflow.parentRunId": parent, "mlflow.rootRunId": root}
    try:
        with store.turn(client.tracking_uri):
            run_id = _open(client, experiment_id, name, {**tags, **family})
    except Exception as error:
        _missed(client, parent, f"the run {name}", error)
        yield Run(None, None)
        return
    token = _current.set(run_id)
    status = "FINISHED"
    try:
        yield Run(client, run_id)
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        raise
    finally:
        _current.reset(token)
        Run(client, run_id)._end(status)


def opened() -> "tuple[MlflowClient, str, str] | None":
    """Client, experiment and root run of what is going on; None where nothing is tracked, or no longer."""
    root = os.environ.get(VARIABLE)
    if root is None:
        return None
    uri, experiment_id, run_id = json.loads(root)
    if uri in _lost:
        return None
    try:
        return store.connect(uri), experiment_id, run_id
    except store.TrackingError as error:
        _stop(uri, error)
        return None


def _missed(client: "MlflowClient", run_id: str, what: str, error: Exception) -> None:
    """Says what is not logged, in the run as well; where the store does not take even that, it is lost."""
    try:
        with store.impatient():
            client.set_tag(run_id, "not_kept", what)
    except Exception:
        _stop(client.tracking_uri, error)
    else:
        logger.warning("MLflow run %s: %s could not be logged (%s)", run_id, what, store.reason(error))


def _stop(uri: str, error: Exception) -> None:
    _lost.add(uri)
    logger.warning(
        "%s: tracking stopped (%s). The run goes on, and its results are written as ever. Once the store "
        "answers, the same command reuses what was trained, and logs it.",
        store.shown(uri),
        store.reason(error),
    )


def _experiment(client: "MlflowClient", uri: str, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            made = client.create_experiment(name, store.artifacts(uri, name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # Another first run was faster.
            found = client.get_experiment_by_name(name)
            assert found is not None
        else:
            client.set_experiment_tag(made, f"mlflow.sharedViewState.{VIEW}", json.dumps(_VIEW_STATE))
            return made
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
        logger.warning("MLflow's experiment %s was deleted: restored, with its runs", name)
    if uri.startswith("http") and found.artifact_location.startswith(("file:", "/")):
        logger.warning(
            "MLflow's experiment %s keeps its files in %s of whoever runs, not with the server; another name "
            "(mlflow.experiment) makes one whose files the server keeps",
            name,
            found.artifact_location,
        )
    return found.experiment_id


def _open(client: "MlflowClient", experiment_id: str, name: str, tags: Mapping[str, Any]) -> str:
    own = {"process": json.dumps([machine(), *identity()]), "mlflow.source.name": "kedro run"}
    lease = {"lease": Path(_held.lock_file).name} if _held else {}
    every = {key: str(value) for key, value in {**own, **lease, **tags}.items()}
    return client.create_run(experiment_id, run_name=name, tags=every).info.run_id


def _end_dead_runs(client: "MlflowClient", uri: str, experiment_id: str) -> None:
    """A process that was killed outright could not end its runs; they end here."""
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'", max_results=1000)
    for run in running:
        # Asked again: who is gone may have ended it since.
        if _is_gone(run, uri) and client.get_run(run.info.run_id).info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")


def _is_gone(run: "MlflowRun", uri: str) -> bool:
    """Whether nobody can be running it any more; in doubt, such as on another machine, somebody can."""
    import psutil

    process, lease = run.data.tags.get("process", ""), run.data.tags.get("lease")
    try:
        where, pid, started = json.loads(process)
    except (ValueError, TypeError):
        # As it was written once: host:pid. Who began after the run has its number by chance.
        host, _, number = process.rpartition(":")
        if host != platform.node() or not number.isdigit():
            return False
        try:
            return psutil.Process(int(number)).create_time() > run.info.start_time / 1000
        except psutil.NoSuchProcess:
            return True
    if where == machine():
        return not alive(pid, started)
    # Another container of this kernel, or this host before it was started anew: what it held shows it.
    near = any(ours == its for ours, its in zip(machine().split()[:2], str(where).split()[:2], strict=False))
    return lease is not None and near and not store.is_held(uri, lease)
