"""Nodes of the forget pipeline."""

import logging
from pathlib import Path
from typing import Any

from erc_kedro.errors import PlainError

logger = logging.getLogger(__name__)


def forget_recording(name: Any, folder: Path, cache: Path) -> dict[str, Any]:
    """Removes a recording's results, features and MLflow copies, and says what went.

    Args:
        name: of the recording, as its results' folder is called.
        folder: of all models' results.
        cache: of features.

    Returns:
        how much was removed; not of whom.
    """
    from erc_kedro import tracking
    from erc_kedro.sentences import few
    from erc_kedro.timelines import scored

    if not name:
        raise PlainError("say which recording to forget: --params=recording=NAME, as its folder is called")
    removed = scored.forget(name, folder, cache)
    removed += tracking.forget(name)
    if not removed:
        raise PlainError(
            f"recording: {name} has no results below {folder}; there are {few(scored.names(folder))}"
        )
    for one in removed:
        logger.info("removed %s", one)
    logger.info("The recording itself and its transcript were not touched.")
    return {"removed": len(removed)}
