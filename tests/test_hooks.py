"""Errors end a run with what to mend, and no more."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner
from pydantic import ValidationError

from erc_kedro.config import ConfigError
from erc_kedro.hooks import RefusalHooks, _print_plainly, _store
from erc_kedro.parameters import CompareParameters, TrainParameters


class ParameterValidationError(Exception):
    """Called as Kedro's is."""


def test_a_wrong_parameter_is_named_without_pydantic_s_pages(capsys):
    with pytest.raises(ValidationError) as refused:
        TrainParameters(epochs=0, learning_rate="fast")
    error = ParameterValidationError(str(refused.value))
    _print_plainly(ParameterValidationError, error, None)
    said = capsys.readouterr().err
    for part in ("ParameterValidationError:", "epochs", "learning_rate", "greater than or equal to 1"):
        assert part in said
    for part in ("input_value", "errors.pydantic.dev"):
        assert part in str(error)
        assert part not in said


COMPARE = Pipeline([Node(lambda parameters: 1, "params:meld.compare", "table", name="compare")])


def before(pipeline, runner, **data):
    catalog = DataCatalog({name.replace("__", ":"): MemoryDataset(value) for name, value in data.items()})
    # As Kedro's session names it.
    named = {"runner": getattr(runner, "__name__", str(runner))}
    RefusalHooks().before_pipeline_run(named, pipeline, catalog)


@pytest.mark.parametrize("runner", [ThreadRunner(), ParallelRunner()])
def test_runners_under_which_fits_would_share_a_generator_are_refused(runner):
    with pytest.raises(ConfigError, match=rf"--runner={type(runner).__name__}.*train\.jobs"):
        before(Pipeline([]), runner)
    before(Pipeline([]), SequentialRunner())
    before(Pipeline([]), None)


def test_experiments_that_cannot_be_compared_are_refused_before_any_node():
    known = {"full": TrainParameters()}
    refused = CompareParameters(experiments=known, refused={"finetuned": "finetuned differs"})
    data = {"params:meld.compare": refused}
    with pytest.raises(ConfigError, match="finetuned differs"):
        before(COMPARE, None, **data)
    before(COMPARE, None, **{"params:meld.compare": CompareParameters(experiments=known)})
    other = Pipeline([Node(lambda parameters: 1, "params:meld.train", "table", name="train")])
    before(other, None, **data)


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
