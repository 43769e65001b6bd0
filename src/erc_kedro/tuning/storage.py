"""Where studies lie: a journal, a database, or Optuna's gRPC proxy before one."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from erc_kedro.config import ConfigError

JOURNAL = "journal.log"


@cache
def storage(where: str, folder: Path) -> BaseStorage:
    """What ``tune.storage`` names; opened once a process.

    Raises:
        ConfigError: it cannot be opened.
    """
    try:
        if where == "journal":
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / JOURNAL
            _drop_cut_line(path)
            return optuna.storages.JournalStorage(JournalFileBackend(str(path)))
        if where.startswith("grpc://"):
            host, _, port = where.removeprefix("grpc://").partition(":")
            with quiet():
                proxy = optuna.storages.GrpcStorageProxy(host=host, port=int(port or 13000))
            proxy.wait_server_ready(timeout=10)
            return proxy
        return optuna.storages.RDBStorage(where)
    except Exception as error:
        why = re.sub(r"://\S+@", "://…@", (str(error) or repr(error)).splitlines()[0])
        raise ConfigError(
            f"tune.storage: {re.sub('://[^/]+@', '://…@', where)} cannot be opened ({why}); "
            "write journal, the URL of a database such as sqlite:///tune.db, or grpc://HOST:PORT"
        ) from error


def _drop_cut_line(path: Path) -> None:
    """Removes a last line that a crash of the machine cut short, which would spoil the one after it."""
    if not path.exists():
        return
    lock = JournalFileSymlinkLock(str(path))
    # Others may be in the middle of writing.
    lock.acquire()
    try:
        with path.open("rb+") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's words on what is experimental, or will be gone in its next version."""
    with warnings.catch_warnings():
        for kind in (optuna.exceptions.ExperimentalWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        yield
