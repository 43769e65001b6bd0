"""How often the audit finds features that know labels, and how often it finds them where there are none.

    python -m benchmarks.fitted [corpora of each layout, 50] [kind of features, such as measured]

prints shares of random corpora: the visual features are warned of, beside honest text and alone, or hinted at
as recorded in another way; the text is warned of. Training is what probes name right of utterances that they
have not seen, test what a ridge classifier does.
"""

import sys
from collections.abc import Callable
from typing import get_args

import numpy as np
from sklearn.linear_model import RidgeClassifier

from erc_kedro.audit.fitted import fitted_features
from erc_kedro.escaping import markdown_table
from tests.audit.simulated import Layout, Simulated, simulated

FEATURES: dict[str, Callable[[Simulated, int], np.ndarray]] = {
    "measured": lambda made, seed: made.visual,
    "measured, test at another gain": lambda made, seed: made.another_gain(seed),
    "measured, test as noisy as it varies": lambda made, seed: made.noisy(seed),
    "fitted on train, 3 epochs": lambda made, seed: made.fitted(3, "train", seed=seed),
    "fitted on train, 10 epochs": lambda made, seed: made.fitted(10, "train", seed=seed),
    "fitted on train, 40 epochs": lambda made, seed: made.fitted(40, "train", seed=seed),
    "fitted on train and val, 3 epochs": lambda made, seed: made.fitted(3, "train", "val", seed=seed),
    "fitted on train and val, 10 epochs": lambda made, seed: made.fitted(10, "train", "val", seed=seed),
    "fitted on train and val, 40 epochs": lambda made, seed: made.fitted(40, "train", "val", seed=seed),
}
COLUMNS = ("features", "layout", "training", "test", "warned", "alone", "hinted", "text warned")


def rates(layout: Layout, kind: str, corpora: int) -> list[object]:
    """A row of the table."""
    warned, alone, hinted, of_text, training, test = [], [], [], [], [], []
    for seed in range(corpora):
        made = simulated(layout, seed)
        visual = FEATURES[kind](made, seed)
        tables = made.tables(visual=visual)
        found = fitted_features(tables, made.utterances, {})
        by_itself = fitted_features({"visual": tables["visual"]}, made.utterances, {})
        warned.append("visual" in found["warnings"])
        alone.append("visual" in by_itself["warnings"])
        hinted.append("visual" in found["hints"])
        of_text.append("text" in found["warnings"])
        training.append(found["probes"]["visual"]["training"])
        rows = (made.utterances["split"] == "train").to_numpy()
        model = RidgeClassifier(alpha=100.0).fit(visual[rows], made.utterances["label"][rows])
        test.append(model.score(visual[made.test], made.utterances["label"][made.test]))
    shares = (training, test, warned, alone, hinted, of_text)
    return [kind, layout, *(f"{np.mean(values):.2f}" for values in shares)]


def main(corpora: int, kind: str) -> None:
    print(f"Shares of {corpora} corpora each.\n")
    rows = [rates(layout, name, corpora) for name in FEATURES if kind in name for layout in get_args(Layout)]
    print(markdown_table(COLUMNS, rows, [False, False, *[True] * 6]))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, sys.argv[2] if len(sys.argv) > 2 else "")
