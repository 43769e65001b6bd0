"""How configuration becomes the parameters of each corpus.

A stage's parameters are written once (``train:``) and refined, in this order, by the corpus
(``meld.train:``), by the chosen experiment (``conf/<env>/experiments/<name>.yml``), and by
``--params`` on the command line. Nodes read the result as ``params:<corpus>.<stage>``.
"""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from erc_kedro.errors import PlainError
from erc_kedro.escaping import line

STAGES = ("ingestion", "finetune", "features", "train", "compare", "tune")
# A key of each, for messages.
EXAMPLES = {
    "ingestion": "raw",
    "finetune": "epochs",
    "features": "text",
    "train": "seeds",
    "compare": "draws",
    "tune": "trials",
    "mlflow": "uri",
}
# Folders beside those of corpora and experiments, and keys beside theirs in parameters.
_NO_CORPUS = {
    *STAGES,
    "cache",
    "encoders",
    "tuning",
    "experiment",
    "experiments",
    "runs",
    "seeds",
    "demo",
    "comparison",
    "score",
    "scored",
    "recordings",
    "recording",
    "model",
    "transfer",
    "from",
    "to",
    "labels",
}
# How files of one corpus end that lie beside those of others: `meld_features.json` is of `meld`.
_ENDINGS = ("features", "with_features", "history", "importances", "parallel", "slices", "front")
_NO_EXPERIMENT = {"audit", "comparison", "encoders", "encoder_alone", "runs", "tuning"}
_NAME = re.compile(r"\w[\w.-]*")
# What Windows takes for devices, whatever follows.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_LONGEST_NAME = 100
# What Kedro gives the loader.
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"experiments": ["experiments/*.yml"]},
    # An environment overrides single keys instead of whole blocks.
    "merge_strategy": {"parameters": "soft", "globals": "soft", "experiments": "soft"},
}


class ConfigError(PlainError, ValueError):
    """Configuration that cannot be used; the message names the key and the fix."""


# Kedro hands the loader of a session neither to pipelines nor to nodes.
_in_session: ContextVar["ErcConfigLoader | None"] = ContextVar("configuration", default=None)


def active_corpora() -> list[str]:
    """The corpora that pipelines are built for: the session's, or without one those of the base environment.

    Raises:
        ConfigError: globals.yml has no list of names.
    """
    loader = _in_session.get()
    # Not by its truth: a loader is a mapping, empty at first.
    if loader is None:
        conf = Path(__file__).resolve().parents[2] / "conf"
        loader = ErcConfigLoader(str(conf), env=os.environ.get("KEDRO_ENV"), **CONFIG_LOADER_ARGS)
    return loader.corpora


def written_parameters() -> dict[str, Any]:
    """The session's parameters as they are written, corpora and experiments apart; none without a session."""
    loader = _in_session.get()
    if loader is None:
        return {}
    try:
        return OmegaConfigLoader.__getitem__(loader, "parameters")
    except MissingConfigException:
        # Whoever needs one will say so; pipelines are drawn without.
        return {}


def check_name(name: Any, where: str, taken: Collection[str] = ()) -> str:
    """The name, if folders and files may be called so, and none of the project's own is.

    Args:
        where: what is named, for the message.
        taken: names that the project needs for itself.

    Raises:
        ConfigError: it is no such name.
    """
    shown = line(name, 60)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name.encode()) > _LONGEST_NAME:
        raise ConfigError(
            f"{where}: {shown!r} is no name for a folder; write letters, digits, _, - and full stops, a "
            f"letter, digit or _ first, up to {_LONGEST_NAME} bytes"
        )
    if name.lower() in taken or _DEVICE.fullmatch(name):
        raise ConfigError(f"{where}: {shown!r} is the name of something else; choose another")
    return name


def chosen_env() -> str:
    """The environment of the run, such as ``demo``."""
    loader = _in_session.get()
    return loader.chosen_env if loader is not None else os.environ.get("KEDRO_ENV", "local")


def merge(*layers: Mapping[str, Any] | None) -> dict[str, Any]:
    """A deep merge of mappings; later layers win, lists are replaced whole."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in (layer or {}).items():
            if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
                result[key] = merge(result[key], value)
            else:
                result[key] = deepcopy(value)
    return result


def for_each_corpus(
    parameters: dict[str, Any], corpora: list[str], experiment: Mapping[str, Any], runtime: Mapping[str, Any]
) -> dict[str, Any]:
    """Parameters with ``<corpus>.<stage>`` filled in for every corpus and stage."""
    result = merge(parameters)
    for corpus in corpora:
        stages = {stage: for_stage(parameters, corpus, stage, experiment, runtime) for stage in STAGES}
        result[corpus] = merge(result.get(corpus), stages)
    return result


def for_stage(
    parameters: Mapping[str, Any],
    corpus: str,
    stage: str,
    experiment: Mapping[str, Any],
    runtime: Mapping[str, Any],
) -> dict[str, Any]:
    """One stage's parameters for one corpus, its layers merged."""
    layers = (parameters, parameters.get(corpus), experiment, experiment.get(corpus))
    typed = (runtime, runtime.get(corpus))
    return merge(*(_section(layer, stage) for layer in (*layers, *typed)))


