"""A recording's results and features, removed."""

import logging
import re
import shutil
from pathlib import Path

from erc_kedro import files
from erc_kedro.sentences import few
from erc_kedro.timelines.scored import INDEX, facts_of, failures, place, uncache, write_index

logger = logging.getLogger(__name__)


def names(folder: Path) -> list[str]:
    """Recordings that have results below a folder, or failed, of whichever model."""
    scored = {path.name for model in _models(folder) for path in model.iterdir() if facts_of(path)}
    return sorted(scored | {one["recording"] for model in _models(folder) for one in failures(model)})


def forget(name: str, folder: Path, cache: Path) -> list[str]:
    """Removes the results of a recording, of whichever model, and what is cached of it.

    Where the same files were scored by another name, too, that is said: a name depends on what it was scored
    with.

    Returns:
        what was removed.
    """
    removed: list[str] = []
    places = set()
    if name.startswith("."):
        return removed
    # What lies beside a folder of results was left by a run that was killed.
    own = re.compile(rf"{re.escape(name)}|\.{re.escape(name)}\.\w+-\d+-\d+\.part")
    for model in _models(folder):
        found = sorted(path for path in model.iterdir() if path.is_dir() and own.fullmatch(path.name))
        failed = any(one["recording"] == name for one in failures(model))
        if not found and not failed:
            continue
        facts = facts_of(model / name)
        if facts:
            places.add(place(facts))
        count = uncache([facts], cache) if facts else 0
        if count:
            removed.append(f"{count} entries of {cache}")
        with files.held([model]):
            for path in found:
                shutil.rmtree(path)
                files.without_lock(path)
                removed.append(str(path))
            if failed:
                removed.append(f"a line of {model / INDEX}")
            write_index([], model, forgotten=name)
    left = {path.name for path in folder.glob("*/*") if (facts := facts_of(path)) and place(facts) in places}
    if left:
        logger.warning(
            "the same recording was scored as %s, too; --params=recording=NAME forgets each",
            few(sorted(left)),
        )
    return removed


def _models(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
