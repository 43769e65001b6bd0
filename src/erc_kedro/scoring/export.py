"""From a training to its bundle."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.errors import PlainError
from erc_kedro.evaluation.calibration import temperature
from erc_kedro.evaluation.metrics import PREDICTION, class_codes, class_columns, classification_metrics
from erc_kedro.extractors import finetuned, text
from erc_kedro.parameters import TextParameters, TrainParameters
from erc_kedro.schemas import MODALITIES
from erc_kedro.scoring import bundle, distance, probe
from erc_kedro.scoring.card import readme
from erc_kedro.scoring.confidence import ensemble
from erc_kedro.training import checkpoint
from erc_kedro.training.batches import Dialogues, training_statistics
from erc_kedro.training.loop import load_network

# Of extraction from before its limit was recorded.
_LONGEST_S = 60.0


def export(
    models: Path,
    description: Mapping[str, Any],
    utterances: pd.DataFrame,
    features: Mapping[str, pd.DataFrame],
    data: Dialogues,
    parameters: TrainParameters,
    provenance: Mapping[str, Mapping[str, Any]],
    predictions: pd.DataFrame,
    facts: Mapping[str, Any],
) -> bundle.Card:
    """Writes ``models/bundle``: all that a recording needs of a training.

    Args:
        models: the experiment's folder, with a subfolder a seed.
        description, utterances, features, data, parameters: what was trained on, and how.
        provenance: of each modality's features.
        predictions: of all seeds (``schemas.predictions``).
        facts: ``data_fingerprint``, ``code_version`` and ``git_revision`` of the training.

    Raises:
        PlainError: a fine-tuned encoder made other features than these, or the bundle cannot be written.
    """
    asked = checkpoint.effective(parameters, data)
    seeds = sorted(predictions["seed"].unique())
    known = training_statistics(utterances, features)
    probabilities, truth = _validation(predictions, seeds, description["labels"])
    temperatures = [temperature(p, truth) for p in probabilities]
    mean = ensemble(probabilities, temperatures)
    arrays: dict[str, dict[str, np.ndarray]] = {
        bundle.STATISTICS: {},
        bundle.VALIDATION: {"confidence": mean.max(1), "correct": mean.argmax(1) == truth},
    }
    split = utterances.set_index("utterance_id")["split"]
    for modality in asked.shown:
        of_training = known[modality]
        assert of_training is not None, "a modality that training lacks is not effective"
        fitted = distance.Distance.fitted(_vectors(features[modality], split, "train"), of_training)
        own = {"mean": of_training.mean, "deviation": of_training.deviation, **fitted.arrays}
        arrays[bundle.STATISTICS] |= {f"{modality}.{name}": value for name, value in own.items()}
        seen = _vectors(features[modality], split, "val")
        arrays[bundle.VALIDATION][f"{modality}.distances"] = (
            np.sort(fitted.of(seen)) if len(seen) else np.zeros(0)
        )
    networks = [load_network(models / f"seed{seed}") for seed in seeds]
    arrays[bundle.PROBE] = probe.made(networks, data.dimensions)
    cards: dict[str, dict[str, Any]] = {}
    folders: dict[str, Path] = {}
    texts: dict[str, str] = {}
    for modality in MODALITIES:
        made = provenance[modality]
        cards[modality] = _extractor(made, features[modality], modality in asked.shown)
        place = f"{bundle.EXTRACTORS}/{modality}"
        if cards[modality]["kind"] == "finetuned":
            folder = Path(cards[modality]["settings"]["encoder"])
            own_folders, own_texts = _encoder(folder, place, made["encoder"])
            folders |= own_folders
            texts |= own_texts
        elif cards[modality]["kind"] == "extracted" and modality in asked.shown:
            folders |= _local_folder(cards[modality]["settings"], place)
            if cards[modality]["settings"]["extractor"] == "tfidf":
                state, words = _tfidf(utterances, cards[modality]["settings"])
                arrays[bundle.TFIDF] = state
                texts[bundle.WORDS] = json.dumps(words)
    scores = classification_metrics(np.array(description["labels"])[truth], mean, description["labels"])
    card = {
        "corpus": models.parent.name,
        "experiment": models.name,
        "protocol": description["protocol"],
        "synthetic": description["synthetic"],
        "languages": description.get("languages", []),
        "speech": description.get("speech", ""),
        "labels": description["labels"],
        "modalities": asked.shown,
        "causal": asked.model.causal,
        "scaling": dict.fromkeys(asked.shown, "train")
        | {name: how for name, how in asked.scaling.items() if name in asked.shown},
        "parameters": asked.model_dump(mode="json"),
        "dimensions": data.dimensions,
        "extractors": cards,
        "seeds": [
            {
                "seed": int(seed),
                "file": f"seed{seed}.safetensors",
                "key": checkpoint.finished(models / f"seed{seed}"),
                "temperature": by,
            }
            for seed, by in zip(seeds, temperatures, strict=True)
        ],
        "validation": {"utterances": len(truth)}
        | {name: scores[name] for name in ("accuracy", "weighted_f1", "ece")},
        **{name: facts[name] for name in ("data_fingerprint", "code_version", "git_revision")},
    }
    weights = {f"seed{seed}.safetensors": models / f"seed{seed}" / checkpoint.WEIGHTS for seed in seeds}
    if cards["visual"]["kind"] == "extracted":
        weights |= _local_detector(cards["visual"]["settings"])
    texts[bundle.README] = readme(card)
    return bundle.write(models / "bundle", card, arrays, texts, weights, folders)


def _validation(
    predictions: pd.DataFrame, seeds: list[int], labels: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [S, N, C] of validation's labelled utterances, and their classes [N]."""
    rows = predictions[
        (predictions["split"] == "val") & (predictions["head"] == PREDICTION) & predictions["label"].notna()
    ]
    each = [rows[rows["seed"] == seed].sort_values("utterance_id") for seed in seeds]
    columns = class_columns(predictions)
    return np.stack([one[columns].to_numpy() for one in each]), class_codes(each[0]["label"], labels)


