"""Timelines and facts as scoring hands them to pages, made from a seed."""

from typing import Any

import numpy as np
import pandas as pd

from erc_kedro import schemas

LABELS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")


def timeline(
    number: int = 20, labels: tuple[str, ...] = LABELS, seed: int = 0, **columns: Any
) -> pd.DataFrame:
    """A conversation of two with times, doubt, an utterance of which there is nothing, and what was missed.

    Args:
        columns: what replaces the columns of that name.
    """
    draw = np.random.default_rng(seed)
    p = draw.dirichlet(np.full(len(labels), 0.1), number)
    ranked = np.argsort(-p, 1)
    confidence = p.max(1)
    status = np.where(confidence > 0.7, "decided", "unsure").astype(object)
    long = draw.uniform(0.8, 4.0, number)
    start = np.cumsum(long + draw.uniform(0.1, 2.0, number)) - long
    made = pd.DataFrame(
        {
            "recording": "call",
            "turn": np.arange(number),
            "utterance_id": [f"call_{at}" for at in range(number)],
            "position": np.arange(number),
            "speaker": ["Ann" if at % 2 else "Bob" for at in range(number)],
            "start_s": start.round(3),
            "end_s": (start + long).round(3),
            "text": [f"That is what I said, number {at}." for at in range(number)],
            "emotion": [labels[at] for at in ranked[:, 0]],
            "status": status,
            "confidence": confidence,
            "runner_up": [labels[at] for at in ranked[:, 1]],
            "disagreement": draw.choice([0.0, 0.0, 0.2, 0.4], number),
            **{f"p_{label}": p[:, at] for at, label in enumerate(labels)},
            "text_reason": "ok",
            "audio_reason": "ok",
            "visual_reason": draw.choice(["ok", "ok", "no_face", "whose_face"], number),
            **{f"{name}_distance": draw.uniform(0, 0.95, number) for name in schemas.MODALITIES},
            "far_from_training": draw.choice(["", "", "", "audio", "audio, visual"], number),
            "label": None,
        }
    )
    for name, values in columns.items():
        made[name] = values
    nothing = made.index[:number] == number - 2
    made.loc[nothing, "status"] = "empty"
    absent = ["emotion", "confidence", "runner_up", "disagreement", *(f"p_{label}" for label in labels)]
    made.loc[nothing, absent] = None
    made.loc[nothing, ["text_reason", "audio_reason", "visual_reason"]] = ["no_text", "silent", "no_face"]
    return schemas.timeline.validate(made)


def facts(labels: tuple[str, ...] = LABELS, **others: Any) -> dict[str, Any]:
    """What is known of that recording and of the model."""
    return {
        "recording": "call",
        "media": None,
        "transcript": "/recordings/call.vtt",
        "format": "webvtt",
        "language": "en",
        "seconds": None,
        "sample_rate": 16_000,
        "video": False,
        "speakers": ["Ann", "Bob"],
        "remarks": [{"kind": "overlap", "count": 3, "detail": "Ann and Bob speak at once at 0:03 and 0:12."}],
        "model": {
            "name": "meld/full",
            "corpus": "meld",
            "experiment": "full",
            "labels": list(labels),
            "modalities": ["text", "audio", "visual"],
            "languages": ["en"],
            "synthetic": False,
            "acted": True,
            "seeds": 5,
            "validation": {"accuracy": 0.612, "weighted_f1": 0.598},
        },
        "accuracy": 0.8,
        "threshold": 0.71,
        "answered": 0.43,
        "scaling": {"audio": "speaker"},
        "notes": ["It learned from actors of a sitcom.", "Inferring emotions at work is banned in the EU."],
        "scores": None,
        "counts": {"utterances": 20, "decided": 12, "unsure": 7, "empty": 1, "far_from_training": 6},
        **others,
    }
