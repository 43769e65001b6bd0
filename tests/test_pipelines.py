"""In which order stages run, and what ingestion says at once."""

import logging
from importlib import import_module
from pkgutil import iter_modules

import pandas as pd
import pytest
from kedro.pipeline import Pipeline

from erc_kedro import pipelines
from erc_kedro.corpora.tables import irregularity_table
from erc_kedro.pipelines.ingestion.nodes import audit_corpus
from tests.conftest import make_corpus


def pipeline(name):
    return import_module(f"erc_kedro.pipelines.{name}").create_pipeline()


@pytest.mark.parametrize("learning", ["train", "tune", "compare", "finetune"])
def test_extraction_waits_until_training_will_not_refuse_the_corpus(learning):
    run = pipeline("ingestion") + pipeline("features") + pipeline(learning)
    order = [node.name for node in run.nodes]
    for corpus in ("meld", "iemocap"):
        later = {node.name for node in run.from_nodes(f"{corpus}.check_corpus").nodes}
        assert {f"{corpus}.text_features", f"{corpus}.clip_features"} <= later
        earlier = {node.name for node in run.to_nodes(f"{corpus}.check_corpus").nodes}
        assert earlier == {f"{corpus}.{name}" for name in ("read_corpus", "audit_corpus", "check_corpus")}
    # One after the other, no corpus is extracted before another one is refused.
    assert max(order.index(f"{corpus}.check_corpus") for corpus in ("meld", "iemocap")) < min(
        order.index(f"{corpus}.{name}_features")
        for corpus in ("meld", "iemocap")
        for name in ("text", "clip")
    )
    alone = pipeline("ingestion") + pipeline("features")
    assert not [node for node in alone.nodes if "check" in node.name]


def test_any_pipelines_run_together_since_every_output_has_one_maker():
    names = [module.name for module in iter_modules(pipelines.__path__)]
    together = sum((pipeline(name) for name in names), Pipeline([]))
    assert {"contributions", "reporting", "train"} <= set(names)
    assert len(together.nodes) >= max(len(pipeline(name).nodes) for name in names)


@pytest.mark.parametrize(
    ("changes", "said", "level"),
    [
        ({"split": {"val": "train"}}, "The val split is empty.", logging.ERROR),
        (
            {"label": {"glad": "calm", "cross": "calm"}},
            "All labelled utterances of train are calm",
            logging.WARNING,
        ),
    ],
)
def test_ingestion_says_at_once_what_training_will_refuse(changes, said, level, caplog):
    utterances, _ = make_corpus()
    description = {"name": "Talk", "protocol": "own", "synthetic": False}
    audit, page = audit_corpus(utterances.replace(changes), description, irregularity_table([]))
    assert [record.levelno for record in caplog.records if said in record.getMessage()] == [level]
    assert said in page
    assert pd.Series([*audit["errors"], *audit["not_learnable"]]).str.contains(said).any()
