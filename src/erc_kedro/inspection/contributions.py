"""What the gated fusion network's gates and fusion weights say of each utterance."""

import numpy as np
import pandas as pd
import torch

from erc_kedro.models.fusion import FIRST, SECOND, represented
from erc_kedro.models.gates import SOURCE, TARGET
from erc_kedro.models.network import GatedFusionNetwork
from erc_kedro.schemas import HEADS, MODALITIES
from erc_kedro.training.batches import Dialogues, batch_of, dialogue_batches

SINGLES, PAIRS = HEADS[:3], HEADS[3:6]


def contributions(
    network: GatedFusionNetwork, data: Dialogues, split: str | None = None, size: int = 512
) -> pd.DataFrame:
    """Means over channels of G, alpha, beta and the fusion weights (docs/model.md).

    Args:
        split: whose utterances; None for all.
        size: utterances in a batch, padding included.

    Returns:
        Columns utterance_id, kind, part, weight (``schemas.contributions``), for each utterance in turn.
        A part that is switched off has no rows; a weight is NaN where a modality that it needs is absent
        (for a gate, in all of the dialogue).
    """
    modalities = network.parameters_of_model.modalities
    count = len(data.utterance_id)
    found: dict[tuple[str, str], np.ndarray] = {}
    network.eval()
    with torch.inference_mode():
        for which in dialogue_batches(data, split, size):
            batch = batch_of(data, which)
            output, seen = network(batch), batch.seen(modalities)
            said = seen.any(1, keepdim=True).expand_as(seen)
            pairs = list((seen[..., FIRST] & seen[..., SECOND]).unbind(-1))
            fused = list(represented(seen).unbind())
            kinds = {
                "gate": (
                    output.gates,
                    [f"{MODALITIES[n]}>{MODALITIES[m]}" for n, m in zip(SOURCE, TARGET, strict=True)],
                    [said[..., n] for n in SOURCE],
                ),
                "balance": (output.alpha, PAIRS, pairs),
                "product": (output.beta, PAIRS, pairs),
                "fusion": (output.weights, (*PAIRS, *SINGLES), fused),
            }
            for kind, (values, parts, there) in kinds.items():
                if values is None:
                    continue
                means = values.mean(-1)
                for index, part in enumerate(parts):
                    weight = torch.where(there[index], means[index], torch.nan)
                    column = found.setdefault((kind, part), np.full(count, np.nan, np.float32))
                    column[batch.row[batch.valid].numpy()] = weight[batch.valid].numpy()
    rows = np.arange(count) if split is None else data.rows(split)
    return pd.DataFrame(
        {
            "utterance_id": np.repeat(data.utterance_id[rows], len(found)),
            "kind": np.tile([kind for kind, _ in found], len(rows)),
            "part": np.tile([part for _, part in found], len(rows)),
            "weight": np.stack(list(found.values()), 1)[rows].ravel() if found else np.empty(0, np.float32),
        }
    )
