"""From ``train.model`` to a network: one of ours, or anybody's own, which is looked at before it is used."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from erc_kedro import dotted, sources
from erc_kedro.errors import PlainError
from erc_kedro.models.base import Network
from erc_kedro.models.batch import Batch, Output
from erc_kedro.parameters import ARCHITECTURES, ModelParameters, Parameters
from erc_kedro.schemas import HEADS

PARAMETER, SETTINGS = "train.model.architecture", "train.model.settings"
# Utterances of the two dialogues on which a network of somebody's own is tried.
_LENGTHS = (4, 2)
# Logits that differ by less are summed in another order, no more.
_TOLERANCE = 1e-3


class ArchitectureError(PlainError, ValueError):
    """A network that cannot be had; the message names the parameter, what is wrong and the mend."""


def build(parameters: ModelParameters, dimensions: list[int], classes: int) -> Network:
    """A new network with random weights.

    Args:
        dimensions: D_m of text, audio and visual features; classes: C.

    Raises:
        ArchitectureError: there is no such class or setting, or what it makes is no network of these shapes.
    """
    made = network_class(parameters.architecture)
    parameters = resolved(parameters)
    if parameters.architecture in ARCHITECTURES:
        network: Network = made(parameters, dimensions, classes)
        return network
    return _tried(made, parameters, dimensions, classes)


def network_class(architecture: str) -> type[Network]:
    """The class of an architecture, imported only now.

    Raises:
        ArchitectureError: it cannot be imported, or is no ``Network`` with ``Settings``.
    """
    if architecture in ARCHITECTURES:
        found: type[Network] = dotted.imported(ARCHITECTURES[architecture], PARAMETER, ArchitectureError)
        return found
    found = dotted.imported(architecture, PARAMETER, ArchitectureError)
    if not (isinstance(found, type) and issubclass(found, Network)):
        raise ArchitectureError(
            f"{PARAMETER}: {architecture} is no Network; derive its class from erc_kedro.models.Network"
        )
    if not (isinstance(found.Settings, type) and issubclass(found.Settings, Parameters)):
        raise ArchitectureError(
            f"{PARAMETER}: the Settings of {architecture} are no pydantic class of ours; write "
            "`class Settings(Network.Settings):` in it"
        )
    # Of what was imported: the file may be written anew before its key is asked for.
    sources.version_of_module(architecture.partition(":")[0])
    return found


def resolved(parameters: ModelParameters) -> ModelParameters:
    """With all of the network's own settings, those that are nowhere written as its class has them.

    Raises:
        ArchitectureError: a setting has a wrong name or type, or is missing.
    """
    kind = network_class(parameters.architecture).Settings
    try:
        settings = kind(**parameters.settings)
    except ValidationError as error:
        raise ArchitectureError(_refusal(parameters.architecture, kind, error)) from error
    # As configuration has them, since they are kept as JSON.
    return parameters.model_copy(update={"settings": settings.model_dump(mode="json")})


def check_setting(architecture: str, name: str, value: Any) -> None:
    """Refuses a single setting that an architecture cannot have, whatever the others are.

    Args:
        name: below ``settings``, with full stops between.

    Raises:
        ArchitectureError: there is no such setting, or it cannot have this value.
    """
    kind = network_class(architecture).Settings
    path = tuple(name.split("."))
    given: Any = value
    for part in reversed(path):
        given = {part: given}
    try:
        kind(**given)
    except ValidationError as error:
        if any(found["loc"][: len(path)] == path and found["type"] != "missing" for found in error.errors()):
            raise ArchitectureError(_refusal(architecture, kind, error, path)) from error


def _refusal(
    architecture: str, kind: type[Parameters], error: ValidationError, path: tuple[Any, ...] = ()
) -> str:
    """The first error, of those at a path, in a sentence."""
    first = next(found for found in error.errors() if found["loc"][: len(path)] == path)
    where = ".".join((SETTINGS, *map(str, first["loc"])))
    there = ", ".join(kind.model_fields) or "none"
    match first["type"]:
        case "extra_forbidden":
            return f"{where}: {architecture} has no such setting; it has {there}"
        case "missing":
            return f"{where} is missing; {architecture} needs it"
        case _:
            return f"{where}: {first['input']!r} is not possible for {architecture} ({first['msg']}); mend it"


def _tried(made: type[Network], parameters: ModelParameters, dimensions: list[int], classes: int) -> Network:
    """Somebody's own network, once two small dialogues went through it as they must."""
    name = parameters.architecture
    fails = partial(_fails, name)
    try:
        network = made(parameters, dimensions, classes)
    except Exception as error:
        raise fails(f"cannot be made for features {dimensions} and {classes} classes", error) from error
    heads = network.heads
    if not heads or tuple(head for head in HEADS if head in heads) != tuple(heads) or heads[-1] != "tav":
        raise ArchitectureError(
            f"{PARAMETER}: the heads of {name} are {heads!r}; name some of {', '.join(HEADS)}, in this "
            "order, tav last"
        )
    batch = _dialogues(dimensions)
    # What is drawn here is not to move what training draws.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network.eval()
        try:
            output = network(batch)
            alone = network(_first(batch, 1, _LENGTHS[1]))
            past = network(_first(batch, 0, _LENGTHS[0] - 1)) if parameters.causal else None
        except Exception as error:
            raise fails(f"fails on dialogues of {_LENGTHS} utterances", error) from error
        network.train()
    logits = _logits(name, output, (len(heads), *batch.valid.shape, classes))
    if not torch.isfinite(logits[:, batch.valid]).all():
        raise ArchitectureError(
            f"{PARAMETER}: {name} gives logits that are not finite where an utterance lacks a modality, or "
            "a dialogue all of one; divide by no count that may be 0"
        )
    rest = f"{PARAMETER}: the logits of {name} for one utterance change with"
    if not _alike(logits[:, 1:, : _LENGTHS[1]], alone.logits):
        raise ArchitectureError(f"{rest} the padding or the dialogues beside it; mask by batch.valid")
    if past is not None and not _alike(logits[:, :1, : _LENGTHS[0] - 1], past.logits):
        raise ArchitectureError(f"{rest} later utterances; write train.model.causal: false, or mask them")
    return network


