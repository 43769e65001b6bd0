"""Parameters of the tune stage, and training parameters by their dotted names."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_serializer, field_validator, model_validator

from erc_kedro.parameters.base import Parameters
from erc_kedro.parameters.train import TrainParameters


class Dimension(Parameters):
    """What a search may set one training parameter to: a range, or a list of choices.

    ``when``: it is searched only where other parameters have these values, and is the default elsewhere.
    """

    low: int | float | None = Field(default=None, allow_inf_nan=False)
    high: int | float | None = Field(default=None, allow_inf_nan=False)
    step: int | float | None = Field(default=None, gt=0, allow_inf_nan=False)
    log: bool = False
    choices: tuple[Any, ...] | None = None
    when: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self) -> "Dimension":
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.step is not None or self.log:
                raise ValueError("choices stand alone; leave out low, high, step and log")
            if not self.choices:
                raise ValueError("choices is empty; name at least one value, or write null to not search it")
            return self
        if self.low is None or self.high is None:
            raise ValueError("write low and high, or choices")
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}, and a log scale begins above 0")
        if self.log and self.step is not None:
            raise ValueError("a log scale has no step; leave one of them out")
        return self

    def holds(self, value: Any) -> bool:
        """Whether a search may come to this value."""
        if self.choices is not None:
            return value in self.choices
        number = isinstance(value, int | float) and self.low is not None and self.high is not None
        return number and self.low <= value <= self.high  # type: ignore[operator]

    @property
    def values(self) -> tuple[Any, ...]:
        """The choices, or the ends of the range."""
        return self.choices if self.choices is not None else (self.low, self.high)


# They say how training runs, not what is learned.
NOT_LEARNED = {"seeds", "threads", "jobs"}
# How names of parameters begin that only some networks have.
OWN_SETTINGS = "model.settings."


class TuneParameters(Parameters):
    """A search over training parameters, judged on validation alone."""

    # Trials that are finished in the end, whoever ran them; those of earlier runs count.
    trials: int = Field(ge=1)
    # A trial is the mean over so many seeds; they begin here, so that training's own seeds stay fresh.
    seeds: int = Field(ge=1)
    first_seed: int = Field(ge=0)
    # A second thing to be good at, which gives a Pareto front and no pruning: validation accuracy, the number
    # of weights, or the milliseconds that one dialogue of median length takes.
    second_objective: Literal["accuracy", "parameters", "latency"] | None
    sampler: Literal["tpe", "gp", "random"]
    sampler_seed: int | None
    # Stop a trial by its first seed's epochs (Hyperband), and between seeds (Wilcoxon's signed-rank test
    # against the best trial, seed by seed, with a p below this; 0: never). Two seeds that are both worse
    # have p = .25, three .125.
    prune_epochs: bool
    prune_seeds: float = Field(ge=0, le=1)
    # journal: a file in the study's folder. Or the URL of a database, or grpc://HOST:PORT.
    storage: str
    # Trials at once, the cores shared between them; dask sends them to the cluster at `address`.
    workers: int = Field(ge=1)
    backend: Literal["loky", "dask"]
    address: str | None
    # By dotted name of a training parameter; in YAML nested as they are under `train`.
    space: dict[str, Dimension]
    # Known good points: {parameter: value}, tried right after the default.
    enqueue: tuple[dict[str, Any], ...]
    # The trial that is written as the winner, such as another of a Pareto front; the best if none is named.
    winner: int | None
    # The experiment that is tuned: its name and file, filled in.
    experiment: str
    experiment_settings: dict[str, Any]

    @field_serializer("storage")
    def _without_password(self, storage: str) -> str:
        # What is logged is read by others.
        return re.sub(r"://[^/@]+@", "://…@", storage)

    @field_validator("space", mode="before")
    @classmethod
    def _by_dotted_name(cls, space: Any) -> Any:
        return _dotted(space) if isinstance(space, Mapping) else space

    @field_validator("enqueue", mode="before")
    @classmethod
    def _points_by_dotted_name(cls, points: Any) -> Any:
        if not isinstance(points, list | tuple):
            return points
        return [_flat(point) if isinstance(point, Mapping) else point for point in points]

    @model_validator(mode="after")
    def _searchable(self) -> "TuneParameters":
        if not self.space:
            raise ValueError("space is empty; name at least one parameter of train")
        for name, dimension in self.space.items():
            for value in dimension.values:
                _check_value(f"space.{name}", name, value, choice=dimension.choices is not None)
            if _kind(name) is int and dimension.step is not None and dimension.step % 1:
                raise ValueError(f"space.{name}.step: {dimension.step} is no whole number, as {name} is")
            for other, wanted in dimension.when.items():
                _check_value(f"space.{name}.when", other, wanted)
                choices = self.space[other].choices if other in self.space else None
                if choices is not None and wanted not in choices:
                    raise ValueError(f"space.{name}.when: {wanted!r} is not among the choices of {other}")
        self._check_circles()
        for number, point in enumerate(self.enqueue):
            for name, value in point.items():
                if name not in self.space:
                    raise ValueError(f"enqueue[{number}].{name} is not in the space")
                _check_value(f"enqueue[{number}]", name, value)
                dimension = self.space[name]
                if not dimension.holds(value):
                    raise ValueError(f"enqueue[{number}].{name}: {value} is outside of the space")
        if self.backend == "dask" and self.address is None:
            raise ValueError("backend: dask needs `address`, such as tcp://127.0.0.1:8786")
        return self

    def _check_circles(self) -> None:
        def follow(name: str, way: tuple[str, ...]) -> None:
            if name in way:
                raise ValueError(f"space: `when` goes in a circle: {' -> '.join((*way, name))}")
            for other in self.space[name].when if name in self.space else ():
                follow(other, (*way, name))

        for name in self.space:
            follow(name, ())


def _dotted(space: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dimensions by dotted name; a null, which takes one out again, is left out."""
    flat: dict[str, Any] = {}
    for key, value in space.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not set(value) & set(Dimension.model_fields):
            flat |= _dotted(value, f"{name}.")
        elif isinstance(value, Mapping) and isinstance(value.get("when"), Mapping):
            flat[name] = {**value, "when": _flat(value["when"])}
        elif value is not None:
            flat[name] = value
    return flat


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested mappings."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        inner = result
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return result


