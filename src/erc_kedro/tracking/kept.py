"""What scoring runs keep of a recording, and how it is forgotten."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from erc_kedro.errors import PlainError
from erc_kedro.tracking import store
from erc_kedro.tracking.runs import Run, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

logger = logging.getLogger(__name__)

FOLDER, TAG = "recordings", "keeps"


def keep(run: Run, recording: str, results: Path) -> None:
    """Keeps a recording's results with a run, as files below ``recordings/NAME/``."""
    run.artifact(results, f"{FOLDER}/{recording}")
    # Whoever forgets looks at these runs alone: to ask each of thousands for its files takes minutes.
    run.tags({TAG: FOLDER})


def forget(recording: str) -> list[str]:
    """Removes what runs keep of a recording, deleted runs as well.

    Where a run's command or parameters name it, that is said: MLflow changes no parameter.

    Returns:
        What was removed, such as ``"MLflow run 1a2b3c4d (score): recordings/call-7"``.

    Raises:
        PlainError: not the name of a recording.
        TrackingError: the store does not answer, or does not delete.
    """
    if recording in ("", ".", "..") or "/" in recording or "\\" in recording:
        raise PlainError(f"recording: {recording!r} is no recording's name, which has no slash")
    found = opened()
    if found is None:
        return []
    client, path = found[0], f"{FOLDER}/{recording}"
    name = re.compile(rf"(?<![\w-]){re.escape(recording)}(?![\w-])")
    with store.explained(client.tracking_uri):
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        removed = []
        for run in _runs(client, f"tags.{TAG} = '{FOLDER}'"):
            files = get_artifact_repository(run.info.artifact_uri, tracking_uri=client.tracking_uri)
            # Found among its neighbours, since some stores answer to any path.
            if any(entry.path == path for entry in files.list_artifacts(FOLDER)):
                files.delete_artifacts(path)
                removed.append(f"MLflow run {run.info.run_id[:8]} ({run.info.run_name}): {path}")
        named = [
            run.info.run_id
            for run in _runs(client, "tags.pipeline LIKE '%score%'")
            if any(map(name.search, (*run.data.params.values(), *run.data.tags.values())))
        ]
    if named:
        logger.warning(
            "%s is still named by the command or parameters of the MLflow runs %s; `mlflow runs delete "
            "--run-id ID`, then `mlflow gc`, removes one with all that it holds",
            recording,
            ", ".join(named),
        )
    return removed


def _runs(client: "MlflowClient", which: str) -> Iterator["MlflowRun"]:
    """Such runs of all experiments, those that were deleted as well."""
    from mlflow.entities import ViewType

    experiments = [one.experiment_id for one in client.search_experiments(view_type=ViewType.ALL)]
    token: str | None = ""
    while token is not None:
        page = client.search_runs(experiments, which, ViewType.ALL, 1000, None, token)
        yield from page
        token = page.token or None
