"""Workers end with their parent, and an interruption is never lost."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

# A pool as the pipelines make theirs, whose workers say their numbers and then are busy for a minute.
POOL = {
    "joblib": """
import os, time
from joblib import Parallel, delayed
from erc_kedro import processes
def work(folder):
    open(f"{folder}/{os.getpid()}", "w").close()
    until = time.time() + 60
    while time.time() < until:
        sum(range(1000))
if __name__ == "__main__":
    Parallel(2, "loky", **processes.pool_options())(delayed(work)(FOLDER) for _ in range(2))
""",
    "loky": """
import os, time
from joblib.externals.loky.process_executor import ProcessPoolExecutor
from erc_kedro import processes
def work(folder):
    open(f"{folder}/{os.getpid()}", "w").close()
    time.sleep(60)
if __name__ == "__main__":
    pool = ProcessPoolExecutor(max_workers=1, **processes.pool_options())
    pool.submit(work, FOLDER).result()
""",
}


@pytest.mark.parametrize("kind", POOL)
def test_workers_of_a_killed_parent_end(kind, tmp_path):
    (tmp_path / "seen").mkdir()
    script = tmp_path / "pool.py"
    script.write_text(POOL[kind].replace("FOLDER", repr(str(tmp_path / "seen"))))
    parent = subprocess.Popen([sys.executable, str(script)])
    wanted = 2 if kind == "joblib" else 1
    until = time.monotonic() + 60
    while len(os.listdir(tmp_path / "seen")) < wanted:
        assert time.monotonic() < until, "no worker began"
        time.sleep(0.05)
    workers = [psutil.Process(int(pid)) for pid in os.listdir(tmp_path / "seen")]
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive


def test_a_worker_whose_parent_is_gone_already_ends_at_once():
    # The parent's number is known before the first job: this one was never it.
    script = "import time; from erc_kedro import processes; processes.end_with(1 << 22); time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=20).returncode == 1


SIGNALS = pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 128 + 15)])


@SIGNALS
def test_an_interruption_that_a_library_catches_ends_the_run_at_its_next_step(number, status):
    script = f"""
import signal, time
from erc_kedro import processes, progress
processes.handle_signals()
def library():
    try:
        signal.raise_signal({int(number)})
    except:
        pass
with progress.bar(100, "Working", "step") as bar:
    for step in range(100):
        if step == 3:
            library()
        bar.update()
        assert step < 3
"""
    ran = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=20)
    assert ran.returncode == (-number if number == signal.SIGINT else status), ran.stderr


@SIGNALS
def test_an_interruption_that_hits_a_finaliser_is_not_lost(number, status):
    """Python prints and forgets what is raised there: one Ctrl-C of 23 was swallowed so."""
    script = f"""
import signal, time
from erc_kedro import processes
processes.handle_signals()
class Finalised:
    def __del__(self):
        signal.raise_signal({int(number)})
finalised = Finalised()
del finalised
try:
    time.sleep(30)
except KeyboardInterrupt:
    raise SystemExit(1)
"""
    ran = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=20)
    assert ran.returncode == status, ran.stderr


@SIGNALS
def test_an_interruption_ends_the_run_it_was_for_and_nothing_later(number, status):
    """A notebook goes on after a run that was stopped in it; what it does next was ended at once."""
    script = f"""
import signal
from erc_kedro import processes, progress
processes.handle_signals()
try:
    signal.raise_signal({int(number)})
except BaseException:
    processes.restore_signals()
with progress.bar(2, "Working", "step") as bar:
    bar.update()
signal.raise_signal({int(number)})
"""
    ran = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=20)
    assert b"1/2" in ran.stderr, ran.stderr
    # Python's own handling is back.
    assert ran.returncode == -number
