"""What each choice of fine-tuning buys: the encoder alone, on validation and test, over seeds.

    python -m benchmarks.finetuning --corpus=meld --seeds=3 --choices=single,names

Reads the corpus that `kedro run --pipeline=ingestion` made, fits each choice with each seed below
``data/08_reporting/bench/finetuning``, takes up what is fitted already, and prints a table as it fills.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.metrics import f1_score

from erc_kedro.extractors import finetuned, text
from erc_kedro.finetuning.encoders import finetune
from erc_kedro.parameters import FinetuneParameters, TextParameters

SINGLE = {"context": 0, "following": 0, "targets": 1, "speaker_names": False, "epochs": 3}
CHOICES: dict[str, dict[str, object]] = {
    "single": {},
    "names": {"speaker_names": True},
    "before_1": {"speaker_names": True, "context": 1},
    "before_3": {"speaker_names": True, "context": 3},
    "around_1": {"speaker_names": True, "context": 1, "following": 1},
    "around_3": {"speaker_names": True, "context": 3, "following": 3},
    "around_3_shared": {"speaker_names": True, "context": 3, "following": 3, "targets": 4},
    "around_8_shared": {"speaker_names": True, "context": 8, "following": 8, "targets": 8, "max_tokens": 512},
    "contrastive": {"contrastive": 0.1},
    "smoothing": {"label_smoothing": 0.1},
    "weighting": {"class_weighting": "sqrt"},
    "faster": {"learning_rate": 2e-4},
    "slower": {"learning_rate": 5e-5},
    "longer": {"epochs": 5},
    "flat": {"layer_decay": 1.0},
}


def measure(data: Path, corpus: str, choice: str, seed: int, more: dict[str, object]) -> dict[str, object]:
    """Scores of one choice and seed."""
    utterances = pd.read_parquet(data / "03_primary" / corpus / "utterances.parquet")
    card = json.loads((data / "03_primary" / corpus / "card.json").read_text())
    parameters = FinetuneParameters(
        **{**SINGLE, **CHOICES[choice], **more, "seed": seed, "jobs": 1, "folds": 0}
    )
    name = "_".join([corpus, choice, *(f"{key}{value}" for key, value in more.items()), f"seed{seed}"])
    folder = data / "08_reporting" / "bench" / "finetuning" / name
    started = time.monotonic()
    made = finetune(utterances, card, corpus, parameters, folder)
    wall = time.monotonic() - started
    tuned = finetuned.find("finetuned", folder)
    assert tuned is not None
    judged = utterances[utterances["split"] != "train"].reset_index(drop=True)
    read = text.extract(judged, TextParameters(), folder / "cache", tuned).read
    assert read is not None
    predictions = tuned.predictions(judged, read).dropna(subset="label")
    classes = np.array(made.classes)
    guess = classes[predictions[[f"p_{label}" for label in made.classes]].to_numpy().argmax(1)]
    scores = {
        split: f1_score(predictions["label"][own], guess[own], average="weighted", zero_division=0)
        for split in ("val", "test")
        for own in [(predictions["split"] == split).to_numpy()]
    }
    fitted = made.fitted[""]
    return {
        "choice": " ".join([choice, *(f"{key}={value}" for key, value in more.items())]),
        "seed": seed,
        **scores,
        "epoch": fitted.epoch,
        "minutes": sum(row["seconds"] for row in fitted.history) / 60,
        "wall": wall / 60,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--choices", default=",".join(CHOICES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--set", default="", help="more parameters for all, such as epochs=4,context=2")
    asked = parser.parse_args()
    more = {key: json.loads(value) for key, value in (one.split("=") for one in asked.set.split(",") if one)}
    tasks = [(choice, seed) for seed in range(asked.seeds) for choice in asked.choices.split(",")]
    work = (delayed(measure)(asked.data, asked.corpus, *task, more) for task in tasks)
    rows = []
    for row in Parallel(n_jobs=asked.jobs, inner_max_num_threads=1, return_as="generator_unordered")(work):
        rows.append(row)
        print(json.dumps(row), flush=True)
    table = pd.DataFrame(rows).groupby("choice", sort=False)[["val", "test", "epoch", "minutes"]]
    print(table.agg(["mean", "std", "count"]).round(4).to_string())


if __name__ == "__main__":
    main()
