"""What the command line costs before anything runs."""

import shutil
import subprocess
import sys
import tarfile

HEAVY = ("torch", "sklearn", "mlflow", "transformers", "plotly")


def test_every_runnable_name_is_listed(project):
    listed = project.command("registry", "list")
    names = {line.removeprefix("- ").strip() for line in listed.splitlines() if line.startswith("- ")}
    assert names >= {"__default__", "demo", "ingestion", "features", "train", "reporting"}


def test_the_registry_imports_nothing_heavy(project):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from kedro.framework.startup import bootstrap_project\n"
        "from kedro.framework.project import pipelines, settings\n"
        "bootstrap_project(Path.cwd())\n"
        "assert len(pipelines['__default__'].nodes) > 10\n"
        "import erc_kedro\n"
        "assert Path(erc_kedro.__file__).is_relative_to(Path.cwd()), erc_kedro.__file__\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_package_runs_in_an_empty_folder_with_an_archive_of_configuration(project, tmp_path):
    with tarfile.open(tmp_path / "conf-erc_kedro.tar.gz", "w:gz") as archive:
        archive.add(project.folder / "conf", "conf")
    # Where the package is installed, no configuration lies beside it.
    shutil.copytree(project.folder / "src", tmp_path / "site")
    (tmp_path / "empty").mkdir()
    words = ["--env=demo", "--pipelines=ingestion"]
    asked = {"module": "erc_kedro", "below": str(tmp_path / "empty"), "PYTHONPATH": str(tmp_path / "site")}
    said = project.command(*words, succeeds=False, **asked)
    assert "no configuration is there" in said
    archived = project.command(
        *words, f"--conf-source={tmp_path / 'conf-erc_kedro.tar.gz'}", succeeds=False, **asked
    )
    assert "CorpusError: data/demo/01_raw/" in archived
    assert "Traceback" not in said + archived


def test_a_run_from_a_subfolder_reads_and_writes_where_the_project_is(demo_copy):
    notebooks = demo_copy.folder / "notebooks"
    notebooks.mkdir()
    before = demo_copy.files()
    raw = "meld_raw=../data/demo/01_raw/meld"
    words = ("run", "--env=demo", "--pipeline=ingestion", f"--params={raw}")
    said = demo_copy.kedro(*words, below="notebooks")
    # Logged as in the project.
    assert "Loading data from" not in said
    after = demo_copy.files()
    assert [path.name for path in notebooks.iterdir()] == []
    written = {name for name in after if after[name][0] != before[name][0]}
    assert {f"data/demo/03_primary/{corpus}/utterances.parquet" for corpus in ("meld", "iemocap")} <= written
    assert set(after) == set(before)
    assert [run.info.status for run in demo_copy.runs()] == ["FINISHED"]
