"""What would end badly is refused before anything is computed."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner

from erc_kedro.config import ConfigError
from erc_kedro.datasets import Folder, Text
from erc_kedro.errors import PlainError
from erc_kedro.hooks import ACCEPTS_MISSING, RefusalHooks, _store
from tests.defaults import CompareParameters, TrainParameters


def one(value):
    return value


COMPARE = Pipeline([Node(one, "params:meld.compare", "table", name="compare")])


def before(pipeline, runner, **data):
    catalog = DataCatalog({name.replace("__", ":"): MemoryDataset(value) for name, value in data.items()})
    # As Kedro's session names it.
    refuse(pipeline, catalog, runner=getattr(runner, "__name__", str(runner)))


def refuse(pipeline, catalog, **asked):
    RefusalHooks().before_pipeline_run(asked, pipeline, catalog)


@pytest.mark.parametrize("runner", [ThreadRunner(), ParallelRunner()])
def test_runners_under_which_fits_would_share_a_generator_are_refused(runner):
    with pytest.raises(ConfigError, match=rf"--runner={type(runner).__name__}.*train\.jobs"):
        before(Pipeline([]), runner)
    before(Pipeline([]), SequentialRunner())
    before(Pipeline([]), None)


def test_experiments_that_cannot_be_compared_are_refused_before_any_node():
    known = {"full": TrainParameters()}
    refused = CompareParameters(experiments=known, refused={"finetuned": "finetuned differs"})
    data = {"params:meld.compare": refused, "params:meld.train": TrainParameters()}
    with pytest.raises(ConfigError, match="finetuned differs"):
        before(COMPARE, None, **data)
    before(COMPARE, None, **{"params:meld.compare": CompareParameters(experiments=known)})
    other = Pipeline([Node(one, "params:meld.train", "table", name="train")])
    before(other, None, **data)


def test_a_network_that_is_nowhere_is_refused_before_any_node():
    nowhere = TrainParameters(model={"architecture": "nowhere:Net"})
    data = {"params:meld.compare": CompareParameters(experiments={"mine": nowhere}, refused={})}
    with pytest.raises(ConfigError, match=r"experiment mine: .*nowhere:Net: there is no module nowhere"):
        before(COMPARE, None, **data)
    training = Pipeline([Node(one, "params:meld.train", "table", name="train")])
    ours = TrainParameters(model={"settings": {"width": 3}})
    for given, said in ((nowhere, "there is no module nowhere"), (ours, "width: gated_fusion has no such")):
        with pytest.raises(ConfigError, match=said):
            before(training, None, **{"params:meld.train": given})
    before(training, None, **{"params:meld.train": TrainParameters()})


GATHER = Node(one, "predictions", "results", name="gather")
REPORT = Node(one, "results", "page", name="report")


@pytest.fixture
def slices(monkeypatch):
    """Catalog of a walk of two nodes, predictions to results in memory to a page."""
    monkeypatch.setattr("kedro.framework.project.pipelines", {"reporting": Pipeline([GATHER, REPORT])})
    return DataCatalog(
        {
            "predictions": MemoryDataset(1),
            "results": MemoryDataset(),
            "page": Text(filepath="nowhere/page.md"),
        }
    )


@pytest.mark.parametrize(
    ("asked", "mend"),
    [
        ({"from_nodes": ["report"]}, "--from-nodes=report,gather"),
        ({"node_names": ("report",)}, "--nodes=report,gather"),
        ({"from_inputs": ["results"]}, "--from-nodes=gather"),
        # It would run: its page is not there.
        ({"from_nodes": ["report"], "only_missing_outputs": True}, "--from-nodes=report,gather"),
    ],
)
def test_a_slice_that_leaves_out_what_makes_its_results_is_refused_with_what_to_add(slices, asked, mend):
    with pytest.raises(ConfigError, match=rf"report reads results, .*never on disk.*gather.*{mend}"):
        refuse(Pipeline([REPORT]), slices, **asked)
    refuse(Pipeline([GATHER, REPORT]), slices, **asked)


def test_a_slice_is_told_at_once_all_that_it_leaves_out(slices, monkeypatch):
    evaluate = Node(one, "results", "scores", name="evaluate")
    report = Node(one, "scores", "page", name="report")
    monkeypatch.setattr(
        "kedro.framework.project.pipelines", {"reporting": Pipeline([GATHER, evaluate, report])}
    )
    slices["scores"] = MemoryDataset()
    with pytest.raises(
        ConfigError, match=r"report reads scores, .*evaluate, gather.*--from-nodes=report,evaluate,gather"
    ):
        refuse(Pipeline([report]), slices, from_nodes=["report"])


def test_a_missing_file_ends_a_run_before_the_nodes_that_do_not_read_it(tmp_path):
    metadata = {"made_by": "features"}
    catalog = DataCatalog(
        {
            "first": MemoryDataset(1),
            "features": Text(filepath=str(tmp_path / "features.md"), metadata=metadata),
            "cache": Folder(filepath=str(tmp_path / "cache")),
        }
    )
    train = Pipeline([Node(one, "first", "trained", name="a"), Node(one, "features", "later", name="z")])
    with pytest.raises(DatasetError, match=r"features\.md does not exist yet.*--pipeline=features"):
        refuse(train, catalog)
    optional = Node(one, "features", "later", name="z", tags=[ACCEPTS_MISSING])
    # A folder is made by whoever reads it.
    refuse(Pipeline([optional, Node(one, "cache", "filled", name="c")]), catalog)


def test_outputs_that_cannot_be_written_are_refused_with_their_folder(tmp_path, monkeypatch):
    catalog = DataCatalog(
        {"first": MemoryDataset(1), "page": Text(filepath=str(tmp_path / "data/08_reporting/page.md"))}
    )
    pipeline = Pipeline([Node(one, "first", "page", name="write")])
    refuse(pipeline, catalog)
    (tmp_path / "data").mkdir()
    # Root may write anywhere but on a disk that is mounted read-only.
    monkeypatch.setattr("os.access", lambda path, mode: not str(path).startswith(str(tmp_path / "data")))
    with pytest.raises(PlainError, match=r"page: .*/data cannot be written to.*conf/local/globals\.yml"):
        refuse(pipeline, catalog)


def test_versions_are_refused_since_nothing_keeps_any():
    with pytest.raises(ConfigError, match="--load-versions: no dataset keeps versions"):
        refuse(COMPARE, DataCatalog(), load_versions={"meld.predictions": "2026-01-01T00.00.00.000Z"})


def chosen(monkeypatch, configured, typed=None, **variables):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    loader = FakeLoader({"globals": {"mlflow": configured}})
    loader.runtime_params = {"mlflow": typed} if typed else {}
    return _store(SimpleNamespace(config_loader=loader, project_path=Path("/project")))


class FakeLoader(dict):
    runtime_params: dict


FILE = {"uri": "sqlite:///mlflow.db", "experiment": "erc"}
SERVER, OTHER = "http://127.0.0.1:5000", "http://127.0.0.1:5001"


def test_variables_of_mlflow_win_over_files_and_the_command_line_over_both(monkeypatch):
    both = {"MLFLOW_TRACKING_URI": SERVER, "MLFLOW_EXPERIMENT_NAME": "ours"}
    assert chosen(monkeypatch, FILE) == ("sqlite:////project/mlflow.db", "erc")
    assert chosen(monkeypatch, FILE, **both) == (SERVER, "ours")
    assert chosen(monkeypatch, FILE, MLFLOW_EXPERIMENT_NAME="ours")[1] == "ours"
    assert chosen(monkeypatch, FILE, {"uri": OTHER}, **both) == (OTHER, "ours")
    assert chosen(monkeypatch, FILE, {"experiment": "mine"}, **both) == (SERVER, "mine")
    for off in (
        chosen(monkeypatch, FILE | {"uri": ""}, **both),
        chosen(monkeypatch, FILE, {"uri": None}, **both),
    ):
        assert off == ("", "")
