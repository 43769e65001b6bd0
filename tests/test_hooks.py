"""Errors end a run with what to mend, and no more."""

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner
from pydantic import ValidationError

from erc_kedro.config import ConfigError
from erc_kedro.hooks import RefusalHooks, _print_plainly
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


def test_errors_that_quote_data_command_no_terminal(capsys):
    _print_plainly(ConfigError, ConfigError("label \x1b]0;x\x07"), None)
    _print_plainly(RuntimeError, RuntimeError("label \x1b[2J"), None)
    said = capsys.readouterr().err
    assert "label ␛]0;x␇" in said
    assert "RuntimeError: label ␛[2J" in said
    assert "\x1b" not in said