def _fails(name: str, how: str, error: Exception) -> ArchitectureError:
    return ArchitectureError(f"{PARAMETER}: {name} {how} ({dotted.failure(error, name)}); mend its code")


def _logits(name: str, output: Any, shape: tuple[int, ...]) -> Tensor:
    if not isinstance(output, Output) or not isinstance(output.logits, Tensor):
        raise ArchitectureError(
            f"{PARAMETER}: {name} returns a {type(output).__name__}; return erc_kedro.models.Output(logits)"
        )
    if output.logits.shape != shape or not output.logits.is_floating_point():
        raise ArchitectureError(
            f"{PARAMETER}: {name} returns logits of shape {list(output.logits.shape)} where {list(shape)} "
            "belong (heads, dialogues, utterances, classes); reshape them"
        )
    return output.logits


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE)


def _dialogues(dimensions: list[int]) -> Batch:
    """Two dialogues of two speakers; of the first one utterance has nothing, of the second none is seen."""
    valid = torch.arange(max(_LENGTHS)) < torch.tensor(_LENGTHS)[:, None]
    present = valid[..., None].repeat(1, 1, 3)
    present[0, 2] = False
    present[1, :, 2] = False
    draw = torch.Generator().manual_seed(0)
    place = torch.arange(max(_LENGTHS)).expand_as(valid)
    row = torch.where(valid, torch.arange(valid.numel()).view_as(valid), -1)
    return Batch(
        features=[torch.randn(*valid.shape, size, generator=draw) for size in dimensions],
        present=present,
        valid=valid,
        speaker=torch.where(valid, place % 2, 0),
        label=torch.where(valid, 0, -1),
        row=row,
    )


def _first(batch: Batch, dialogue: int, utterances: int) -> Batch:
    """The first utterances of one dialogue, as a batch."""
    at = (slice(dialogue, dialogue + 1), slice(utterances))
    rest: Mapping[str, Tensor] = {
        name: getattr(batch, name)[at] for name in ("present", "valid", "speaker", "label", "row")
    }
    return replace(batch, features=[x[at] for x in batch.features], **rest)