def spelled_out(typed: Mapping[str, Any], corpora: list[str]) -> dict[str, Any]:
    """The command line's parameters, with what its short names stand for.

    ``seeds`` is ``train.seeds``, ``<corpus>_raw`` is ``<corpus>.ingestion.raw`` and ``<corpus>.protocol`` is
    ``<corpus>.ingestion.protocol``, so that they win over any configuration; the long names win over them.
    """
    meant: dict[str, Any] = {}
    if "seeds" in typed:
        meant["train"] = {"seeds": typed["seeds"]}
    for corpus in corpora:
        own = typed.get(corpus)
        ingestion = {}
        if f"{corpus}_raw" in typed:
            ingestion["raw"] = typed[f"{corpus}_raw"]
        if isinstance(own, Mapping) and "protocol" in own:
            ingestion["protocol"] = own["protocol"]
        if ingestion:
            meant[corpus] = {"ingestion": ingestion}
    return merge(meant, typed)


def compared_experiments(parameters: Mapping[str, Any]) -> list[str]:
    """The experiments to compare, the reference first if it was not named."""
    named = parameters.get("experiments") or []
    names = [named] if isinstance(named, str) else named
    reference = (parameters.get("compare") or {}).get("reference")
    for key, value in (("experiments", names), ("compare.reference", [reference or ""])):
        if not isinstance(value, list) or any(isinstance(name, list | dict) for name in value):
            raise ConfigError(f"{key} is {line(value, 60)}; write names of experiments")
    names = [*names]
    if reference is not None and reference not in names:
        names.insert(0, reference)
    return list(dict.fromkeys(names))


def _section(layer: Any, stage: str) -> Mapping[str, Any] | None:
    section: Mapping[str, Any] | None = (layer or {}).get(stage)
    # In short, a protocol is the name of its classes.
    if stage == "ingestion" and section and isinstance(section.get("protocol"), str):
        return {**section, "protocol": {"classes": section["protocol"]}}
    return section


def check_mapping(value: Any, key: str) -> None:
    """Refuses what is neither nothing nor a mapping.

    Raises:
        ConfigError: naming the key, and one of those that belong below it.
    """
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(
            f"{key} is {line(value, 60)!r}, but has keys of its own; write {key}.KEY, such as "
            f"{key}.{EXAMPLES.get(key.rpartition('.')[2], 'train')}=VALUE"
        )


def _check_kinds(layer: Any, where: str, corpora: Sequence[str]) -> None:
    """Refuses one value where a mapping of many belongs.

    Raises:
        ConfigError: naming the key.
    """
    check_mapping(layer, where)
    prefix = f"{where}." if where != "parameters" else ""
    for name in (*STAGES, *corpora):
        check_mapping((layer or {}).get(name), f"{prefix}{name}")
    for corpus in corpora:
        for stage in STAGES:
            check_mapping(((layer or {}).get(corpus) or {}).get(stage), f"{prefix}{corpus}.{stage}")


def _same_corpus(
    config: Mapping[str, Any],
    corpus: str,
    name: str,
    experiment: Mapping[str, Any],
    typed: Mapping[str, Any],
    expanded: Mapping[str, Any],
) -> None:
    """Refuses an experiment that asks for another corpus than the one on disk."""
    asks = _section(experiment, "ingestion") or _section(experiment.get(corpus), "ingestion")
    if asks and for_stage(config, corpus, "ingestion", experiment, typed) != expanded["ingestion"]:
        raise ConfigError(
            f"experiments: {name} differs in its ingestion, but all that are compared are scored on the same "
            f"utterances of {corpus}; give it a corpus of its own in globals.yml, or train it alone with "
            f"--params=experiment={name}"
        )


