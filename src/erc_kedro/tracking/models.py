"""Bundles in MLflow's model registry: logged with the run that trained them, named, found again.

A bundle is registered as an MLflow model that loads by a module's name (``erc_kedro.scoring.served``): a
folder with ``bundle/`` and what MLflow reads about it, and nothing pickled.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from erc_kedro import files, schemas
from erc_kedro.errors import PlainError
from erc_kedro.tracking import store
from erc_kedro.tracking.runs import Run, opened

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

logger = logging.getLogger(__name__)

LOADER, CHAMPION = "erc_kedro.scoring.served", "champion"
# The model's folder of the bundle, and the bundle's files for programs and people.
BUNDLE, CARD, README = "bundle", "bundle.json", "README.md"
# What a registered model is asked, by MLflow's type; tables must have the first, and may have the others.
REQUIRED = {"dialogue_id": "string", "speaker": "string", "text": "string"}
OPTIONAL = {
    "position": "long",
    "clip": "string",
    "start_s": "double",
    "end_s": "double",
    "channel": "string",
    "frame_side": "string",
}
_KINDS = {"f": "double", "i": "long"}
# Stores take no longer description of a version.
LONGEST = 5000
_URI = re.compile(r"models:/+(?P<name>[^/@:]+)(?:/(?P<version>\d+)|@(?P<alias>[\w-]+))")
# No corpus's words: a registered model goes where its corpus may not.
_EXAMPLE = (
    ("call", "Agent", "Good morning, what can I do for you?"),
    ("call", "Customer", "My parcel is three weeks late and nobody answers!"),
    ("call", "Agent", "I am sorry. Let me see where it is."),
    ("visit", "Ines", "You came all the way here, how wonderful!"),
)


class UnknownModelError(PlainError, ValueError):
    """No such registered model; the message names it and those there are."""


def registered_name(corpus: str, synthetic: bool) -> str:
    """``erc-meld``; ``erc-demo-meld`` for synthetic data. No corpus is called ``demo-meld``."""
    return f"erc-demo-{corpus}" if synthetic else f"erc-{corpus}"


def register(run: Run, bundle: Path, champion: bool | Literal["validation"] = "validation") -> str | None:
    """Logs a bundle with the run that trained it, and registers it; the same bundle is registered once.

    Weights are not copied where the store's files and the bundle are on one disk: they are hard links.

    Args:
        champion: whether this version gets the alias. ``"validation"``: if it is new, and no version has the
            alias or one of the same protocol with a lower weighted F1 on validation.

    Returns:
        Name and version, such as ``erc-meld/3``; None where nothing is tracked, or the store did not take it,
        which is said.
    """
    registered: list[str] = []

    def log(client: "MlflowClient", run_id: str) -> None:
        card = json.loads((bundle / CARD).read_text("utf-8"))
        name, digest = registered_name(card["corpus"], card["synthetic"]), _digest(card)
        with store.turn(client.tracking_uri):
            version, model_id = _same(client, name, digest), None
            is_new = version is None
            if version is None:
                version, model_id = _add(client, run_id, bundle, name, card, digest)
            # With each run, so that one that took up everything says the same as the one that trained it.
            client.log_batch(run_id, _scores(card, run_id, model_id))
            if champion is True or (is_new and champion == "validation" and _is_better(client, name, card)):
                client.set_registered_model_alias(name, CHAMPION, version)
                logger.info("models:/%s@%s is now version %s", name, CHAMPION, version)
            registered.append(f"{name}/{version}")
            client.set_tag(run_id, "registered_model", registered[-1])

    run.attempt("its model in the registry", log)
    return registered[-1] if registered else None


def _digest(card: Mapping[str, Any]) -> str:
    """Of all that a bundle predicts with; its card has the digests of its files.

    The same that was trained from another commit, or is described in other words, is the same model.
    """
    content = {key: value for key, value in card.items() if key != "git_revision"}
    content["files"] = {name: value for name, value in card["files"].items() if name != README}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _same(client: "MlflowClient", name: str, digest: str) -> str | None:
    same = client.search_model_versions(f"name = '{name}' and tags.digest = '{digest}'")
    # One whose files somebody removed is of no use.
    versions = [int(one.version) for one in same if _holds_bundle(client, one)]
    return str(max(versions)) if versions else None


def _holds_bundle(client: "MlflowClient", version: "ModelVersion") -> bool:
    here = _local(client.get_model_version_download_uri(version.name, version.version))
    return here is None or (here / BUNDLE).is_dir()


def _add(
    client: "MlflowClient", run_id: str, bundle: Path, name: str, card: Mapping[str, Any], digest: str
) -> tuple[str, str]:
    """Logs and registers a bundle: its version, and the id of MLflow's model."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    tags = {"experiment": card["experiment"], "val_weighted_f1": str(card["validation"]["weighted_f1"])}
    tags |= {key: str(card[key]) for key in ("corpus", "protocol", "synthetic")} | {"digest": digest}
    experiment = client.get_run(run_id).info.experiment_id
    shown = {key: ", ".join(card[key]) for key in ("labels", "modalities", "languages")}
    shown["seeds"] = str(len(card["seeds"]))
    logged = client.create_logged_model(experiment, name, run_id, tags, shown, "emotion recognition")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    with TemporaryDirectory() as folder:
        described = Path(folder) / "model"
        _describe(described, run_id, logged.model_id, logged.artifact_location, card)
        client.log_model_artifacts(logged.model_id, str(described))
    here = _local(logged.artifact_location)
    if here is None:
        client.log_model_artifacts(logged.model_id, str(bundle), BUNDLE)
    else:
        shutil.copytree(bundle, here / BUNDLE, copy_function=lambda *two: files.share(*map(Path, two)))
    client.finalize_logged_model(logged.model_id, "READY")
    try:
        client.create_registered_model(name, description=_usage(name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # An SQLite store would look for models:/ in whatever store is MLflow's global one; servers want it so.
    of_server = client.tracking_uri.startswith("http")
    source = f"models:/{logged.model_id}" if of_server else logged.artifact_location
    version = str(
        client.create_model_version(name, source, run_id, tags, None, None, 0, logged.model_id).version
    )
    client.update_model_version(name, version, _for_people(bundle, f"models:/{name}/{version}"))
    # By this MLflow's pages show the version on those of the model and of the run.
    linked = json.dumps([{"name": name, "version": version}])
    client.set_logged_model_tags(logged.model_id, {MLFLOW_MODEL_VERSIONS: linked})
    return version, logged.model_id


def _scores(card: Mapping[str, Any], run_id: str, model_id: str | None) -> "list[Metric]":
    from mlflow.entities import Metric

    now, known = int(time.time() * 1000), card["validation"].items()
    named = [(f"ensemble.val.{key}", value) for key, value in known if value == value]
    return [Metric(key, value, now, 0, model_id, run_id=run_id) for key, value in named]


def _describe(folder: Path, run_id: str, model_id: str, location: str, card: Mapping[str, Any]) -> None:
    """What MLflow reads about a model: how to load it, its columns, an example, the packages."""
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    model = Model(artifact_path=location, run_id=run_id, model_uuid=model_id, model_id=model_id)
    save_model(
        str(folder),
        loader_module=LOADER,
        mlflow_model=model,
        signature=signature(card["labels"]),
        input_example=example(),
        # Without what a build adds, such as +cpu, which no index has.
        pip_requirements=[f"{name}=={of.partition('+')[0]}" for name, of in card["requirements"].items()],
    )


def signature(labels: list[str]) -> "ModelSignature":
    """Columns of the tables that a registered model reads, and of those that it answers with."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    answered: list[ColSpec | TensorSpec] = []
    for name, column in schemas.timeline.columns.items():
        # A pattern stands for a column of each label, or of each modality.
        stands_for = [name]
        if name == "p_.+":
            stands_for = [f"p_{label}" for label in labels]
        elif column.regex:
            stands_for = [name.replace("(text|audio|visual)", each) for each in schemas.MODALITIES]
        kind = _KINDS.get(column.dtype.type.kind, "string")
        answered += [ColSpec(kind, each, not column.nullable) for each in stands_for]
    known = (REQUIRED | OPTIONAL).items()
    asked: list[ColSpec | TensorSpec] = [ColSpec(kind, name, name in REQUIRED) for name, kind in known]
    return ModelSignature(Schema(asked), Schema(answered))


def example() -> "pd.DataFrame":
    """A table of utterances as a registered model reads it."""
    import pandas as pd

    return pd.DataFrame(list(_EXAMPLE), columns=["dialogue_id", "speaker", "text"])


def _usage(name: str) -> str:
    return (
        "Emotions of utterances. Score recordings: "
        f"`kedro run --pipeline=score --params=recordings=PATH,model=models:/{name}@{CHAMPION}`"
    )


def _for_people(bundle: Path, uri: str) -> str:
    """The model card, as long as stores take, with this model's name for its folder's."""
    text = (bundle / README).read_text("utf-8").replace("THIS_FOLDER", uri)
    if len(text) <= LONGEST:
        return text
    rest = f"\n\nThe whole card: {BUNDLE}/{README} of the model's files."
    return text[: LONGEST - len(rest)].rpartition("\n")[0] + rest


def _is_better(client: "MlflowClient", name: str, card: Mapping[str, Any]) -> bool:
    """Whether a bundle is better than the champion on validation of the same protocol, or the first."""
    version = client.get_registered_model(name).aliases.get(CHAMPION)
    if version is None:
        return True
    tags = client.get_model_version(name, version).tags
    if tags.get("protocol") != str(card["protocol"]) or "val_weighted_f1" not in tags:
        logger.warning(
            "%s: version %s stays %s: it was not validated by the same protocol; --params=champion=true "
            "names this one",
            name,
            version,
            CHAMPION,
        )
        return False
    return card["validation"]["weighted_f1"] > float(tags["val_weighted_f1"])


def resolve(uri: str) -> Path:
    """The folder of a registered bundle: where the store keeps it if that is here, else a copy in a cache.

    Looked up in the store of the run that is going on, else in ``MLFLOW_TRACKING_URI``, else in ``mlflow.db``
    of the working directory.

    Args:
        uri: ``models:/erc-meld@champion`` or ``models:/erc-meld/3``.

    Raises:
        UnknownModelError: there is no such model or version, or none of its files.
        TrackingError: the store cannot be used.
    """
    parts = _URI.fullmatch(uri)
    if parts is None:
        raise UnknownModelError(
            f"{uri}: a registered model is named models:/NAME@ALIAS or models:/NAME/VERSION, such as "
            f"models:/erc-meld@{CHAMPION}"
        )
    client = _client(uri)
    with store.explained(client.tracking_uri), store.impatient():
        known = {model.name: model for model in client.search_registered_models(max_results=1000)}
        versions = client.search_model_versions(f"name = '{parts['name']}'") if parts["name"] in known else []
    by_number = {str(one.version): one for one in versions}
    number = parts["version"] or dict(known[parts["name"]].aliases).get(parts["alias"]) if versions else None
    if str(number) not in by_number:
        raise UnknownModelError(f"{uri}: {store.shown(client.tracking_uri)} has {_listed(known, by_number)}")
    version = by_number[str(number)]
    with store.explained(client.tracking_uri):
        location = client.get_model_version_download_uri(version.name, version.version)
    here = _local(location)
    if here is None:
        return _downloaded(client, uri, location, version)
    if not (here / BUNDLE).is_dir():
        raise UnknownModelError(
            f"{uri}: its files are no longer in {here}; train that experiment again, and it is registered "
            "anew"
        )
    return here / BUNDLE


def _client(uri: str) -> "MlflowClient":
    run = opened()
    if run is not None:
        return run[0]
    asked = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    located = store.located(asked, Path.cwd())
    file = store.sqlite_file(located)
    # Whoever looks for a model wants no new store.
    if file is not None and not file.exists():
        raise UnknownModelError(
            f"{uri}: there is no MLflow store {file}; set MLFLOW_TRACKING_URI, such as to "
            f"sqlite:////folder/of/the/project/mlflow.db, or name the bundle's folder"
        )
    return store.connect(located)


def _listed(known: Mapping[str, Any], versions: Mapping[str, Any]) -> str:
    """The versions of a model if it is known, else the models there are."""
    if versions:
        [name] = {one.name for one in versions.values()}
        aliases = ", ".join(f"@{alias}" for alias in sorted(known[name].aliases)) or "no alias"
        return f"{aliases} and version {', '.join(sorted(versions, key=int))} of {name}"
    ours = ", ".join(sorted(known))
    return f"no such model, but {ours}" if ours else "no registered model; training registers what it trained"


def _local(location: str) -> Path | None:
    is_file = location.startswith(("file:", "/"))
    return store.local_path(location) if is_file else None


def _downloaded(client: "MlflowClient", uri: str, location: str, version: "ModelVersion") -> Path:
    expected = version.tags.get("digest")
    if not re.fullmatch("[0-9a-f]{64}", expected or ""):
        raise UnknownModelError(f"{uri}: not registered by erc-kedro (it has no tag `digest`)")
    cached = _cache() / str(expected)
    if cached.is_dir():
        return cached
    from mlflow.artifacts import download_artifacts

    logger.info("%s is downloaded to %s", uri, cached)
    with files.replacing_folder(cached) as folder, TemporaryDirectory(dir=folder.parent) as received:
        with store.explained(client.tracking_uri):
            download_artifacts(f"{location}/{BUNDLE}", dst_path=received, tracking_uri=client.tracking_uri)
        bundle = Path(received) / BUNDLE
        card = bundle / CARD
        if not card.is_file() or _digest(json.loads(card.read_text("utf-8"))) != expected:
            raise UnknownModelError(
                f"{uri}: what {store.shown(client.tracking_uri)} sends is not what was registered; train "
                "that experiment again, and it is registered anew"
            )
        for path in bundle.iterdir():
            path.rename(folder / path.name)
    return cached


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "erc-kedro" / "models"
