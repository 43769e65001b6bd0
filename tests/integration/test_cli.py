"""What the command line costs before anything runs."""

import subprocess
import sys

HEAVY = ("torch", "sklearn", "mlflow", "transformers", "plotly", "pandas")


def test_every_runnable_name_is_listed(project):
    listed = project.kedro("registry", "list")
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
