"""Speech models of ``transformers``."""

import json
from collections.abc import Sequence

import numpy as np

from erc_kedro.extractors import base
from erc_kedro.parameters import AudioParameters


class SpeechTransformer:
    """A wav2vec2, HuBERT or WavLM: its layers' mean, then mean and standard deviation over time."""

    def __init__(self, parameters: AudioParameters) -> None:
        from transformers import AutoFeatureExtractor, AutoModel

        from erc_kedro.extractors import hub

        name = str(parameters.model)
        kinds = (AutoFeatureExtractor.from_pretrained, hub.model(AutoModel))
        (self._prepare, self._model), weights, licence = hub.load(name, kinds, "features.audio.model")
        config = self._model.config
        if not hasattr(config, "conv_stride"):
            raise ValueError(f"features.audio.model: {name!r} is no wav2vec2, HuBERT or WavLM")
        if self._prepare.sampling_rate != base.RATE:
            raise ValueError(
                f"features.audio.model: {name!r} hears {self._prepare.sampling_rate} samples a second; "
                f"only {base.RATE} are given"
            )
        self._layers = {"last": slice(-1, None), "last_four": slice(-4, None), "all": slice(None)}[
            parameters.layers
        ]
        # What one step of the convolutions sees; less would be an error of theirs.
        self._shortest = 1
        for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1], strict=True):
            self._shortest = (self._shortest - 1) * stride + kernel
        settings = json.dumps(self._prepare.to_dict(), sort_keys=True, default=str)
        parts = [
            weights,
            settings,
            "mean, deviation",
            parameters.layers,
        ]
        self.metadata = base.Metadata(name, 2 * config.hidden_size, licence, base.fingerprint(*parts))

    def __call__(self, signals: Sequence[np.ndarray]) -> np.ndarray:
        # One at a time: padding to a batch's longest would enter the group norm over time that the base
        # models have, so that a vector would depend on its neighbours.
        return base.one_by_one(signals, self._one, self.metadata.dimension)

    def _one(self, signal: np.ndarray) -> np.ndarray:
        import torch

        heard = self._prepare(signal, sampling_rate=base.RATE, return_tensors="pt").input_values
        # A sound below the model's shortest ends in zeros, as silence does.
        heard = torch.nn.functional.pad(heard, (0, max(self._shortest - heard.shape[1], 0)))
        with torch.inference_mode():
            states = self._model(heard.to(self._model.device), output_hidden_states=True).hidden_states
            mixed = torch.stack(states[self._layers]).mean(0)[0]
            return torch.cat([mixed.mean(0), mixed.std(0, correction=0)]).cpu().numpy()
