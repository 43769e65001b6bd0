"""Where runs are kept: a store that is whole before anybody opens it, and errors that say what to fix.

An SQLite store is a file. Beside it lie ``mlruns/`` with its artifacts and, in ``<file>.open/``, a lock for
each run that is going on. What other stores look like is MLflow's business.
"""

import glob
import logging
import os
import re
import sqlite3
import textwrap
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

from erc_kedro.errors import PlainError

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

# How long another program may keep an SQLite store from being written, as in MLflow; how long runs of this
# package wait for each other's turn, and for one that makes the store.
BUSY_SECONDS, TURN_SECONDS, MAKING_SECONDS = 20, 120, 600
# MLflow would try for four minutes, and wait two for each answer.
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}
# They announce each step of a migration, print what is said better here, and report every retry.
LOUD = {
    "alembic": logging.WARNING,
    "mlflow.pyfunc": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
    "urllib3": logging.ERROR,
}

# Where MLflow keeps them, by table, column and key.
_LOCATIONS = (
    ("runs", "artifact_uri", "run_uuid"),
    ("logged_models", "artifact_location", "model_id"),
    ("model_versions", "source", "rowid"),
    ("model_versions", "storage_location", "rowid"),
)

WITHOUT = "run without tracking (--params=mlflow.uri= or an empty mlflow.uri in globals.yml)"
FIXES = {
    "locked": "another program is writing to it: end that (`fuser -v` with the file's name says which)",
    "readonly|unable to open|denied|Read-only|No such": "its file and folder must be writable by you",
    "disk is full|No space": "make room on its disk",
    "No module named": "install its driver, such as psycopg[binary] for PostgreSQL or mysqlclient for MySQL",
    "not a database|malformed": "move the file away, and the next run makes a new one",
}

SCHEMES = {
    "sqlite",
    "postgresql",
    "mysql",
    "mssql",
    "http",
    "https",
    "databricks",
    "databricks-uc",
    "uc",
    "file",
    "",
}

_clients: dict[str, "MlflowClient"] = {}


class TrackingError(PlainError, RuntimeError):
    """Runs cannot be tracked; the message names the store and the fix."""


def connect(uri: str) -> "MlflowClient":
    """The client of a store; an SQLite store that is not there, or was left half made, is made.

    Raises:
        TrackingError: it cannot be used.
    """
    if uri not in _clients:
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        if urlsplit(uri).scheme.partition("+")[0] not in SCHEMES:
            raise TrackingError(
                f"{shown(uri)}: no store that MLflow knows; write sqlite:///mlflow.db or the address of a "
                f"server, such as http://127.0.0.1:5000, or {WITHOUT}"
            )
        # Asked before MLflow is imported, which takes seconds.
        _refuse_silent(uri)
        prepare(uri)
        with explained(uri):
            from mlflow import MlflowClient

            _clients[uri] = MlflowClient(tracking_uri=uri)
    return _clients[uri]


def _refuse_silent(uri: str) -> None:
    if not uri.startswith("http"):
        return
    import ssl
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    with explained(uri), impatient():
        try:
            urlopen(uri, timeout=int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])).close()
        except HTTPError:
            # It answers; what it has to say is MLflow's to read.
            return
        except URLError as error:
            # So are certificates, for which MLflow has settings of its own.
            if not isinstance(error.reason, ssl.SSLError):
                raise


def located(uri: str, folder: Path) -> str:
    """The same store, its file absolute: a relative one lies below the folder."""
    from sqlalchemy.engine import make_url

    file = sqlite_file(uri)
    if file is None:
        return uri
    absolute = os.path.abspath(folder / file)
    return make_url(uri).set(database=absolute).render_as_string(hide_password=False)


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for any other."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database
    return Path(name) if name and name != ":memory:" and not name.startswith("file:") else None


