"""All that speaks to MLflow: a run per ``kedro run``, a child per corpus, a grandchild per seed."""

from erc_kedro.tracking.names import git_revision
from erc_kedro.tracking.past import LATEST, UnknownRunError, attach, runs
from erc_kedro.tracking.runs import Run, child, current, finish, start
from erc_kedro.tracking.store import TrackingError, located

__all__ = [
    "LATEST",
    "Run",
    "TrackingError",
    "UnknownRunError",
    "attach",
    "child",
    "current",
    "finish",
    "git_revision",
    "located",
    "runs",
    "start",
]