class ErcConfigLoader(OmegaConfigLoader):
    """Kedro's loader, whose parameters are expanded by corpus and experiment."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _in_session.set(self)
        if self._protocol == "file" and not (Path(self.conf_source) / self.base_env).is_dir():
            raise ConfigError(
                f"{self.conf_source}: no configuration is there; run inside the project, or say where it is "
                "with --conf-source=FOLDER, or the archive that `kedro package` makes of it"
            )
        if self._protocol == "file" and self.env and not (Path(self.conf_source) / self.env).is_dir():
            there = sorted(path.name for path in Path(self.conf_source).iterdir() if path.is_dir())
            raise ConfigError(
                f"--env={self.env}: {self.conf_source} has {', '.join(there)}; name one of them"
            )

    @property
    def chosen_env(self) -> str:
        return self.env or self.default_run_env

    @property
    def corpora(self) -> list[str]:
        """``corpora`` of the environment's globals, or of the base's."""
        corpora = self["globals"].get("corpora")
        where = f"{self.conf_source}: globals.yml: corpora"
        if corpora is None:
            raise ConfigError(
                f"{self.conf_source}: base/globals.yml has no list of corpora; add `corpora: [meld, iemocap]`"
            )
        if not isinstance(corpora, list) or not all(isinstance(c, str) and c.isidentifier() for c in corpora):
            raise ConfigError(f"{where} must be a list of names such as [meld, iemocap]")
        for at, corpus in enumerate(corpora):
            check_name(corpus, where, _NO_CORPUS)
            if corpus in corpora[:at]:
                raise ConfigError(f"{where}: {corpus} is there twice; name each once")
            for other in corpora:
                if corpus in {f"{other}_{ending}" for ending in _ENDINGS}:
                    raise ConfigError(
                        f"{where}: files of {corpus} would be called as some of {other}; choose another name"
                    )
        return corpora

    def __getitem__(self, key: str) -> dict[str, Any]:
        if key != "parameters":
            return self._read(key)
        corpora = self.corpora
        # OmegaConf would not say which key it cannot merge.
        _check_kinds(self.runtime_params, "parameters", corpora)
        config = self._read(key)
        _check_kinds(config, "parameters", corpora)
        typed = spelled_out(self.runtime_params or {}, corpora)
        # Read once: loading resolves every experiment's file.
        known = self._experiments()
        self._one_experiment(config)
        chosen = self._experiment(known, config.get("experiment"), corpora)
        expanded = for_each_corpus(config, corpora, chosen, typed)
        for corpus in corpora:
            filled: dict[str, dict[str, Any]] = {"train": {}, "features": {}, "finetune": {}}
            refused = {}
            for name in compared_experiments(config):
                try:
                    experiment = self._experiment(known, name, corpora)
                    _same_corpus(config, corpus, name, experiment, typed, expanded[corpus])
                except ConfigError as error:
                    # Only the compare pipeline reads them; no other one is to stop for it.
                    refused[name] = str(error)
                else:
                    for stage, of_each in filled.items():
                        of_each[name] = for_stage(config, corpus, stage, experiment, typed)
            filled["experiments"] = filled.pop("train")
            expanded[corpus]["compare"] |= {**filled, "refused": refused}
            expanded[corpus]["tune"] |= {
                "experiment": config.get("experiment"),
                "experiment_settings": dict(chosen),
            }
        return expanded

    def _read(self, key: str) -> dict[str, Any]:
        """As Kedro reads it; what no file can mean is a ConfigError that names the file, or the key."""
        try:
            read: dict[str, Any] = super().__getitem__(key)
        except YAMLError as error:
            raise ConfigError(f"{line(error, 300)} Correct the file: each line is `key: value`") from error
        except OmegaConfBaseException as error:
            path = self._without_keys(key)
            if path is not None:
                raise ConfigError(
                    f"{path}: not `name: value` lines at its beginning; write its keys there"
                ) from error
            said = str(error).partition("\n")[0]
            raise ConfigError(f"{self.conf_source}: {key}: {said}; correct what stands there") from error
        except ValueError as error:
            if not str(error).startswith("Duplicate keys"):
                raise
            raise ConfigError(f"{line(error, 500)}; leave each in one file") from error
        return read

    def _without_keys(self, key: str) -> Path | None:
        """A file of this kind that holds a list, say, which OmegaConf does not name."""
        source = Path(self.conf_source)
        for folder in (source / self.base_env, source / self.chosen_env):
            for pattern in self.config_patterns.get(key, []):
                for path in sorted(folder.glob(pattern)):
                    if path.suffix in (".yml", ".yaml") and isinstance(
                        yaml.safe_load(path.read_bytes()), list
                    ):
                        return path
        return None

    def _one_experiment(self, config: Mapping[str, Any]) -> None:
        """Refuses an experiment whose results the catalog would keep under another one's name."""
        kept = (self.runtime_params or {}).get("experiment", self["globals"].get("experiment"))
        if config.get("experiment") != kept:
            raise ConfigError(
                f"experiment: parameters say {config.get('experiment')!r}, globals {kept!r}, under which "
                "results are kept; write it in globals.yml, or --params=experiment=NAME"
            )

    def _experiments(self) -> Mapping[str, Any]:
        try:
            return self._read("experiments")
        except MissingConfigException:
            return {}

    def _experiment(
        self, experiments: Mapping[str, Any], name: str | None, corpora: Sequence[str]
    ) -> Mapping[str, Any]:
        name = check_name(name, "experiment", _NO_EXPERIMENT)
        if name not in experiments:
            raise ConfigError(
                f"experiment: {name!r} is not known; there are {', '.join(sorted(experiments)) or 'none'}. "
                f"Write {self.conf_source}/{self.chosen_env}/experiments/{name}.yml, "
                f"whose only key is {name}"
            )
        _check_kinds(experiments[name], f"experiment {name}", corpora)
        return experiments[name] or {}
