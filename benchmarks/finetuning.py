"""What each choice of fine-tuning buys: the encoder alone, on validation and test, over seeds.

    python -m benchmarks.finetuning --corpus=meld --seeds=3 --choices=single,asked
    python -m benchmarks.finetuning --corpus=meld --speed --set=context=8

Reads the corpus that `kedro run --pipeline=ingestion` made, fits each choice with each seed below
``data/08_reporting/bench/finetuning``, takes up what is fitted already, and prints a table as it fills.
With ``--speed``: utterances a second of training steps, beside the straightforward loop, in turn.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from joblib import Parallel, delayed
from sklearn.metrics import f1_score

from erc_kedro.extractors import finetuned, text
from erc_kedro.finetuning.encoders import finetune
from erc_kedro.parameters import FinetuneParameters
from tests.defaults import TextParameters

NAMES = {"speaker_names": True, "template": "{speaker}: {text}"}
ASKED = {"read": "mask", "context": 4, "speaker_names": "letters"}
CHOICES: dict[str, dict[str, object]] = {
    "single": {},
    "names": NAMES,
    "before_1": {**NAMES, "context": 1},
    "before_3": {**NAMES, "context": 3},
    "around_1": {**NAMES, "context": 1, "following": 1},
    "around_3": {**NAMES, "context": 3, "following": 3},
    "around_3_shared": {**NAMES, "context": 3, "following": 3, "targets": 4},
    "around_8_shared": {**NAMES, "context": 8, "following": 8, "targets": 8, "max_tokens": 512},
    "asked": ASKED,
    "asked_names": {**ASKED, "speaker_names": True},
    "asked_alone": {**ASKED, "context": 0},
    "asked_8": {**ASKED, "context": 8},
    "asked_12": {**ASKED, "context": 12},
    "asked_around": {**ASKED, "following": 4},
    "asked_shared": {**ASKED, "following": 3, "targets": 4},
    "own_before_4": {**ASKED, "read": "own"},
    "contrastive": {"contrastive": 0.1},
    "smoothing": {"label_smoothing": 0.1},
    "weighting": {"class_weighting": "sqrt"},
    "faster": {"learning_rate": 2e-4},
    "slower": {"learning_rate": 5e-5},
    "longer": {"epochs": 5},
    "flat": {"layer_decay": 1.0},
    "quick_head": {"head_learning_rate": 1e-3},
}


def parameters(corpus: str, **changes: object) -> FinetuneParameters:
    """The configured parameters of a corpus, one encoder at a time and without folds, with some changes."""
    configured: dict[str, object] = {}
    for name, key in (("finetune", None), (corpus, corpus)):
        read = yaml.safe_load(Path(f"conf/base/parameters_{name}.yml").read_text("utf-8"))
        configured |= (read[key] if key else read).get("finetune", {})
    return FinetuneParameters(**{**configured, "jobs": 1, "folds": 0, **changes})


def measure(data: Path, corpus: str, choice: str, seed: int, more: dict[str, object]) -> dict[str, object]:
    """Scores of one choice and seed."""
    utterances = pd.read_parquet(data / "03_primary" / corpus / "utterances.parquet")
    description = json.loads((data / "03_primary" / corpus / "description.json").read_text("utf-8"))
    asked = parameters(corpus, **{**CHOICES[choice], **more, "seed": seed})
    name = "_".join([corpus, choice, *(f"{key}{value}" for key, value in more.items()), f"seed{seed}"])
    folder = data / "08_reporting" / "bench" / "finetuning" / name
    started = time.monotonic()
    made = finetune(utterances, description, corpus, asked, folder)
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


def speed(data: Path, corpus: str, more: dict[str, object], rounds: int) -> pd.DataFrame:
    """Training utterances a second, each way's batches in turn, all on this thread.

    ``straightforward``: an utterance a window, batches as they are drawn, full precision, the encoder as
    ``AutoModel`` gives it. ``the loop``: batches of similar length, bf16 where the CPU has it, no attention
    dropout. ``shared windows``: the same, four neighbours a window, which look three ahead.
    """
    import torch
    from transformers import AutoModel

    from erc_kedro.finetuning import classifier, hardware, loop
    from erc_kedro.finetuning.examples import TokenizedDialogues, window_batches

    torch.set_num_threads(1)
    utterances = pd.read_parquet(data / "03_primary" / corpus / "utterances.parquet")
    training = utterances[utterances["split"] == "train"]
    classes = sorted(training["label"].dropna().unique())
    ways: dict[str, dict[str, object]] = {
        "straightforward": {"precision": "no"},
        "the loop": {},
        "shared windows": {"following": 3, "targets": 4},
    }
    steps = {}
    for way, changes in ways.items():
        asked = parameters(corpus, **{**more, **changes})
        tokenizer, encoder, _, _ = classifier.load(asked.encoder)
        if way == "straightforward":
            # As it comes: attention dropout, and the attention that transformers chooses.
            encoder = AutoModel.from_pretrained(encoder.config._name_or_path, dtype=torch.float32)
        accelerator = hardware.accelerator(asked)
        network = classifier.Classifier(encoder, len(classes), asked.dropout).train()
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=way != "straightforward")
        network, optimiser = accelerator.prepare(network, optimiser)
        learned = TokenizedDialogues(training, classes, tokenizer, asked.max_tokens, asked)
        draw = np.random.default_rng(0)
        examples = learned.examples(asked.targets, draw)
        if way == "straightforward":
            order = draw.permutation(len(examples))
            own = [
                [examples[at] for at in order[first : first + asked.batch_utterances]]
                for first in range(0, len(order), asked.batch_utterances)
            ]
        else:
            own = window_batches(examples, asked.batch_utterances, asked.batch_tokens, draw)
        rest = {"weight": torch.ones(len(classes)), "accelerator": accelerator, "parameters": asked}
        step = partial(loop._step, network, optimiser, learned, **rest)
        steps[way] = (step, own)
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for at in range(rounds + 1):
        for way, (step, own) in steps.items():
            part = own[8 * at : 8 * at + 8]
            started = time.monotonic()
            for batch in part:
                step(batch)
            # The first round warms up.
            if at:
                labelled = sum(len(example.labels) for batch in part for example in batch)
                rates[way].append(labelled / (time.monotonic() - started))
    table = pd.DataFrame(rates)
    ratio = table.div(table["straightforward"], axis=0)
    return pd.DataFrame({"utterances/s": table.median().round(1), "ratio": ratio.median().round(2)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--choices", default=",".join(CHOICES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--set", default="", help="more parameters for all, such as epochs=4,context=2")
    parser.add_argument("--speed", action="store_true", help="time training steps")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    more = {key: json.loads(value) for key, value in (one.split("=") for one in asked.set.split(",") if one)}
    if asked.speed:
        print(speed(asked.data, asked.corpus, more, asked.rounds).to_string())
        return
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
