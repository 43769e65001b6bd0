"""What the page's conversation viewer shows: test dialogues with all that was predicted of them."""

from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.escaping import line
from erc_kedro.evaluation.metrics import PREDICTION, class_columns, class_names
from erc_kedro.report.section import CorpusSection
from erc_kedro.schemas import HEADS

# A page with more would open slowly.
MOST_UTTERANCES = 3000
# Kinds of weights that are shown along time.
SHOWN = ("gate", "fusion")


def conversations(section: CorpusSection) -> dict[str, Any] | None:
    """The corpus's test dialogues as the page's script reads them; None without predictions or utterances.

    Probabilities and weights are means over seeds, in percent.

    Returns:
        ``classes``, ``heads``, ``weights`` (names), ``left_out`` (number of dialogues beyond
        ``MOST_UTTERANCES``), and ``dialogues``: each an ``id`` and ``turns`` of [speaker, text, true class
        or -1, probabilities by head [H][C], weights [W] with None where there is none].
    """
    mean = section.results.get("probabilities")
    if mean is None or section.utterances is None:
        return None
    test = section.utterances[section.utterances["split"] == "test"].sort_values(["dialogue_id", "position"])
    sizes = test.groupby("dialogue_id", sort=False).size().cumsum()
    # The first is shown however long it is.
    kept = sizes.index[(sizes <= MOST_UTTERANCES) | (np.arange(len(sizes)) == 0)]
    test = test[test["dialogue_id"].isin(kept)]
    if test.empty:
        return None
    ids = test["utterance_id"]
    # A head that was never trained has no scores, and says nothing here either.
    scored = mean["head"] if section.metrics is None else section.metrics["head"]
    heads = [head for head in HEADS if head in {*scored, PREDICTION} and head in set(mean["head"])]
    columns, classes = class_columns(mean), class_names(mean)
    p = np.stack([_percent(mean[mean["head"] == head], ids)[columns].to_numpy() for head in heads], axis=1)
    names, weights = _weights(section, ids)
    label = pd.Index(classes).get_indexer(pd.Index(test["label"].astype(object)))
    dialogues: dict[str, list[Any]] = {}
    for index, row in enumerate(test[["dialogue_id", "speaker", "text"]].itertuples(index=False)):
        turn = [row.speaker, row.text, int(label[index]), p[index].tolist(), weights[index]]
        dialogues.setdefault(str(row.dialogue_id), []).append(turn)
    return {
        "classes": [line(name, 60) for name in classes],
        "heads": heads,
        "weights": names,
        "left_out": len(sizes) - len(kept),
        "dialogues": [{"id": name, "turns": turns} for name, turns in dialogues.items()],
    }


def _percent(table: pd.DataFrame, ids: pd.Series) -> pd.DataFrame:
    numbers = table.set_index("utterance_id").select_dtypes("number").reindex(ids.to_numpy())
    return (100 * numbers).round().fillna(0).astype(int)


def _weights(section: CorpusSection, ids: pd.Series) -> tuple[list[str], list[list[int | None]]]:
    """Names of the weights, and each utterance's in percent."""
    table = section.results.get("weights")
    if table is None or table.empty:
        return [], [[]] * len(ids)
    rows = table[table["kind"].isin(SHOWN) & table["utterance_id"].isin(ids)]
    mean = rows.set_index(["kind", "part", "utterance_id"])["weight"].unstack("utterance_id", sort=False)
    mean = (100 * mean.reindex(columns=ids.to_numpy())).round()
    mean = mean[mean.notna().any(axis=1)]
    names = [f"{kind} {part}" for kind, part in mean.index]
    return names, [[None if np.isnan(w) else int(w) for w in row] for row in mean.to_numpy().T]
