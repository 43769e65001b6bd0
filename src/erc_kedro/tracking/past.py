"""Runs that have ended: found for comparison, and given what is written about them later."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from erc_kedro.errors import PlainError
from erc_kedro.schemas import TrackedRun
from erc_kedro.tracking import store
from erc_kedro.tracking.runs import Run, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

logger = logging.getLogger(__name__)

# How many runs a page shows where none were chosen, and the file of a run's predictions.
LATEST, PREDICTIONS = 20, "test/predictions.parquet"


class UnknownRunError(PlainError, ValueError):
    """No such MLflow run; the message names it and those there are."""


def runs(chosen: Sequence[str]) -> list[TrackedRun]:
    """Runs of a corpus and experiment, by id or name; one of a whole ``kedro run`` stands for its corpora.

    Args:
        chosen: ids (or their first eight characters or more) or names, in the order to show them; for none,
            the latest ``LATEST`` runs, the newest first, each that says the same as a newer one left out: it
            reused the same models.

    Raises:
        UnknownRunError: nothing tracked is called so.
        TrackingError: the store does not answer, and runs were chosen.
    """
    found = opened()
    if found is None:
        if chosen:
            raise UnknownRunError(
                f"runs: {list(chosen)}: nothing is tracked here (mlflow.uri is empty, or no answer)"
            )
        return []
    client, experiment_id, _ = found
    try:
        with store.explained(client.tracking_uri):
            ended = client.search_runs([experiment_id], "tags.level = 'corpus'", max_results=50_000)
    except store.TrackingError as error:
        if chosen:
            raise
        logger.warning("no runs are compared: %s", error)
        return []
    known = [run for run in ended if run.info.status != "RUNNING"]
    if not chosen:
        newest: dict[str, MlflowRun] = {}
        for run in known:
            newest.setdefault(_content(run), run)
        return [_past(client, run) for run in list(newest.values())[:LATEST]]
    meant = []
    for name in chosen:
        own = [run for run in known if _is_called(run, name)]
        if not own:
            latest = ", ".join(f"{run.info.run_id[:8]} ({run.info.run_name})" for run in known[:5])
            raise UnknownRunError(
                f"runs: no MLflow run is called {name!r}; the latest are {latest or 'none'}"
            )
        # A name may be that of many runs: the newest is meant. An id of a whole run means all its corpora.
        meant += own if own[0].info.run_name != name else own[:1]
    return [_past(client, run) for run in {run.info.run_id: run for run in meant}.values()]


def _content(run: "MlflowRun") -> str:
    """What a run says of its fits: where they came from, and their scores to the last digit."""
    tags = [run.data.tags.get(name) for name in ("corpus", "experiment")]
    parameters = {name: value for name, value in run.data.params.items() if name != "git_revision"}
    return json.dumps([*tags, run.info.status, parameters, run.data.metrics], sort_keys=True)


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
            # Files that are here already are read where they are; what a server sends is not left behind.
            here = run.info.artifact_uri.startswith(("file:", "/"))
            with TemporaryDirectory() as folder:
                path = client.download_artifacts(run.info.run_id, PREDICTIONS, None if here else folder)
                # Other heads and training's utterances would fill the memory for nothing.
                wanted = [("head", "==", "tav"), ("split", "!=", "train")]
                predictions = pd.read_parquet(path, filters=wanted)
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
    found = opened()
    if found is None:
        return
    client, experiment_id, _ = found
    terms = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
    try:
        runs = client.search_runs([experiment_id], " and ".join(terms), max_results=1000)
    except Exception as error:
        logger.warning("%s is kept with no earlier run (%s)", name, store.reason(error))
        return
    for run in runs:
        Run(client, run.info.run_id).text(text, name)