def _check_value(where: str, name: str, value: Any, choice: bool = True) -> None:
    """Refuses a parameter that training has not, and a value that this parameter alone cannot have."""
    if isinstance(value, Mapping):
        raise ValueError(f"{where}: {value} is several parameters; search each by its own name")
    if name.partition(".")[0] in NOT_LEARNED:
        raise ValueError(f"{where}: {name} does not decide what is learned")
    try:
        TrainParameters.model_validate(nested({name: value}))
    except ValidationError as error:
        path = tuple(name.split("."))
        for found in error.errors():
            # What does not fit together with other defaults is another trial's, or is dropped when drawn.
            if found["type"] == "extra_forbidden":
                raise ValueError(f"{where}: train has no parameter {name}") from error
            at = found["loc"]
            if at[: len(path)] == path or (path[: len(at)] == at and found["type"].endswith("_type")):
                raise ValueError(f"{where}: {value!r} is not possible ({found['msg']})") from error
    # Those of somebody's own network are looked at where its class is known.
    if not choice and _kind(name) not in (int, float) and not name.startswith(OWN_SETTINGS):
        raise ValueError(f"{where}: {name} is not a number; write choices")


def _kind(name: str) -> Any:
    """The type that a training parameter has by its dotted name."""
    kind: Any = TrainParameters
    for part in name.split("."):
        if not (isinstance(kind, type) and issubclass(kind, Parameters)):
            break
        kind = kind.model_fields[part].annotation
    return kind


def value_of(parameters: TrainParameters, name: str) -> Any:
    """A training parameter by its dotted name; an entry that ``scaling`` lacks is ``train``.

    A setting of another network than the parameters' is None.
    """
    value: Any = parameters.model_dump(mode="json")
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return "train" if value is None and name.startswith("scaling.") else value
