"""All that speaks to MLflow: a run per ``kedro run``, a child per corpus, a grandchild per seed."""

from erc_kedro.tracking.kept import forget, keep
from erc_kedro.tracking.models import UnknownModelError, register, resolve
from erc_kedro.tracking.names import git_revision
from erc_kedro.tracking.past import LATEST, UnknownRunError, attach, runs
from erc_kedro.tracking.runs import Run, child, current, finish, start
from erc_kedro.tracking.store import TrackingError, located

__all__ = [
    "LATEST",
    "Run",
    "TrackingError",
    "UnknownModelError",
    "UnknownRunError",
    "attach",
    "child",
    "current",
    "finish",
    "forget",
    "git_revision",
    "keep",
    "located",
    "register",
    "resolve",
    "runs",
    "start",
]
