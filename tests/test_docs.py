"""What the documents promise a reader: lines that fit, links that lead somewhere, commands that exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from erc_kedro.config import merge

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
# What people type in a shell, alone on a line or quoted in a sentence.
TARGET = re.compile(r"(?:^\s*|`|&& )make ([a-z][a-z-]*)", re.MULTILINE)
PIPELINES = re.compile(r"kedro run\b[^\n`]*?--pipelines?=([\w,]+)")
MODULE = re.compile(r"python -m ((?:benchmarks|tests)\.[\w.]+)")
PARAMETERS = re.compile(r"--params=([^\s`]+)")


def id_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines outside of tables, formulas and blocks of code."""
    fenced = formula = False
    before = ""
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif line.strip() == "$$":
            formula = not formula
        else:
            indented = line.startswith("    ") and (not before.strip() or before.startswith("    "))
            if not (fenced or formula or indented or line.startswith("|")):
                yield number, line
        before = line


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    found: dict[str, int] = {}
    names = set()
    for _, line in prose(page):
        if not re.match(r"#{1,6} ", line):
            continue
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line.lstrip("#").strip())
        name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        times = found.get(name, 0)
        found[name] = times + 1
        names.add(f"{name}-{times}" if times else name)
    return names


def links(page: Path) -> list[str]:
    """Targets of a page's links and pictures, but for those in code."""
    text = "\n".join(line for _, line in prose(page)) + "\n" + _tables(page)
    return LINK.findall(re.sub(r"`[^`]*`", "", text))


def _tables(page: Path) -> str:
    return "\n".join(line for line in page.read_text("utf-8").splitlines() if line.startswith("|"))


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_lines_fit_into_100_columns_and_paragraphs_are_short(page):
    lines = list(prose(page))
    # Where a link leads counts for nothing: it cannot be broken.
    wide = [number for number, line in lines if len(re.sub(r"\]\([^)\s]+\)|<https?:\S+>", "]", line)) > 99]
    assert not wide, f"lines of 100 columns or more: {wide}"
    long, length, last = [], 0, 0
    for number, line in [*lines, (0, "")]:
        starts = re.match(r"\s*([-*]|\d+\.) |#", line)
        if not line.strip() or starts or number != last + 1:
            long += [last] * (length > 5)
            length = 0
        length += bool(line.strip())
        last = number
    assert not long, f"paragraphs of six lines or more end at {long}"


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_links_lead_to_a_file_and_a_heading(page):
    broken = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken


def test_every_page_is_reached_from_the_readme():
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page not in reached and page.suffix == ".md" and page.exists():
            reached.add(page)
            left += [(page.parent / target.partition("#")[0]).resolve() for target in links(page)]
    assert set(PAGES) <= reached, sorted(id_of(page) for page in set(PAGES) - reached)


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_commands_exist(page):
    text = page.read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    there = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    assert set(TARGET.findall(text)) <= there
    pipelines = {path.parent.name for path in (ROOT / "src/erc_kedro/pipelines").glob("*/pipeline.py")}
    named = {name for names in PIPELINES.findall(text) for name in names.split(",")}
    assert named <= pipelines
    modules = {name.replace(".", "/") for name in MODULE.findall(text)}
    assert all((ROOT / f"{name}.py").exists() or (ROOT / name).is_dir() for name in modules)


def test_the_readme_names_every_stage_and_the_two_commands():
    text = (ROOT / "README.md").read_text("utf-8")
    assert {"demo", "test"} <= set(TARGET.findall(text))
    named = {name for names in PIPELINES.findall(text) for name in names.split(",")}
    assert {"ingestion", "features", "train", "reporting", "compare", "tune", "finetune"} <= named


def is_parameter(known: dict[str, Any], name: str) -> bool:
    """Whether a dotted name leads to a default; below a null or an empty mapping anything may stand."""
    here: Any = known
    for part in name.split("."):
        if here in (None, {}):
            return True
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return True


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_parameters_exist(page):
    files = [ROOT / "conf/base/globals.yml", *(ROOT / "conf/base").glob("parameters*.yml")]
    # `seeds` is short for train.seeds.
    known = merge({"seeds": 5}, *(yaml.safe_load(path.read_text("utf-8")) for path in files))
    for typed in PARAMETERS.findall(page.read_text("utf-8")):
        for name in re.findall(r"(?:^|,)([\w.]+)=", re.sub(r"\[[^\]]*\]", "", typed)):
            # A corpus may have any parameter of its own.
            own = name.partition(".")[2]
            # In short, a corpus's protocol.
            own = f"ingestion.{own}" if own.startswith("protocol") else own
            assert is_parameter(known, name) or (own and is_parameter(known, own)), f"{typed}: {name}"