def prepare(uri: str) -> None:
    """Makes an SQLite store whole, if it is not, and has it follow its artifacts, if it was moved.

    It is built beside and renamed, under a lock: whoever is killed meanwhile leaves none, and of many first
    runs one builds. A store that a killed migration left is filled from the one built if it holds nothing.

    Raises:
        TrackingError: it cannot be used, or another version of MLflow made it.
    """
    for name, level in LOUD.items():
        logging.getLogger(name).setLevel(level)
    file = sqlite_file(uri)
    if file is not None:
        with explained(uri):
            _make(file)
            _follow(file)


def _make(file: Path) -> None:
    from mlflow.store.db.utils import _get_latest_schema_revision

    wanted = _get_latest_schema_revision()
    if _revision(file) == wanted:
        return
    from filelock import FileLock

    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock", timeout=MAKING_SECONDS):
        if _revision(file) != wanted:
            _build(file, wanted)


def _migrate(built: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"sqlite:///{built}", str(built.parent / "mlruns")).engine.dispose()


def _build(file: Path, wanted: str) -> None:
    for left in file.parent.glob(f"{glob.escape(file.name)}.new-*"):
        left.unlink()
    built = file.with_name(f"{file.name}.new-{uuid4().hex}")
    try:
        _migrate(built)
        if not file.exists():
            built.rename(file)
        elif _holds_nothing(file, built):
            refuse_unwritable(f"sqlite:///{file}")
            # Into the same file, since others may have it open, and under SQLite's own locks and journal.
            with closing(_open(built)) as whole, closing(_open(file)) as half:
                whole.backup(half)
            logger.warning("%s was left half made by a run that was killed, and was empty: made anew", file)
        else:
            raise TrackingError(
                f"{file}: its tables are of another MLflow (schema {_revision(file)}, not {wanted}): "
                f"copy the file, then `mlflow db upgrade sqlite:///{file}`; if a newer MLflow made it, "
                f"install that, or {WITHOUT}"
            )
    finally:
        built.unlink(missing_ok=True)


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=BUSY_SECONDS)


