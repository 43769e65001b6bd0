"""What is written appears whole or not at all, and one run at a time writes it."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pandas as pd
import pytest
from kedro.io import DatasetError

from erc_kedro.datasets import Table, Texts
from erc_kedro.errors import PlainError
from erc_kedro.files import LOCKS, held, replacing, share


def _write_and_read(folder, number):
    """Writes one target over and over, and reads it each time; how often it was torn."""
    torn = 0
    for turn in range(25):
        with replacing(folder / "text") as path:
            path.write_text(f"{number}:{turn} " * 4000)
        text = (folder / "text").read_text()
        torn += len(set(text.split())) != 1 or len(text.split()) != 4000
        table = pd.DataFrame({"own": [number * 100 + turn] * 4000})
        Table(filepath=str(folder / "table")).save(table)
        read = pd.read_parquet(folder / "table")
        torn += read["own"].nunique() != 1 or len(read) != 4000
    return torn


def test_what_many_write_at_once_is_never_torn(tmp_path):
    with ThreadPoolExecutor(2) as threads:
        beside = [threads.submit(_write_and_read, tmp_path, number) for number in (1, 2)]
        # Forked beside threads that write, a process may inherit a lock that nobody opens again.
        with get_context("spawn").Pool(2) as pool:
            torn = pool.starmap(_write_and_read, [(tmp_path, number) for number in (3, 4)])
        torn += [one.result() for one in beside]
    assert sum(torn) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table", "text"]


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path):
    left = f"""
import os, signal
from pathlib import Path
from erc_kedro.files import replacing
with replacing(Path({str(tmp_path / "x[1]")!r})) as path:
    path.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", left], check=False).returncode == -signal.SIGKILL
    [half] = tmp_path.iterdir()
    # Of a living process, of another machine, and of another target.
    kept = {half.name.replace("half", "")[:-5].rsplit("-", 2)[0] + f"-{os.getppid()}-0.part"}
    kept |= {".x[1].0123abcd-1-0.part", half.name.replace("x[1]", "y")}
    for name in kept:
        (tmp_path / name).write_text("other")
    with replacing(tmp_path / "x[1]") as path:
        path.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"x[1]", *kept}
    assert (tmp_path / "x[1]").read_text() == "whole"


def test_a_full_disk_leaves_the_earlier_version_and_is_said_in_a_sentence(tmp_path):
    """A limit on the size of files fails as a full disk does, in the midst of writing."""
    script = f"""
import resource, sys
import numpy as np, pandas as pd, torch
from pathlib import Path
from safetensors.torch import save_file
from kedro.io import DatasetError
from erc_kedro.datasets import Table
from erc_kedro.errors import PlainError
from erc_kedro.files import replacing
from erc_kedro.training import checkpoint
folder = Path({str(tmp_path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
big = torch.rand(100_000)
def weights():
    with replacing(folder / "weights") as path:
        save_file({{"w": big}}, path)
def table():
    Table(filepath=str(folder / "table")).save(pd.DataFrame({{"x": np.random.rand(100_000)}}))
def text():
    with replacing(folder / "text") as path:
        path.write_text("x" * 100_000)
for write in (weights, table, text, lambda: checkpoint.save(folder, "key", {{"w": big}})):
    try:
        write()
    except (PlainError, DatasetError) as error:
        print(str(error).splitlines()[-1])
"""
    for name in ("weights", "table", "text", "checkpoint.pt"):
        (tmp_path / name).write_text("earlier")
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    said = ran.stdout.splitlines()
    assert len(said) == 4, ran.stdout + ran.stderr
    for name, sentence in zip(("weights", "table", "text", "checkpoint.pt"), said, strict=True):
        assert sentence.startswith(f"{tmp_path / name} outgrew what this account may write; raise it")
        assert (tmp_path / name).read_text() == "earlier"
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_cannot_be_written_says_the_mend(tmp_path, number):
    said = f"{re.escape(str(tmp_path / 'x'))}.*(free some|Give this account the right).*`data: FOLDER`"

    def save():
        with replacing(tmp_path / "x"):
            try:
                raise OSError(number, os.strerror(number))
            except OSError as error:
                raise DatasetError("Failed while saving") from error

    with pytest.raises(PlainError, match=said):
        save()


def test_another_error_stays_what_it_was(tmp_path):
    with pytest.raises(FileNotFoundError, match="of the writer"), replacing(tmp_path / "x"):
        raise FileNotFoundError(errno.ENOENT, "of the writer")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_replaced_whole_wherever_its_writer_is_killed(tmp_path):
    """Killed while it removed the earlier one, the demo left a part of it, and then took that for foreign."""
    script = """
import os, shutil, signal, sys
from pathlib import Path
from erc_kedro.files import replacing_folder
def killed(event, arguments):
    # The audit events of what replaces and removes.
    if event in ("os.rename", "os.rmdir", "os.remove", "shutil.rmtree"):
        killed.left -= 1
        if killed.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
killed.left = int(sys.argv[2])
with replacing_folder(Path(sys.argv[1])) as beside:
    for name in "ab":
        (beside / name).write_text(sys.argv[2])
    sys.addaudithook(killed)
"""
    target = tmp_path / "corpora"
    ends = []
    for steps in range(20):
        ran = subprocess.run([sys.executable, "-c", script, str(target), str(steps)], check=False)
        ends.append(ran.returncode)
        if target.exists():
            texts = [(target / name).read_text() for name in "ab"]
            assert texts[0] == texts[1]
            assert len(list(target.iterdir())) == 2
        if ran.returncode == 0:
            break
    assert set(ends[:-1]) == {-signal.SIGKILL}
    assert ends[-1] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"corpora", LOCKS}


