"""The only module that speaks to MLflow: a run per ``kedro run``, a child per corpus, a grandchild per seed.

Runs are opened by id through the client, never through MLflow's global state, so that worker processes
and nested runs cannot open strays. Where no run was started (a notebook, a unit test), children log nothing.
"""

import hashlib
import json
import logging
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc_kedro.errors import PlainError
from erc_kedro.schemas import TrackedRun

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

logger = logging.getLogger(__name__)

# Names the open run to worker processes, which inherit it: a JSON list [uri, experiment id, run id].
VARIABLE = "ERC_KEDRO_RUN"
# MLflow's own limits for one batch.
METRICS_A_BATCH, PARAMS_A_BATCH, PARAM_LENGTH = 1000, 100, 6000
# What follows the name of a mean in that of its deviation over seeds.
DEVIATION = ".std"
NAME_LENGTH = 250 - len(DEVIATION)
# Other signs than letters, digits and _-. /; what would read as an escape or a deviation; and slashes and
# full stops by which MLflow, which takes names for paths, would find two names in one place.
_NOT_ADMITTED = re.compile(r"[^\w\-. /]|-(?=u[0-9A-F])|\.(?=std\Z)|/(?=\.{0,2}(?:/|\Z))|\A/|\A\.(?=\.|/|\Z)")

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

# How many runs a page shows where none were chosen, and the file of a run's predictions.
LATEST, PREDICTIONS = 20, "test/predictions.parquet"

_current: ContextVar[str | None] = ContextVar("current", default=None)
_clients: dict[str, "MlflowClient"] = {}


class Run:
    """An open MLflow run; without an id it swallows what it is given."""

    def __init__(self, client: "MlflowClient | None", run_id: str | None) -> None:
        self._client = client
        self.id = run_id

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Logs nested parameters under dotted names."""
        if self._client is None or self.id is None:
            return
        from mlflow.entities import Param

        flat = [Param(logged_name(key), str(value)[:PARAM_LENGTH]) for key, value in flatten(values).items()]
        for first in range(0, len(flat), PARAMS_A_BATCH):
            self._client.log_batch(self.id, params=flat[first : first + PARAMS_A_BATCH])

    def metrics(self, values: Mapping[str, float], deviations: Mapping[str, float] | None = None) -> None:
        """Logs final metrics; NaN is left out, since the UI draws it as a number.

        Args:
            deviations: those of metrics over seeds, by the same names; logged with ``DEVIATION`` after them.
        """
        named = [(logged_name(name), value, 0) for name, value in values.items()]
        named += [(logged_name(name) + DEVIATION, value, 0) for name, value in (deviations or {}).items()]
        self._metrics(named)

    def curves(self, history: "pd.DataFrame", step: str = "epoch") -> None:
        """Logs every numeric column of a table against its column ``step``, in batches."""
        numeric = history.select_dtypes("number").drop(columns=[step])
        self._metrics(
            [
                (logged_name(str(name)), value, int(at))
                for name in numeric
                for value, at in zip(numeric[name], history[step], strict=True)
            ]
        )

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keeps a file, or a folder's files, with the run."""
        if self._client is None or self.id is None:
            return
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        log(self.id, str(path), folder)

    def text(self, text: str, name: str) -> None:
        """Keeps a text as a file of that name."""
        if self._client is not None and self.id is not None:
            self._client.log_text(self.id, text, name)

    def tags(self, values: Mapping[str, Any]) -> None:
        """Sets tags."""
        if self._client is None or self.id is None:
            return
        for key, value in values.items():
            self._client.set_tag(self.id, key, str(value))

    def _metrics(self, rows: list[tuple[str, float, int]]) -> None:
        if self._client is None or self.id is None:
            return
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        flat = [Metric(n, float(v), now, step) for n, v, step in rows if v == v]
        for first in range(0, len(flat), METRICS_A_BATCH):
            self._client.log_batch(self.id, metrics=flat[first : first + METRICS_A_BATCH])


