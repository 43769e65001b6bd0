"""Image models of ``transformers``, shown a face."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from erc_kedro.extractors.base import FaceTrack, Metadata, fingerprint, one_by_one
from erc_kedro.extractors.visual.crops import COLOR
from erc_kedro.parameters import VisualParameters

# Part of a version: raise it when the same track may get another vector.
VERSION = 2
# Faces that a network is shown at a time.
BATCH = 16


class FaceTransformer:
    """What an image model of ``transformers`` makes of a face: a classifier, CLIP's image half, any encoder.

    A classifier gives the means over the frames of what it decides by and of its classes' probabilities. Any
    other model gives its image embedding's mean and deviation.
    """

    color: ClassVar[bool] = True

    def __init__(self, parameters: VisualParameters) -> None:
        """Loads ``parameters.model``.

        Raises:
            ValueError: there is no such model, or it reads no images.
        """
        from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

        from erc_kedro.extractors import hub

        name, parameter = str(parameters.model), "features.visual.model"
        (config,), _, _ = hub.load(name, (AutoConfig.from_pretrained,), parameter)
        self._classifies = any(
            architecture.endswith("ForImageClassification") for architecture in config.architectures or ()
        )
        kinds = (
            # The one that is there without torchvision, so that vectors do not depend on it.
            partial(AutoImageProcessor.from_pretrained, backend="pil"),
            hub.model(AutoModelForImageClassification if self._classifies else AutoModel),
        )
        (self._prepare, self._model), weights, licence = hub.load(name, kinds, parameter)
        settings = json.dumps(self._prepare.to_dict(), sort_keys=True, default=str)
        parts = [VERSION, weights, settings]
        digest = fingerprint(*parts)
        blank = np.zeros((1, COLOR, COLOR, 3), np.uint8)
        self.metadata = Metadata(name, len(self._vector(blank)), licence, digest)

    def __call__(self, signals: Sequence[FaceTrack]) -> np.ndarray:
        """Vectors [len(signals), metadata.dimension], float32 and finite."""
        return one_by_one(signals, lambda track: self._vector(track.color), self.metadata.dimension)

    def _vector(self, faces: Any) -> np.ndarray:
        import torch

        seen = []
        with torch.inference_mode():
            for first in range(0, len(faces), BATCH):
                prepared = self._prepare(images=list(faces[first : first + BATCH]), return_tensors="pt")
                seen.append(self._encode(prepared["pixel_values"].to(self._model.device)).cpu())
        frames = torch.cat(seen).double()
        means = frames.mean(0)
        if self._classifies:
            return means.numpy()
        return torch.cat([means, frames.std(0, correction=0)]).numpy()

    def _encode(self, pixels: Any) -> Any:
        """One row a face."""
        import torch

        if self._classifies:
            # What the last layer is given differs in name from model to model; it is caught on its way in.
            *_, last = (layer for layer in self._model.modules() if isinstance(layer, torch.nn.Linear))
            caught: list[Any] = []
            with last.register_forward_pre_hook(lambda _, given: caught.append(given[0])):
                logits = self._model(pixel_values=pixels).logits
            return torch.cat([caught[0].flatten(1), logits.softmax(-1)], dim=1)
        if hasattr(self._model, "get_image_features"):
            found = self._model.get_image_features(pixel_values=pixels)
            return found if isinstance(found, torch.Tensor) else found.pooler_output
        found = self._model(pixel_values=pixels)
        # A pooling layer with weights of its own is missing from many checkpoints, and then random.
        pooler = getattr(self._model, "pooler", None)
        random = pooler is not None and next(pooler.parameters(), None) is not None
        pooled = getattr(found, "pooler_output", None)
        if pooled is not None and not random:
            return pooled.flatten(1)
        hidden = found.last_hidden_state
        # A transformer's first token stands for the whole; a convolutional network has a map.
        return hidden[:, 0] if hidden.ndim == 3 else hidden.mean((2, 3))
