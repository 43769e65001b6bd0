"""A reader of somebody's own: the one in docs/corpora.md, and what is refused of what it returns."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from erc_kedro.corpora import Corpus, CorpusError, own
from erc_kedro.corpora.tables import irregularity_table, utterance_table
from erc_kedro.pipelines.ingestion.nodes import read_corpus
from tests.defaults import IngestionParameters

PAGE = Path(__file__).parents[2] / "docs" / "corpora.md"


def test_the_documented_reader_is_read_as_ours_are(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    [code] = [block for block in blocks if "def chats" in block]
    (tmp_path / "my_corpora.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_corpora", raising=False)
    for split in ("train", "val", "test"):
        (tmp_path / "chats" / split).mkdir(parents=True)
        lines = f"ann\tglad\tWhat a day in {split}!\nbob\tcross\tIt was not.\n"
        (tmp_path / "chats" / split / f"{split}_1.tsv").write_text(lines, "utf-8")
    asked = IngestionParameters(reader="my_corpora:chats", raw=str(tmp_path / "chats"))
    table, description, _ = read_corpus(asked)
    assert table["utterance_id"].tolist() == [
        f"{split}_1_{position}" for split in ("test", "train", "val") for position in (0, 1)
    ]
    assert table["label"].tolist() == ["glad", "cross"] * 3
    assert description["labels"] == ["cross", "glad"]
    assert description["name"] == "Chats"
    # Folds may be made of it as of any other.
    folded, _, _ = read_corpus(asked.model_copy(update={"protocol": by_dialogue(asked.protocol)}))
    assert set(folded["fold"].dropna()) != set()
    monkeypatch.delitem(sys.modules, "my_corpora")


def by_dialogue(protocol):
    return protocol.model_copy(update={"folds": 3, "by": "dialogue"})


def row(at, **changes):
    said = {"speaker": "ann", "text": "Oh.", "label": "glad", "split": "train"}
    return {"utterance_id": f"d_{at}", "dialogue_id": "d", "position": at, **said, **changes}


GOOD = Corpus(
    utterance_table([row(0), row(1)]),
    ("cross", "glad"),
    irregularity_table([]),
    {"name": "Made", "protocol": "own", "synthetic": True},
)
TABLE = GOOD.utterances


@pytest.fixture
def returning(monkeypatch):
    """Has the reader ``mine:read`` return something."""
    module = ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", module)

    def returns(made):
        module.read = lambda raw: made
        return own.read("mine:read", Path("there"))

    return returns


def test_a_corpus_is_returned_as_it_is(returning):
    made = returning(GOOD)
    # But for what later stages look for: where it lies, and sentences about it.
    assert made.facts == {**GOOD.facts, "raw": "there", "notes": []}
    assert replace(made, facts=GOOD.facts) == GOOD


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"utterances": TABLE.drop(columns="text")}, "of which column text is missing"),
        ({"utterances": TABLE.assign(mood="x")}, "of which column mood is none that they have"),
        ({"utterances": TABLE[TABLE.columns[::-1]]}, "the columns are in another order"),
        ({"utterances": TABLE.assign(split="dev")}, "column split has 'dev' in row 0"),
        ({"utterances": TABLE.assign(utterance_id="a")}, "column utterance_id has 'a' twice"),
        ({"utterances": TABLE.assign(speaker=[None, "x"])}, "column speaker is empty in row 0"),
        ({"utterances": TABLE.assign(position=[0, 2])}, "positions count 0, 1, 2, … in each dialogue"),
        ({"utterances": TABLE.assign(position=["a", "b"])}, "column position has 'a' in row 0"),
        ({"utterances": TABLE.iloc[:0]}, "a corpus has at least one utterance"),
        ({"utterances": [1]}, "utterances that are a list"),
        ({"utterances": TABLE.assign(label="bored")}, "label 'bored', which is none of its labels"),
        ({"labels": ["cross", "glad"]}, "write a tuple of texts"),
        ({"labels": ("glad", "glad")}, "one is there twice"),
        ({"irregularities": []}, "no table of kind, where, detail"),
        ({"facts": {"name": "Made", "protocol": None, "synthetic": True}}, "facts whose protocol is None"),
    ],
)
def test_what_is_no_corpus_is_told_in_a_sentence(returning, changes, said):
    with pytest.raises(CorpusError) as refused:
        returning(replace(GOOD, **changes))
    told = str(refused.value)
    assert told.startswith("ingestion.reader: mine:read returns ")
    assert said in told
    assert "\n" not in told


def test_a_reader_that_fails_or_is_nowhere_is_told_in_a_sentence(returning, tmp_path, monkeypatch):
    with pytest.raises(CorpusError, match=r"returns a int; return an erc_kedro\.corpora\.Corpus"):
        returning(3)
    (tmp_path / "my_failing.py").write_text("def read(raw):\n    return 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, said in (
        ("my_failing:read", r"fails on there \(ZeroDivisionError: division by zero, my_failing\.py line 2\)"),
        ("my_failing:reads", r"has no reads; it has read"),
        ("nowhere:read", r"there is no module nowhere; write src/nowhere\.py"),
        ("sys:path", r"sys:path is no function"),
    ):
        with pytest.raises(CorpusError, match=said):
            own.read(name, Path("there"))
    sys.modules.pop("my_failing")
    with pytest.raises(ValueError, match=r"'melt' is no reader; there are meld, .*package\.module:function"):
        IngestionParameters(reader="melt")
