"""Lists survive Kedro's command line, paths are of where they are typed, and errors are sentences."""

import click
import pytest
from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError
from pydantic import ValidationError

from erc_kedro.audit.checks import AuditError
from erc_kedro.cli import print_plainly, split_parameters
from erc_kedro.config import ConfigError
from erc_kedro.corpora import CorpusError
from erc_kedro.errors import PlainError
from erc_kedro.extractors.base import ExtractionError
from erc_kedro.finetuning.encoders import FinetuningError
from erc_kedro.tracking import UnknownRunError
from tests.defaults import TrainParameters


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
        ("runs=[it's mine]", {"runs": ["it's mine"]}),
        ("runs=[]", {"runs": []}),
        # So do recordings that are called by numbers.
        ("recording=007", {"recording": "007"}),
        ("recordings=2024,model=meld/full", {"recordings": "2024", "model": "meld/full"}),
        ("recordings=[001,b c.wav],model=1e5", {"recordings": ["001", "b c.wav"], "model": "1e5"}),
        ("recordings=calls/*.wav,seeds=2", {"recordings": "calls/*.wav", "seeds": 2}),
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


@pytest.mark.parametrize("typed", ["experiments=[full", "experiments=[full}", "x=[a,b]]", "x=[\0]"])
def test_a_list_that_cannot_be_read_is_a_sentence(context, typed):
    with pytest.raises(click.UsageError, match="Invalid format of `params` option"):
        split_parameters(context, click.Option(["--params"]), typed)


def test_paths_typed_in_a_subfolder_are_of_that_folder(context, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\n", "utf-8")
    for name in ("notebooks/MELD.Raw", "notebooks/full", "releases/IEMOCAP", "notebooks/data"):
        (tmp_path / name).mkdir(parents=True)
    typed = (
        "meld_raw=MELD.Raw,iemocap.ingestion.raw=../releases/IEMOCAP,experiment=full,"
        "features.text.model=org/name,train.epochs=2"
    )
    option = click.Option(["--params"])
    monkeypatch.chdir(tmp_path / "notebooks")
    assert split_parameters(context, option, typed) == {
        "meld_raw": str(tmp_path / "notebooks/MELD.Raw"),
        "iemocap": {"ingestion": {"raw": str(tmp_path / "releases/IEMOCAP")}},
        # Names stay names, whatever lies here.
        "experiment": "full",
        "features": {"text": {"model": "org/name"}},
        "train": {"epochs": 2},
    }
    (tmp_path / "notebooks/a call.wav").touch()
    for recordings, there in (("*.wav", "notebooks/*.wav"), ("a call.wav", "notebooks/a call.wav")):
        made = split_parameters(context, option, f"recordings={recordings},model=meld/full")
        assert made == {"recordings": str(tmp_path / there), "model": "meld/full"}
    # Where the project is, what is typed is what is kept.
    monkeypatch.chdir(tmp_path)
    assert split_parameters(context, option, "meld_raw=releases/IEMOCAP") == {"meld_raw": "releases/IEMOCAP"}


@pytest.mark.parametrize(
    "error",
    [
        *(AuditError, ConfigError, CorpusError, ExtractionError, FinetuningError, UnknownRunError),
        *(PlainError, DatasetError, type("OwnError", (CorpusError,), {})),
    ],
)
def test_errors_that_say_the_mend_are_printed_without_a_traceback(error, capsys):
    raised = error("clips.csv, row 7: write a number")
    print_plainly(error, raised, None)
    said = capsys.readouterr().err
    assert "clips.csv, row 7: write a number" in said
    assert "Traceback" not in said
    assert isinstance(raised, DatasetError | PlainError)


def test_other_errors_keep_their_traceback_and_so_do_all_where_it_is_asked_for(capsys, monkeypatch):
    def raised(error):
        try:
            raise error
        except type(error) as caught:
            print_plainly(type(caught), caught, caught.__traceback__)
        return capsys.readouterr().err

    assert "in raised" in raised(KeyError("what"))
    assert "in raised" not in raised(ConfigError("what"))
    monkeypatch.setenv("ERC_TRACEBACK", "1")
    assert "in raised" in raised(ConfigError("what"))


def test_a_wrong_parameter_is_named_without_pydantic_s_pages(capsys):
    with pytest.raises(ValidationError) as refused:
        TrainParameters(epochs=0, learning_rate="fast")
    error = ParameterValidationError(str(refused.value))
    print_plainly(ParameterValidationError, error, None)
    said = capsys.readouterr().err
    for part in ("ParameterValidationError:", "epochs", "learning_rate", "greater than or equal to 1"):
        assert part in said
    for part in ("input_value", "errors.pydantic.dev"):
        assert part in str(error)
        assert part not in said


def test_errors_that_quote_data_command_no_terminal(capsys):
    print_plainly(ConfigError, ConfigError("label \x1b]0;x\x07"), None)
    print_plainly(RuntimeError, RuntimeError("label \x1b[2J"), None)
    said = capsys.readouterr().err
    assert "label ␛]0;x␇" in said
    assert "RuntimeError: label ␛[2J" in said
    assert "\x1b" not in said
