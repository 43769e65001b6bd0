"""Pure torch: tensors in, tensors out. Nothing here knows a file, Kedro or MLflow.

Shapes: B dialogues, L utterances, M = 3 modalities (text, audio, visual), d hidden, C classes.

What a network of one's own needs is imported from here (docs/adding-a-model.md).
"""

from erc_kedro.models.base import ClosedForm, Network
from erc_kedro.models.batch import Batch, Output

__all__ = ["Batch", "ClosedForm", "Network", "Output"]
