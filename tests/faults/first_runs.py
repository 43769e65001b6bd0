"""First runs that are killed, and first runs at once: ``python tests/faults/first_runs.py [KILLS [SEED]]``.

Each try has a folder without a store. A run that tracks as ``kedro run`` does is killed at a random moment,
half of the times within a second of the store's appearing; the next one must end well, leave nothing RUNNING
and nothing beside the store. Then 2 and 20 first runs at once must all end well. Prints a table; no pytest.
"""

import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

# Imported once: children are forked.
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

from erc_kedro import tracking

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def begin(folder: Path) -> int:
    """Starts a run in a process of its own and returns that one's number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        said = os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        os.dup2(said, 1)
        os.dup2(said, 2)
        tracking.start(tracking.located("sqlite:///mlflow.db", folder), "first", "root", {}, {"a": 1})
        with tracking.child("child", {}) as run:
            run.metrics({"score": 1.0})
            run.text("text", "text.txt")
        tracking.finish("FINISHED")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def statuses(folder: Path) -> Counter[str]:
    with sqlite3.connect(folder / "mlflow.db") as store:
        return Counter(status for (status,) in store.execute("select status from runs"))


def killed(folder: Path, draw: random.Random) -> tuple[str, str]:
    """The signal that a first run got, and what the next one came to."""
    number = draw.choice(SIGNALS)
    pid = begin(folder)
    soon = draw.random() < 0.5
    while not (folder / "mlflow.db").exists() if soon else not list(folder.glob("mlflow.db*")):
        time.sleep(0.002)
    time.sleep(draw.random() * (1 if soon else 5))
    os.kill(pid, number)
    ended(pid)
    code, found = ended(begin(folder)), statuses(folder)
    left = [*folder.glob("*.new-*"), *folder.glob("mlflow.db.open/*")]
    well = code == 0 and found["FINISHED"] >= 2 and not found["RUNNING"] and not left
    return number.name, "goes on" if well else f"LOST: exit {code}, {dict(found)}, {left}, {folder}"


def at_once(folder: Path, runs: int) -> str:
    codes = [ended(pid) for pid in [begin(folder) for _ in range(runs)]]
    well = not any(codes) and statuses(folder) == {"FINISHED": 2 * runs}
    return "all end well" if well else f"LOST: {codes}, {folder}"


def main(kills: int = 40, seed: int = 0) -> None:
    draw, table = random.Random(seed), Counter[tuple[str, str]]()
    for tries in [killed] * kills + [2] * 8 + [20] * 2:
        folder = Path(tempfile.mkdtemp())
        result = tries(folder, draw) if callable(tries) else (f"{tries} at once", at_once(folder, tries))
        table[result] += 1
        if not result[1].startswith("LOST"):
            shutil.rmtree(folder)
    for (what, came), count in sorted(table.items()):
        print(f"{what:12} {came}: {count}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