def _vectors(table: pd.DataFrame, split: pd.Series, which: str) -> np.ndarray:
    rows = table[table["present"] & (table["utterance_id"].map(split) == which)]
    return (
        np.stack(rows["vector"].to_list()).astype(np.float32) if len(rows) else np.zeros((0, 1), np.float32)
    )


def _extractor(record: Mapping[str, Any], table: pd.DataFrame, used: bool) -> dict[str, Any]:
    made = record["extractor"]
    if made["name"].startswith("published:"):
        kind = "published"
    elif made["name"] == "none" or not used:
        kind = "none"
    else:
        kind = "extracted" if record["encoder"] is None else "finetuned"
    return {
        "kind": kind,
        **{name: made.get(name) or "" for name in ("name", "version", "licence")},
        "settings": dict(made["settings"]),
        "dimension": len(table["vector"].iloc[0]),
        "longest_s": made.get("longest_s", _LONGEST_S),
    }


def _encoder(folder: Path, place: str, recorded: Mapping[str, Any]) -> tuple[dict[str, Path], dict[str, str]]:
    """A fine-tuned encoder's folders by their place in the bundle, and its records ``for_recordings``.

    Args:
        recorded: what the features' provenance says of the encoder.

    Raises:
        PlainError: the folder holds another encoder than the one that made the features, or none.
    """
    found = finetuned.find(str(folder), folder)
    # The run is another one where the same was fitted again.
    if found is None or {**found.facts, "run": None} != {**recorded, "run": None}:
        raise PlainError(
            f"{folder} no longer holds the encoder that made the text features, so that no recording could "
            "be read as training was; `kedro run --pipeline=features`, then train again"
        )
    beside = dict(zip(found.record.beside, found.beside, strict=True))
    records = {f"{place}/{name}": one.record.for_recordings for name, one in beside.items()}
    identities = {name: one.record.for_recordings.identity for name, one in beside.items()}
    records[place] = found.record.for_recordings.model_copy(update={"beside": identities})
    places = {place: folder} | {f"{place}/{name}": one.folder for name, one in beside.items()}
    texts = {}
    for own, record in records.items():
        texts[f"{own}/{finetuned.RECORD}"] = record.model_dump_json(indent=1)
        made = finetuned.outcome(places[own])
        assert made is not None, "what was found is finished"
        fit = replace(made, fitted=record.fitted[""])
        texts[f"{own}/{finetuned.FIT}"] = fit.text
    return places, texts


def _local_folder(settings: Mapping[str, Any], place: str) -> dict[str, Path]:
    """A model that lies in a folder of this machine, so that the bundle works on another."""
    name = settings.get("encoder") or settings.get("model")
    return {place: Path(name)} if name and Path(name).is_dir() else {}


def _local_detector(settings: Mapping[str, Any]) -> dict[str, Path]:
    path = Path(settings.get("detector_model") or "")
    return {bundle.DETECTOR: path} if settings.get("detector") == "yunet" and path.is_file() else {}


def _tfidf(utterances: pd.DataFrame, settings: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], Any]:
    """Vocabulary and reduction, fitted anew as training's features were."""
    parameters = TextParameters(**{"path": None, "field": None, **settings})
    spoken = text.lines(utterances, parameters)
    training = [line for line, split in zip(spoken, utterances["split"], strict=True) if split == "train"]
    return text.TfidfSvd(parameters, training).state()
