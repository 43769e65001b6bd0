"""Lists survive Kedro's command line."""

import click
import pytest

from erc_kedro.cli import split_parameters


@pytest.fixture
def context():
    return click.Context(click.Command("run"))


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("experiments=[full,no_gates],seeds=5", {"experiments": ["full", "no_gates"], "seeds": 5}),
        ("seeds=5, experiments=[full, no_gates]", {"experiments": ["full", "no_gates"], "seeds": 5}),
        ("train.withhold=[audio],train.epochs=2", {"train": {"withhold": ["audio"], "epochs": 2}}),
        ("experiments=[],seeds=1", {"experiments": [], "seeds": 1}),
        # Ids that read as numbers stay ids.
        ("runs=[056e8697, 12345678],seeds=2", {"runs": ["056e8697", "12345678"], "seeds": 2}),
        ("seeds=2,runs=056e8697", {"runs": ["056e8697"], "seeds": 2}),
        ("runs=[meld full]", {"runs": ["meld full"]}),
        ("runs=[]", {"runs": []}),
        ("a=1,b=x=y", {"a": 1, "b": "x=y"}),
    ],
)
def test_commas_in_brackets_belong_to_the_list(context, typed, expected):
    option = click.Option(["--params"])
    assert split_parameters(context, option, typed) == expected


def test_an_item_without_a_value_is_named(context):
    option = click.Option(["--params"])
    with pytest.raises(click.UsageError, match="`no_gates` must be `key=value`"):
        split_parameters(context, option, "experiments=[full],no_gates")
