"""How long a full report takes and how large it is: 20 experiments, 5 seeds, both corpora at their size.

``python -m benchmarks.reports`` draws random results, writes the page below ``data/08_reporting/bench`` and
prints the figures; how fast a browser opens it is seen by opening it.
"""

import argparse
import time

import numpy as np
import pandas as pd

from benchmarks.run import REPOSITORY, RESULTS
from erc_kedro.evaluation.comparison import comparison_table
from erc_kedro.evaluation.metrics import metrics_table
from erc_kedro.evaluation.units import units_of
from erc_kedro.pipelines.reporting.nodes import evaluate_results
from erc_kedro.report.pages.report import render_report
from erc_kedro.report.plots.drawn import figures_of
from erc_kedro.report.section import CorpusSection
from erc_kedro.schemas import HEADS, MODALITIES

# Dialogues and utterances of train, val and test, and the number of classes, as in the releases.
SIZES = {
    "meld": ({"train": (1038, 9989), "val": (114, 1109), "test": (280, 2610)}, 7),
    "iemocap": ({"train": (108, 5163), "val": (12, 647), "test": (31, 1623)}, 6),
}
WEIGHTS = {
    "gate": [f"{a}>{b}" for b in MODALITIES for a in MODALITIES if a != b],
    "balance": HEADS[3:6],
    "product": HEADS[3:6],
    "fusion": (*HEADS[3:6], *HEADS[:3]),
}


def measure(experiments: int, seeds: int, shrink: int = 1) -> dict[str, float]:
    """Seconds to compute the results, draw the figures and render the page; its megabytes and its figures'.

    Args:
        shrink: dialogues and utterances are this many times fewer.
    """
    gathered = [section(name, experiments, seeds, shrink) for name in SIZES]
    began = time.perf_counter()
    sections = [evaluate_results(each) for each in gathered]
    evaluated = time.perf_counter()
    figures = [figures_of(each) for each in sections]
    size = sum(len(figure.to_json()) for each in figures for figure in each.values())
    drawn = time.perf_counter()
    facts = {"experiment": "random", "command": "python -m benchmarks.reports"}
    page = render_report(sections, figures, facts)
    rendered = time.perf_counter()
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "report.html").write_text(page, "utf-8")
    return {
        "results_s": evaluated - began,
        "figures_s": drawn - evaluated,
        "page_s": rendered - drawn,
        "figures_mb": size / 1e6,
        "page_mb": len(page.encode()) / 1e6,
    }


def section(name: str, experiments: int, seeds: int, shrink: int = 1) -> CorpusSection:
    """Random results of one corpus."""
    draw = np.random.default_rng(0)
    sizes, count = SIZES[name]
    classes = [f"class{number}" for number in range(count)]
    parts = []
    for split, (dialogues, total) in sizes.items():
        dialogue = np.sort(draw.integers(max(dialogues // shrink, 2), size=total // shrink))
        parts.append(pd.DataFrame({"dialogue_id": [f"{split}{d}" for d in dialogue], "split": split}))
    utterances = pd.concat(parts, ignore_index=True)
    utterances["position"] = utterances.groupby("dialogue_id").cumcount()
    utterances["utterance_id"] = [f"u{n}" for n in range(len(utterances))]
    utterances["speaker"] = draw.choice([f"speaker{n}" for n in range(20)], len(utterances))
    utterances["text"] = [" ".join(["word"] * n) for n in draw.integers(1, 20, len(utterances))]
    utterances["label"] = draw.choice(classes, len(utterances))
    of = ["utterance_id", "split", "label"]

    def predicted(seed: int, head: str) -> pd.DataFrame:
        chances = draw.dirichlet([0.5] * count, len(utterances)).astype(np.float32)
        table = pd.DataFrame(chances, columns=[f"p_{name}" for name in classes])
        return pd.concat([table.assign(seed=seed, head=head), utterances[of]], axis=1)

    predictions = pd.concat([predicted(s, h) for s in range(seeds) for h in HEADS], ignore_index=True)
    compared = pd.concat(
        predicted(seed, "tav").query("split == 'test'").assign(experiment=f"experiment{number}")
        for number in range(experiments)
        for seed in range(seeds)
    )
    names = list(compared["experiment"].unique())
    test = utterances[utterances["split"] == "test"]
    contributions = pd.concat(
        pd.DataFrame({"seed": seed, "utterance_id": test["utterance_id"], "kind": kind, "part": part}).assign(
            weight=draw.random(len(test))
        )
        for seed in range(seeds)
        for kind, own in WEIGHTS.items()
        for part in own
    )
    degraded = pd.concat(
        test[["utterance_id", "label"]].assign(
            seed=seed,
            kind=kind,
            modality=modality,
            amount=amount,
            predicted=draw.choice(classes, len(test)),
        )
        for seed in range(seeds)
        for modality in MODALITIES
        for kind in ("missing", "noise")
        for amount in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    some = test.head(600)[["utterance_id", "label"]]
    layout = pd.concat(
        some.assign(head=head, x=draw.random(len(some)), y=draw.random(len(some)))
        for head in ("tav", "t", "a", "v")
    )
    history = pd.DataFrame(
        {
            "seed": np.repeat(np.arange(seeds), 60),
            "epoch": np.tile(np.arange(60), seeds),
            "train_loss": 1.0,
            "val_weighted_f1": draw.random(60 * seeds),
            "selected": np.tile(np.arange(60) == 40, seeds),
        }
    )
    return CorpusSection(
        name,
        {"name": name.upper(), "protocol": "random", "synthetic": True, "labels": classes},
        predictions,
        metrics_table(predictions),
        history,
        None,
        None,
        utterances,
        contributions,
        degraded,
        layout,
        comparison_table(compared, units_of(utterances), names, names[0], draws=1000),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measures the report.")
    parser.add_argument("--experiments", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    for figure, value in measure(asked.experiments, asked.seeds).items():
        print(f"{figure} {value:.1f}")
    print(f"written: {(RESULTS / 'report.html').relative_to(REPOSITORY)}")
