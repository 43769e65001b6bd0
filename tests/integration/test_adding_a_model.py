"""docs/adding-a-model.md works word for word after `make demo`."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-model.md"
STEP = re.compile(r"Write `([^`]+)`.*?```\w+\n(.*?)```", re.DOTALL)
COMMANDS = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def test_a_stranger_s_network_is_compared_as_the_page_says(demo_copy):
    page = PAGE.read_text("utf-8")
    assert len(page.splitlines()) < 60
    for name, text in STEP.findall(page):
        demo_copy.write(name, text)
    assert {"src/my_models.py", "conf/base/experiments/dialogue_mean.yml"} == {
        name for name, _ in STEP.findall(page)
    }
    # As an activated environment has it; the tests' own may be called otherwise.
    bin_ = demo_copy.folder.parent / "bin"
    bin_.mkdir()
    (bin_ / "kedro").write_text(f'#!/bin/sh\nexec {sys.executable} -m kedro "$@"\n')
    (bin_ / "kedro").chmod(0o755)
    # In worker processes, which must find the class as well.
    demo_copy.write("conf/demo/parameters_train.yml", "train: {epochs: 3, warmup_epochs: 1, jobs: 2}\n")
    [commands] = COMMANDS.findall(page)
    environment = {**demo_copy.environment, "PATH": f"{bin_}:/usr/bin:/bin"}
    ran = subprocess.run(
        ["bash", "-ec", commands],
        cwd=demo_copy.folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("| dialogue_mean | text, audio, visual | 1 |") == 2
    rows = pd.read_parquet(demo_copy.folder / "data/demo/08_reporting/comparison/comparison.parquet")
    own = rows[rows["experiment"] == "dialogue_mean"]
    assert list(own["corpus"]) == ["meld", "iemocap"]
    assert own["weighted_f1"].between(0, 1, inclusive="right").all()
    # A wrong name is refused before anything is read or trained.
    said = demo_copy.kedro(
        "run",
        "--env=demo",
        "--params=experiment=dialogue_mean,train.model.settings.widht=3",
        succeeds=False,
    )
    assert "train.model.settings.widht: my_models:DialogueMean has no such setting; it has width" in said
    assert "Running node" not in said
