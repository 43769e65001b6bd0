"""A map in two dimensions of what the network makes of each utterance."""

import numpy as np
import pandas as pd
import torch

from erc_kedro.models.network import GatedFusionNetwork
from erc_kedro.schemas import HEADS, heads_of
from erc_kedro.training.batches import Dialogues, batch_of, dialogue_batches

SHOWN = ("tav", "t", "a", "v")
# t-SNE of more takes minutes and shows no more.
MOST = 600
FEWEST = 10


def layout(network: GatedFusionNetwork, data: Dialogues, size: int = 512) -> pd.DataFrame:
    """The trimodal and unimodal representations of test utterances, each laid out by t-SNE.

    t-SNE (van der Maaten and Hinton, JMLR 2008) keeps neighbours together; distances between groups and
    the axes mean nothing. Up to ``MOST`` labelled utterances are drawn, the same in every run.

    Args:
        data: the modalities that the network may see.
        size: utterances in a batch, padding included.

    Returns:
        Columns utterance_id, head, label, x, y (``schemas.layout``); an utterance is left out of the map
        of a modality that it lacks. No rows of a head with fewer than ``FEWEST`` utterances, or to
        which all are the same.
    """
    from sklearn.manifold import TSNE

    rows = data.rows("test")
    rows = rows[(data.label[rows] >= 0).numpy()]
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST, replace=False))
    hidden = network.parameters_of_model.hidden
    found = torch.zeros(len(HEADS), len(data.utterance_id) + 1, hidden)
    network.eval()
    with torch.inference_mode():
        for which in dialogue_batches(data, "test", size):
            batch = batch_of(data, which)
            representations = network(batch).representations
            assert representations is not None
            found[:, batch.row[batch.valid]] = representations[:, batch.valid]
    used = heads_of(set(data.modalities) & set(network.parameters_of_model.modalities))
    tables = []
    for head in SHOWN:
        seen = rows[data.present[rows, "tav".index(head)].numpy()] if len(head) == 1 else rows
        if head not in used or len(seen) < FEWEST:
            continue
        x = found[HEADS.index(head), seen].numpy()
        # Where all are the same, t-SNE ends the process.
        if not np.isfinite(x).all() or np.ptp(x, axis=0).max() < 1e-6:
            continue
        perplexity = min(30, (len(seen) - 1) / 3)
        place = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(x)
        tables.append(
            pd.DataFrame(
                {
                    "utterance_id": data.utterance_id[seen],
                    "head": head,
                    "label": np.array(data.classes, object)[data.label[seen].numpy()],
                    "x": place[:, 0].astype(np.float32),
                    "y": place[:, 1].astype(np.float32),
                }
            )
        )
    columns = ["utterance_id", "head", "label", "x", "y"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
