"""Servers answer the browser that asks for them by this machine's name, and no page of a stranger."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

BIN = Path(sys.executable).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def status(port, host, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/", headers={"Host": host, **headers})
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def makefile_line(target):
    """The last command of a target, as make would call it."""
    rules = (Path(__file__).parents[2] / "Makefile").read_text("utf-8").partition(f"\n{target}: ")[2]
    return rules.partition("\n\n")[0].splitlines()[-1].strip("\t@")


@pytest.mark.parametrize("target", ["ui", "viz", "tune-dashboard"])
def test_only_its_own_name_is_answered(project, target):
    port = free_port()
    studies = project.folder / "journal.log"
    backend = optuna.storages.journal.JournalFileBackend(str(studies))
    optuna.create_study(study_name="one", storage=optuna.storages.JournalStorage(backend))
    words = makefile_line(target)
    for name in ("PORT_UI", "PORT_VIZ", "PORT_TUNE"):
        words = words.replace(f"$({name})", str(port))
    words = (
        words.replace("$(BIN)", str(BIN))
        .replace("$(ENV)", "demo")
        .replace("$(STORE)", "sqlite:///mlflow.db")
        .replace("$(STUDIES)", str(studies))
    )
    process = subprocess.Popen(
        words,
        shell=True,
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                assert status(port, f"127.0.0.1:{port}") in (200, 302)
                break
            except ConnectionError:
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert status(port, f"localhost:{port}") in (200, 302)
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.7", ""):
            assert status(port, host) in (400, 403), host
        if target == "tune-dashboard":
            own = f"127.0.0.1:{port}"
            assert status(port, own, Origin="http://evil.example") == 400
            assert status(port, own, Origin=f"http://{own}") == 302
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
