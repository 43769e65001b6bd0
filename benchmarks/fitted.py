"""How often the audit finds features that know labels, and how often it finds them where there are none.

    python -m benchmarks.fitted [corpora of each layout, 13] [kind of features, such as measured]

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
COLUMNS = ("features", "corpora", "right on training", "on test", "warned", "alone", "hinted", "text warned")


def found_in(made: Simulated, visual: np.ndarray) -> tuple[float, ...]:
    """What is in ``COLUMNS`` of one corpus."""
    tables = made.tables(visual=visual)
    beside_text = fitted_features(tables, made.utterances, {})
    alone = fitted_features({"visual": tables["visual"]}, made.utterances, {})
    rows = (made.utterances["split"] == "train").to_numpy()
    model = RidgeClassifier(alpha=100.0).fit(visual[rows], made.utterances["label"][rows])
    return (
        beside_text["probes"]["visual"]["training"],
        model.score(visual[made.test], made.utterances["label"][made.test]),
        "visual" in beside_text["warnings"],
        "visual" in alone["warnings"],
        "visual" in beside_text["hints"],
        "text" in beside_text["warnings"],
    )


def main(corpora: int, kind: str) -> None:
    rows = []
    for name, make in FEATURES.items():
        if not name.startswith(kind):
            continue
        simulations = [
            (simulated(layout, seed), seed) for layout in get_args(Layout) for seed in range(corpora)
        ]
        found = np.array([found_in(made, make(made, seed)) for made, seed in simulations])
        rows.append([name, len(found), *(f"{value:.2f}" for value in found.mean(0))])
        print(*rows[-1], flush=True)
    print("\n" + markdown_table(COLUMNS, rows, [False, *[True] * 7]))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 13, sys.argv[2] if len(sys.argv) > 2 else "")
