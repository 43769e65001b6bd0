"""Every default is written once, in conf/base: the package has none, and configuration lacks none."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import pytest
from kedro.config import OmegaConfigLoader
from pydantic import ValidationError

from erc_kedro.config import CONFIG_LOADER_ARGS, STAGES, ErcConfigLoader, for_stage
from erc_kedro.parameters import (
    CompareParameters,
    DemoParameters,
    Dimension,
    FeatureParameters,
    FinetuneParameters,
    IngestionParameters,
    LoraParameters,
    Parameters,
    ScoreParameters,
    TrainParameters,
    TransferParameters,
    TuneParameters,
)

CONF = Path(__file__).resolve().parents[2] / "conf"
CORPORA = ("meld", "iemocap")
MODELS: dict[str, type[Parameters]] = {
    "ingestion": IngestionParameters,
    "finetune": FinetuneParameters,
    "features": FeatureParameters,
    "train": TrainParameters,
    "compare": CompareParameters,
    "tune": TuneParameters,
    "demo": DemoParameters,
    "score": ScoreParameters,
    "transfer": TransferParameters,
}
# Those that are not each corpus's own.
ONCE = ("demo", "score", "transfer")
# Of blocks that configuration leaves out, or writes once for each name.
OWN_DEFAULTS = {LoraParameters, Dimension}
# Mappings that are one parameter.
WHOLE = {"scaling", "space", "experiments", "experiment_settings"}


def kinds(annotation: Any) -> Iterator[type[Parameters]]:
    """A model, and those of its fields, however they are wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, Parameters):
        yield annotation
        for field in annotation.model_fields.values():
            yield from kinds(field.annotation)
    for part in get_args(annotation):
        yield from kinds(part)


def loaded(env: str) -> dict[str, dict[str, Any]]:
    """The block of every stage and corpus, as nodes get it."""
    parameters = ErcConfigLoader(str(CONF), env=env, **CONFIG_LOADER_ARGS)["parameters"]
    blocks = {f"{corpus}.{stage}": parameters[corpus][stage] for corpus in CORPORA for stage in STAGES}
    return {**blocks, **{stage: parameters[stage] for stage in ONCE}}


def of(where: str) -> type[Parameters]:
    return MODELS[where.rpartition(".")[2]]


def leaves(block: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path to each parameter."""
    for name, value in block.items():
        if isinstance(value, dict) and value and name not in WHOLE:
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name)


def test_every_stage_is_looked_at():
    assert {*STAGES, *ONCE} == set(MODELS)


def test_the_package_has_no_default():
    every = {kind for model in MODELS.values() for kind in kinds(model)}
    assert every > OWN_DEFAULTS
    fields = {
        f"{kind.__name__}.{name}": field
        for kind in every - OWN_DEFAULTS
        for name, field in kind.model_fields.items()
    }
    assert len(fields) > 100
    assert [name for name, field in fields.items() if not field.is_required()] == []


@pytest.mark.parametrize("env", ["base", "demo"])
def test_configuration_has_every_default_and_nothing_else(env):
    for where, block in loaded(env).items():
        # Refuses what is missing and what is unknown.
        of(where)(**block)


@pytest.mark.parametrize("env", ["base", "demo"])
def test_no_experiment_takes_a_default_away(env):
    loader = OmegaConfigLoader(str(CONF), env=env, **CONFIG_LOADER_ARGS)
    parameters, experiments = loader["parameters"], loader["experiments"]
    assert {path.stem for path in (CONF / "base/experiments").glob("*.yml")} <= set(experiments)
    for experiment in experiments.values():
        for corpus in CORPORA:
            for stage in ("ingestion", "finetune", "features", "train"):
                MODELS[stage](**for_stage(parameters, corpus, stage, experiment or {}, {}))


def test_a_corpus_of_one_s_own_is_two_lines():
    parameters = OmegaConfigLoader(str(CONF), env="base", **CONFIG_LOADER_ARGS)["parameters"]
    parameters["interviews"] = {"ingestion": {"reader": "manifest", "raw": "interviews.csv"}}
    for stage in ("ingestion", "finetune", "features", "train"):
        MODELS[stage](**for_stage(parameters, "interviews", stage, {}, {}))


def test_a_value_that_configuration_lacks_is_named():
    for where, block in loaded("base").items():
        paths = list(leaves(block))
        assert len(paths) >= len(block)
        for *outer, name in paths:
            lacking = deepcopy(block)
            inner = lacking
            for part in outer:
                inner = inner[part]
            del inner[name]
            with pytest.raises(ValidationError) as refused:
                of(where)(**lacking)
            missing = [error["loc"] for error in refused.value.errors() if error["type"] == "missing"]
            assert missing == [(*outer, name)], where
