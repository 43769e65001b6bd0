"""Errors end a run with what to mend, and no more."""

import pytest
from pydantic import ValidationError

from erc_kedro.hooks import _print_plainly
from erc_kedro.parameters import TrainParameters


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
