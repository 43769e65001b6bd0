"""A corpus of hostile names, texts, labels, paths and files goes through everything, and commands nothing."""

import http.server
import shutil
import subprocess
import threading

import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from tests import hostile

# Every process of the project notes what it writes elsewhere, and whom it calls.
GUARD = """
import os, sys
WITNESS = {witness!r}
ALLOWED = ({folder!r}, WITNESS, sys.prefix, "/dev/")
def note(event, given):
    if event == "socket.connect" and isinstance(given[1], tuple) and given[1][0] not in ("127.0.0.1", "::1"):
        said = f"calls {{given[1]}}"
    elif event == "socket.getaddrinfo" and given[0] not in ("127.0.0.1", "localhost", None):
        said = f"looks up {{given[0]}}"
    elif event == "open" and isinstance(given[0], str) and isinstance(given[2], int) and given[2] & 3:
        path = os.path.realpath(given[0])
        if path.startswith(ALLOWED):
            return
        said = f"writes {{path}}"
    elif event in ("os.system", "pty.spawn"):
        said = f"{{event}} {{given}}"
    else:
        return
    with os.fdopen(os.open(WITNESS, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a") as file:
        file.write(said + "\\n")
sys.addaudithook(note)
with open(WITNESS, "a") as file:
    file.write("watching\\n")
"""
CONFIGURATION = {
    "conf/local/globals.yml": "corpora: [hostile]\n",
    "conf/local/parameters_hostile.yml": """
hostile:
  ingestion: {reader: manifest, raw: data/01_raw/hostile.parquet}
  features:
    text: {extractor: tfidf}
    audio: {extractor: functionals}
    runner: {n_jobs: 1}
""",
}


@pytest.fixture(scope="module")
def walked(new_project):
    """A project that did everything with the corpus, what it printed, and what asked the server."""
    project = new_project()
    asked = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hostile.corpus(project.folder / "data/01_raw", f"http://127.0.0.1:{server.server_port}")
        for name, text in CONFIGURATION.items():
            project.write(name, text)
        project.write(
            "conf/local/parameters_train.yml",
            (project.folder / "conf/demo/parameters_train.yml").read_text().replace("seeds: 2", "seeds: 1"),
        )
        witness = project.folder.parent / "witness"
        project.write("src/sitecustomize.py", GUARD.format(witness=str(witness), folder=str(project.folder)))
        # What libraries keep for themselves goes into the project, too, so that all else is seen.
        (project.folder / "tmp").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(project.folder / "tmp"))
            patch.setenv("HOME", str(project.folder / "tmp"))
            printed = project.kedro(
                "run",
                "--pipelines=ingestion,features,train,compare,contributions,reporting",
                "--params=experiments=[concat]",
                first="sitecustomize",
            )
        server.shutdown()
    said = witness.read_text() if witness.exists() else ""
    return project, printed, asked, said


def test_nothing_was_called_or_written_elsewhere(walked):
    project, _, asked, said = walked
    assert "watching" in said
    said = said.replace("watching\n", "")
    assert asked == []
    assert said == ""
    assert not list(project.folder.parent.rglob("PWNED"))
    assert {path.name for path in project.folder.parent.iterdir()} == {"erc", "witness"}


def test_the_terminal_was_told_nothing(walked):
    _, printed, _, _ = walked
    assert not set(printed) & {"\x1b", "\0", "\x08", "\x07", "\x9b", "\u202e", "\u2066"}
    assert "Traceback" not in printed


def test_every_utterance_is_there_with_its_reason(walked):
    project, _, _, _ = walked
    table = pd.read_parquet(project.folder / "data/04_feature/hostile/audio.parquet")
    assert len(table) == 120
    reasons = table["reason"].value_counts()
    assert reasons["ok"] >= 20
    assert set(reasons.index) <= {
        "ok",
        "no_media",
        "unreadable",
        "too_short",
        "silent",
        "no_audio",
        "too_slow",
    }


def test_no_page_or_table_obeys_the_data(walked):
    project, _, _, _ = walked
    kinds = (".html", ".md", ".csv", ".tex", ".json")
    folders = [
        project.folder / name for name in ("data/03_primary", "data/07_model_output", "data/08_reporting")
    ]
    folders.append(project.folder / "mlruns")
    paths = [path for folder in folders for path in folder.rglob("*") if path.suffix in kinds]
    assert {path.suffix for path in paths} == set(kinds)
    names = {path.name for path in paths}
    assert names >= {"report.html", "report.md", "runs.html", "comparison.md", "comparison.csv", "hostile.md"}
    assert names >= {"hostile_errors.csv", "hostile_errors.tex", "confusion_test.csv", "model_card.md"}
    assert [what for path in paths for what in hostile.violations(path, get_plotlyjs())] == []


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex (Debian's texlive-latex-base) is not there"
)
def test_every_table_compiles(walked, tmp_path):
    project, _, _, _ = walked
    for number, path in enumerate(sorted((project.folder / "data/08_reporting").rglob("*.tex"))):
        page = tmp_path / f"t{number}.tex"
        page.write_text(
            "\\documentclass{article}\n\\begin{document}\n" + path.read_text("utf-8") + "\n\\end{document}\n",
            "utf-8",
        )
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", page.name],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"{path.name}: {done.stdout.decode(errors='replace')[-1500:]}"