@pytest.mark.parametrize("takes", [held, replacing], ids=["lock", "file"])
def test_what_lies_in_the_way_is_said_in_a_sentence(tmp_path, takes):
    (tmp_path / "folder").mkdir()
    for blocked in (tmp_path / "folder" / LOCKS, tmp_path / "file"):
        blocked.write_text("in the way")
    target = tmp_path / "folder/x" if takes is held else tmp_path / "file/x"
    said = f"{re.escape(str(target))} cannot be written: .*Move away"
    with pytest.raises(PlainError, match=said), takes([target] if takes is held else target):
        pass


HOLD = """
import sys, time
from pathlib import Path
from erc_kedro.files import held
sys.argv = ["kedro", "run", "--pipeline=train"]
with held([Path({path!r})]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_waits_and_says_for_whom(tmp_path, caplog):
    target = tmp_path / "experiment"
    holder = subprocess.Popen([sys.executable, "-c", HOLD.format(path=str(target))], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    threading.Timer(0.5, holder.kill).start()
    # Killed outright, it holds nothing any more.
    with held([target, tmp_path / "other"]):
        assert holder.wait() == -signal.SIGKILL
    assert f"being written by `kedro run --pipeline=train` (process {holder.pid}" in caplog.text
    assert str(target) in caplog.text
    with held([target]):
        caplog.clear()
    assert not caplog.text


def test_a_process_may_take_what_it_has_and_others_what_it_gave_back(tmp_path):
    with held([tmp_path / "a"]), held([tmp_path / "b", tmp_path / "a"]):
        pass
    taken = subprocess.run(
        [sys.executable, "-c", HOLD.format(path=str(tmp_path / "a")).replace("time.sleep(60)", "pass")],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert taken.stdout == b"held\n"
    assert json.loads((tmp_path / LOCKS / "a").read_text())["command"] == "kedro run --pipeline=train"


def test_locks_lie_together_in_the_project_and_not_among_its_outputs(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    with held([tmp_path / "data/a/b.c", tmp_path / "data/a.b/c", tmp_path / "data" / ("x" * 200) / "y"]):
        assert len(list((tmp_path / LOCKS).iterdir())) == 3
    assert not (tmp_path / "data").exists()


def test_locks_of_many_outputs_never_wait_for_each_other(tmp_path):
    """Every run takes them in one order, whatever order it asks in."""
    paths = [tmp_path / name for name in "abcdef"]
    script = """
import sys
from pathlib import Path
from erc_kedro.files import held
for _ in range(10):
    with held([Path(name) for name in sys.argv[1:]]):
        pass
"""
    started = [
        subprocess.Popen([sys.executable, "-c", script, *map(str, order)], stderr=subprocess.DEVNULL)
        for order in (paths, paths[::-1], paths[3:] + paths[:3])
    ]
    assert [process.wait(timeout=60) for process in started] == [0, 0, 0]


def test_a_folder_of_texts_holds_what_was_saved_last_and_nothing_else(tmp_path):
    dataset = Texts(path=str(tmp_path / "tables"))
    dataset.save({"a.csv": "1", "b.csv": "2"})
    dataset.save({"b.csv": "3", "c.csv": "4"})
    found = {path.name: path.read_text() for path in (tmp_path / "tables").iterdir()}
    assert found == {"b.csv": "3", "c.csv": "4"}
    cards = Texts(path=str(tmp_path / "cards"), filename_suffix=".md")
    cards.save({"meld": "x", "iemocap": "y"})
    cards.save({"meld": "z"})
    assert [path.name for path in (tmp_path / "cards").iterdir()] == ["meld.md"]


def test_weights_are_shared_and_what_may_be_edited_is_copied(tmp_path):
    for name in ("model.safetensors", "bundle.json"):
        (tmp_path / name).write_text("as it was")
        share(tmp_path / name, tmp_path / f"of_{name}")
        assert (tmp_path / f"of_{name}").read_text() == "as it was"
    assert (tmp_path / "of_model.safetensors").samefile(tmp_path / "model.safetensors")
    (tmp_path / "of_bundle.json").write_text("edited")
    assert (tmp_path / "bundle.json").read_text() == "as it was"
    # The hub's cache holds links, which another machine has not.
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "model.safetensors")
    share(tmp_path / "link.safetensors", tmp_path / "copy.safetensors")
    assert not (tmp_path / "copy.safetensors").is_symlink()