def _revision(file: Path) -> str | None:
    if not file.exists():
        return None
    with closing(_open(file)) as store:
        try:
            row = store.execute("select version_num from alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            row = None
    return row[0] if row else None


def _holds_nothing(file: Path, fresh: Path) -> bool:
    """Whether no table has more rows than in a fresh store, which has an experiment and a workspace."""
    held, in_fresh = _rows(file), _rows(fresh)
    return all(rows <= in_fresh.get(table, 0) for table, rows in held.items())


def _rows(file: Path) -> dict[str, int]:
    with closing(_open(file)) as store:
        tables = [name for (name,) in store.execute("select name from sqlite_master where type = 'table'")]
        return {name: store.execute(f'select count(*) from "{name}"').fetchone()[0] for name in tables}


def refuse_unwritable(uri: str) -> None:
    """Finds out in seconds what MLflow would try for minutes.

    Raises:
        TrackingError: an SQLite store is locked, read-only or damaged.
    """
    file = sqlite_file(uri)
    if file is not None:
        with explained(uri), closing(_open(file)) as store:
            # Nothing stays of it, but the file must be open to change, and its folder to a journal.
            store.execute("begin immediate")
            store.execute(f"create table probe_{uuid4().hex} (x)")
            store.rollback()


@contextmanager
def turn(uri: str) -> Iterator[None]:
    """Lets one process at a time write to an SQLite store.

    SQLite lets writers try again until they are lucky, and of twenty at once some never were.
    """
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    from filelock import FileLock

    with FileLock(f"{file}.lock", timeout=TURN_SECONDS):
        yield


def artifacts(uri: str, experiment: str) -> str | None:
    """Where a new experiment keeps its files: beside an SQLite store, else where the store has it."""
    file = sqlite_file(uri)
    return None if file is None else _beside(file, experiment)


def _beside(file: Path, experiment: str) -> str:
    # A name is a name: no part of it climbs out of mlruns/.
    folder = re.sub(r"\A\.+", lambda dots: "%2E" * len(dots[0]), quote(experiment, safe=" "))
    return (file.parent.resolve() / "mlruns" / folder).as_uri()


def _follow(file: Path) -> None:
    """Points experiments, runs and models of a store that was moved to the artifacts beside it.

    MLflow keeps absolute locations. Files that stayed where they were are left there.
    """
    with closing(_open(file)) as store, store:
        for number, name, kept in store.execute(
            "select experiment_id, name, artifact_location from experiments"
        ).fetchall():
            here = _beside(file, str(number) if kept.endswith(f"/mlruns/{number}") else name)
            was, now = local_path(kept), local_path(here)
            if was == now or was.parts[-2:] != now.parts[-2:]:
                continue
            store.execute(
                "update experiments set artifact_location = ? where experiment_id = ?", (here, number)
            )
            logger.info("%s: artifacts of %s are kept in %s from now on", file, name, now)
            for table, location, key in _LOCATIONS:
                within = f"select {key}, {location} from {table} where substr({location}, 1, ?) = ?"
                for row, its in store.execute(within, (len(kept) + 1, f"{kept}/")).fetchall():
                    moved = here + its.removeprefix(kept)
                    if local_path(moved).exists() or not local_path(its).exists():
                        store.execute(f"update {table} set {location} = ? where {key} = ?", (moved, row))


def local_path(location: str) -> Path:
    """Where artifacts lie whose location is a file: URI or a path."""
    return Path(unquote(urlsplit(location).path) if location.startswith("file:") else location)


def hold(uri: str) -> "BaseFileLock | None":
    """A lock beside an SQLite store that is held until this process releases it or is gone.

    Its name says to any process of this kernel, in whatever container, whether a run is still going on.
    """
    file = sqlite_file(uri)
    if file is None:
        return None
    from filelock import FileLock

    folder = file.with_name(f"{file.name}.open")
    with explained(uri):
        folder.mkdir(exist_ok=True)
        for left in folder.iterdir():
            is_held(uri, left.name)
        lock = FileLock(folder / uuid4().hex, thread_local=False)
        lock.acquire(timeout=BUSY_SECONDS)
    return lock


def release(lock: "BaseFileLock | None") -> None:
    """Gives back and removes a lock."""
    if lock is not None:
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def is_held(uri: str, name: str) -> bool:
    """Whether a living process holds the lock of this name; one that nobody does is removed."""
    file = sqlite_file(uri)
    path = file.with_name(f"{file.name}.open") / Path(name).name if file else None
    if path is None or not path.exists():
        return False
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return True
    release(lock)
    return False


@contextmanager
def impatient() -> Iterator[None]:
    """Within, a server has seconds to answer, unless the user says otherwise in MLflow's variables."""
    changed = {name: value for name, value in IMPATIENT.items() if os.environ.get(name) == DEFAULTS[name]}
    os.environ.update(changed)
    try:
        yield
    finally:
        os.environ.update({name: DEFAULTS[name] for name in changed})


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turns whatever goes wrong with a store into a sentence.

    Raises:
        TrackingError: names the store, what happened and the fix.
    """
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        why = reason(error)
        if uri.startswith("http"):
            fixes = ["start that server or name another (mlflow.uri, MLFLOW_TRACKING_URI)"]
        else:
            fixes = [fix for pattern, fix in FIXES.items() if re.search(pattern, why)]
        raise TrackingError(f"{shown(uri)}: {why}; " + ", or ".join([*fixes, WITHOUT])) from error


def reason(error: BaseException) -> str:
    """What was at the bottom of an error, on one line."""
    deeper: BaseException | None = error
    while deeper is not None:
        error = deeper
        deeper = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return textwrap.shorten(str(error) or type(error).__name__, 300, placeholder=" …")


def shown(uri: str) -> str:
    """A store's address without a password."""
    return re.sub(r"//[^/@]*@", "//…@", uri)
