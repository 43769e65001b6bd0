"""A network of somebody's own: by dotted path, with its own settings, and refused in a sentence."""

import sys

import pytest
import torch

from erc_kedro import sources
from erc_kedro.models.architectures import ArchitectureError, build, check_setting, resolved
from tests.defaults import ModelParameters
from tests.models.test_network import CLASSES, DIMENSIONS

GOOD = """
import torch
from torch import nn
from erc_kedro.models import Network, Output

class Net(Network):
    class Settings(Network.Settings):
        width: int = 8

    def __init__(self, parameters, dimensions, classes):
        super().__init__(parameters, dimensions, classes)
        self.inputs = nn.Linear(sum(dimensions), self.settings.width)
        self.out = nn.Linear(self.settings.width, classes)

    def forward(self, batch):
        x = self.inputs(torch.cat(self.features(batch), -1))
        return Output(self.out(x)[None])
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes the module of a network, so that each is imported anew."""
    monkeypatch.syspath_prepend(tmp_path)

    def forget():
        for name in ("my_nets", "my_layers"):
            sys.modules.pop(name, None)
        sources.version_of_module.cache_clear()

    def write(text=GOOD, name="my_nets"):
        forget()
        (tmp_path / f"{name}.py").write_text(text, "utf-8")

    yield write
    forget()


def parameters(architecture="my_nets:Net", **changes):
    return ModelParameters(architecture=architecture, hidden=16, attention_heads=2, **changes)


def refusal(**changes):
    with pytest.raises(ArchitectureError) as refused:
        build(parameters(**changes), DIMENSIONS, CLASSES)
    said = str(refused.value)
    assert "\n" not in said
    return said


def test_it_is_built_with_its_settings(module):
    module()
    assert build(parameters(), DIMENSIONS, CLASSES).out.in_features == 8
    assert build(parameters(settings={"width": 5}), DIMENSIONS, CLASSES).out.in_features == 5
    # Trying it draws nothing that training would have drawn.
    torch.manual_seed(3)
    made = build(parameters(), DIMENSIONS, CLASSES)
    after = torch.rand(1)
    torch.manual_seed(3)
    type(made)(parameters(), DIMENSIONS, CLASSES)
    assert torch.equal(torch.rand(1), after)
    assert made.training


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"widht": 5}, "train.model.settings.widht: my_nets:Net has no such setting; it has width"),
        ({"width": "many"}, "train.model.settings.width: 'many' is not possible for my_nets:Net"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(module, settings, said):
    module()
    assert said in refusal(settings=settings)
    [(name, value)] = settings.items()
    with pytest.raises(ArchitectureError, match=name):
        check_setting("my_nets:Net", name, value)
    check_setting("my_nets:Net", "width", 3)


def test_settings_of_a_network_that_has_none_are_refused():
    with pytest.raises(ArchitectureError, match="gated_fusion has no such setting; it has none"):
        build(parameters("gated_fusion", settings={"width": 5}), DIMENSIONS, CLASSES)


def test_a_setting_without_a_default_is_needed(module):
    module(GOOD.replace("width: int = 8", "width: int"))
    assert "train.model.settings.width is missing; my_nets:Net needs it" in refusal()
    # Another one may be looked at alone.
    check_setting("my_nets:Net", "width", 3)


OUT = "self.out(x)[None]"
WRONG = [
    ("class Net(", "class Other(", "has no Net; it has Other"),
    ("import torch", "1 / 0", "cannot be imported (ZeroDivisionError: division by zero, my_nets.py line 2)"),
    ("import torch", "x =", "cannot be imported (SyntaxError: invalid syntax, my_nets.py line 2)"),
    ("import torch", "import no_such_package", "No module named 'no_such_package', my_nets.py line 2"),
    ("class Net(Network)", "class Net(nn.Module)", "is no Network; derive its class from"),
    ("class Settings(Network.Settings)", "class Settings", "write `class Settings(Network.Settings):`"),
    ("def __init__(self, parameters,", "def __init__(self,", "cannot be made for features"),
    ("    def forward", "    heads = ()\n    def forward", "the heads of my_nets:Net are ()"),
    ("    def forward", "    heads = ('tav', 't')\n    def forward", "in this order, tav last"),
    (f"Output({OUT})", "self.out(x)", "returns a Tensor; return erc_kedro.models.Output"),
    (OUT, "self.out(x)", "returns logits of shape [2, 4, 3] where [1, 2, 4, 3] belong"),
    (OUT, f"{OUT}[..., :2]", "returns logits of shape [1, 2, 4, 2]"),
    (OUT, "self.out(x.mT)[None]", "fails on dialogues of (4, 2) utterances (RuntimeError"),
    (OUT, "self.out(x / batch.present.any(1, True)[..., 2:])[None]", "logits that are not finite"),
    (OUT, "self.out(x - x.mean(1, True))[None]", "change with the padding or the dialogues beside it"),
    (OUT, "self.out(x - x.mean(0, True))[None]", "change with the padding or the dialogues beside it"),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[said for _, _, said in WRONG])
def test_what_is_no_such_network_is_told_in_a_sentence(module, old, new, said):
    assert old in GOOD
    module(GOOD.replace(old, new, 1))
    told = refusal()
    assert told.startswith("train.model.architecture: ")
    assert said in told


def test_a_module_that_is_nowhere_is_told_with_the_place_to_write_it():
    said = refusal(architecture="nowhere.deep:Net")
    assert "there is no module nowhere; write src/nowhere/deep.py, or install the package" in said


def test_causal_is_believed_of_what_looks_at_no_later_utterance(module):
    module()
    build(parameters(causal=True), DIMENSIONS, CLASSES)
    late = "self.out((x * batch.valid[..., None]).flip(1).cumsum(1).flip(1))[None]"
    module(GOOD.replace(OUT, late))
    build(parameters(), DIMENSIONS, CLASSES)
    assert "change with later utterances" in refusal(causal=True)


def test_settings_are_resolved_so_that_a_default_written_out_changes_nothing(module):
    module()
    assert resolved(parameters()) == resolved(parameters(settings={"width": 8}))
    assert resolved(parameters()) != resolved(parameters(settings={"width": 9}))


def test_its_version_follows_what_it_does_and_what_it_imports_of_one_s_own(module):
    helper = "from my_layers import SIZE\n"
    module("SIZE = 1", "my_layers")
    module(helper + GOOD)

    def version(text=helper + GOOD, layers="SIZE = 1"):
        module(layers, "my_layers")
        module(text)
        return sources.version_of_module("my_nets")

    plain = version()
    assert version("# why\n" + helper + GOOD) == plain
    assert version(helper + GOOD.replace("int = 8", "int = 9")) != plain
    assert version(layers="SIZE = 2") != plain
    # One that it does not import is nobody's.
    assert version(GOOD) == version(GOOD, layers="SIZE = 2")