def start(
    uri: str,
    experiment: str,
    artifacts: Path,
    name: str,
    tags: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> Run:
    """Opens the run of this process and marks as KILLED those whose process is gone.

    Args:
        uri: the tracking store, such as ``sqlite:///mlflow.db``.
        artifacts: the folder under which a new experiment keeps its files.
    """
    client = _client(uri)
    known = client.get_experiment_by_name(experiment)
    if known:
        experiment_id = known.experiment_id
    else:
        location = (artifacts / experiment).resolve().as_uri()
        experiment_id = client.create_experiment(experiment, location)
        client.set_experiment_tag(experiment_id, f"mlflow.sharedViewState.{VIEW}", json.dumps(_VIEW_STATE))
    _bury(client, experiment_id)
    run_id = _open(client, experiment_id, name, tags)
    os.environ[VARIABLE] = json.dumps([uri, experiment_id, run_id])
    run = Run(client, run_id)
    run.parameters(parameters)
    return run


def current() -> Run:
    """The innermost open run."""
    opened = os.environ.get(VARIABLE)
    if opened is None:
        return Run(None, None)
    uri, _, root = json.loads(opened)
    return Run(_client(uri), _current.get() or root)


def finish(status: str) -> None:
    """Ends this process's run as FINISHED, FAILED or KILLED; a second call does nothing."""
    opened = os.environ.pop(VARIABLE, None)
    if opened is not None:
        uri, _, run_id = json.loads(opened)
        _client(uri).set_terminated(run_id, status)


@contextmanager
def child(name: str, tags: Mapping[str, Any]) -> Iterator[Run]:
    """A run under the current one, which ends FINISHED, FAILED (an exception) or KILLED (an interruption)."""
    opened = os.environ.get(VARIABLE)
    if opened is None:
        yield Run(None, None)
        return
    uri, experiment_id, root = json.loads(opened)
    client = _client(uri)
    parent = _current.get() or root
    run_id = _open(
        client, experiment_id, name, {**tags, "mlflow.parentRunId": parent, "mlflow.rootRunId": root}
    )
    token = _current.set(run_id)
    status = "FINISHED"
    try:
        yield Run(client, run_id)
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        raise
    finally:
        _current.reset(token)
        client.set_terminated(run_id, status)


class UnknownRunError(PlainError, ValueError):
    """No such MLflow run; the message names it and those there are."""


def runs(chosen: Sequence[str]) -> list[TrackedRun]:
    """Runs of a corpus and experiment, by id or name; one of a whole ``kedro run`` stands for its corpora.

    Args:
        chosen: ids (or their first eight signs or more) or names, in the order to show them; for none, the
            latest ``LATEST`` runs, the newest first.

    Raises:
        UnknownRunError: nothing tracked is called so.
    """
    opened = os.environ.get(VARIABLE)
    if opened is None:
        if chosen:
            raise UnknownRunError(
                f"runs: {list(chosen)}: nothing is tracked here (globals mlflow.uri is empty)"
            )
        return []
    uri, experiment_id, _ = json.loads(opened)
    client = _client(uri)
    known = [
        run
        for run in client.search_runs([experiment_id], "tags.level = 'corpus'", max_results=50_000)
        if run.info.status != "RUNNING"
    ]
    if not chosen:
        return [_past(client, run) for run in known[:LATEST]]
    found = []
    for name in chosen:
        own = [run for run in known if _is_called(run, name)]
        if not own:
            latest = ", ".join(f"{run.info.run_id[:8]} ({run.info.run_name})" for run in known[:5])
            raise UnknownRunError(
                f"runs: no MLflow run is called {name!r}; the latest are {latest or 'none'}"
            )
        # A name may be that of many runs: the newest is meant. An id of a whole run means all its corpora.
        found += own if own[0].info.run_name != name else own[:1]
    return [_past(client, run) for run in {run.info.run_id: run for run in found}.values()]


def _is_called(run: "MlflowRun", name: str) -> bool:
    tags = run.data.tags
    ids = (run.info.run_id, tags.get("mlflow.parentRunId", ""), tags.get("mlflow.rootRunId", ""))
    return run.info.run_name == name or (len(name) >= 8 and any(own.startswith(name) for own in ids))


def _past(client: "MlflowClient", run: "MlflowRun") -> TrackedRun:
    import pandas as pd
    from mlflow.exceptions import MlflowException

    predictions = None
    try:
        if any(file.path == PREDICTIONS for file in client.list_artifacts(run.info.run_id, "test")):
            path = client.download_artifacts(run.info.run_id, PREDICTIONS)
            # Other heads and training's utterances would fill the memory for nothing.
            predictions = pd.read_parquet(path, filters=[("head", "==", "tav"), ("split", "!=", "train")])
    except (OSError, MlflowException) as error:
        logger.warning("run %s: its predictions cannot be read (%s)", run.info.run_id, error)
    return TrackedRun(
        run.info.run_id,
        run.info.run_name,
        datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        run.info.status,
        run.data.tags,
        run.data.params,
        run.data.metrics,
        predictions,
    )


def attach(text: str, name: str, tags: Mapping[str, str]) -> None:
    """Keeps a text with every run that has these tags, such as a card with its model."""
    opened = os.environ.get(VARIABLE)
    if opened is None:
        return
    uri, experiment_id, _ = json.loads(opened)
    client = _client(uri)
    terms = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
    for run in client.search_runs([experiment_id], " and ".join(terms), max_results=1000):
        client.log_text(run.info.run_id, text, name)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level of dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if hasattr(value, "model_dump"):
            value = value.model_dump(mode="json")
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return flat


def command() -> str:
    """What was typed to start this process."""
    return " ".join(["kedro", *sys.argv[1:]])


def git_revision(folder: Path) -> str:
    """The commit of a checkout, with ``+changes`` where files differ from it; ``unknown`` elsewhere."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _client(uri: str) -> "MlflowClient":
    if uri not in _clients:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # Schema migrations announce each step; a first run would print dozens of lines.
        for name in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.WARNING)
        from mlflow import MlflowClient

        _clients[uri] = MlflowClient(tracking_uri=uri)
    return _clients[uri]


def _open(client: "MlflowClient", experiment_id: str, name: str, tags: Mapping[str, Any]) -> str:
    own = {"process": f"{platform.node()}:{os.getpid()}", "mlflow.source.name": "kedro run"}
    every = {key: str(value) for key, value in {**own, **tags}.items()}
    return client.create_run(experiment_id, run_name=name, tags=every).info.run_id


def _bury(client: "MlflowClient", experiment_id: str) -> None:
    """A process that was killed outright could not end its runs; they end here."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'", max_results=1000):
        host, _, pid = run.data.tags.get("process", "").rpartition(":")
        if host == platform.node() and pid.isdigit() and not _alive(int(pid)):
            client.set_terminated(run.info.run_id, "KILLED")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def logged_name(key: str) -> str:
    """The name under which MLflow keeps a metric or parameter; no two keys share one.

    Most keys are their own names. What MLflow does not admit is written ``-uHEX-`` after its code point, as
    are a hyphen that would look like the start of that and a full stop before a last ``std``. What is too
    long is cut, and ends with ``-u`` and a hash.
    """
    name = _NOT_ADMITTED.sub(lambda match: f"-u{ord(match[0]):X}-", key)
    if len(name) <= NAME_LENGTH:
        return name
    digest = hashlib.sha256(key.encode()).hexdigest()[:16].upper()
    return f"{name[: NAME_LENGTH - 18]}-u{digest}"
