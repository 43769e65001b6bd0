"""What a timeline says as a whole: how long with which emotion, where emotions turn, what was missed."""

from typing import Any

import pandas as pd

from erc_kedro.evaluation.metrics import class_names
from erc_kedro.schemas import MODALITIES

# Why there is nothing of a modality, for a person.
REASONS = {
    "no_text": "nothing was said",
    "no_media": "there is no file",
    "unreadable": "the file cannot be read",
    "no_audio": "the file has no sound",
    "no_video": "the file has no picture",
    "too_slow": "decoding the file took too long",
    "too_short": "it is too short",
    "silent": "it is silent",
    "no_face": "no face is seen",
    "whose_face": "whose face is seen is not certain; score.frame_side can say it",
    "no_channel": "the sound has not two channels",
    "no_extractor": "nothing here makes such features of a recording",
    "failed": "the extractor failed",
    "not_used": "the model does not read it",
}
# Utterances that a summary points at.
MOST_NAMED = 12


# What is counted of a timeline.
COUNTS = ("utterances", "decided", "unsure", "empty", "far_from_training")


def counts(timeline: pd.DataFrame) -> dict[str, int]:
    """How many utterances there are, of each status, and unlike training: ``COUNTS``."""
    status = timeline["status"].value_counts()
    far = int((timeline["far_from_training"] != "").sum())
    made = {name: int(status.get(name, 0)) for name in ("decided", "unsure", "empty")}
    return {"utterances": len(timeline), **made, "far_from_training": far}


def reason(word: str) -> str:
    return REASONS.get(word, word.replace("_", " "))


def is_timed(timeline: pd.DataFrame) -> bool:
    """Whether any utterance has both times; a chat has none."""
    return bool(timeline[["start_s", "end_s"]].notna().all(axis=1).any())


def amounts(timeline: pd.DataFrame) -> pd.Series:
    """How much each utterance counts: its seconds, or 1 each where no utterance has times."""
    if not is_timed(timeline):
        return pd.Series(1.0, timeline.index)
    return (timeline["end_s"] - timeline["start_s"]).fillna(0.0)


def shares(timeline: pd.DataFrame) -> dict[str, Any]:
    """Each emotion's share of the speaking time, or of the utterances where there are no times.

    Returns:
        ``decided`` and ``unsure``, each by label, and ``empty``; all together 1, or 0 where nobody speaks.
    """
    made = _amounts_by_emotion(timeline, amounts(timeline))
    total = made.pop("total") or 1.0
    return {
        **{
            key: {label: value / total for label, value in made[key].items()} for key in ("decided", "unsure")
        },
        "empty": made["empty"] / total,
    }


def speaking(timeline: pd.DataFrame) -> list[dict[str, Any]]:
    """How much each speaker spoke, and with which emotion, in order of appearance.

    Returns:
        of each ``speaker``, ``utterances`` (number), and by ``amounts`` the ``total``, ``decided`` and
        ``unsure`` by label, and ``empty``.
    """
    amount = amounts(timeline)
    return [
        {"speaker": speaker, "utterances": len(rows), **_amounts_by_emotion(rows, amount[rows.index])}
        for speaker, rows in timeline.groupby("speaker", sort=False)
    ]


def _amounts_by_emotion(rows: pd.DataFrame, amount: pd.Series) -> dict[str, Any]:
    def by_label(status: str) -> dict[str, float]:
        of = rows["status"] == status
        sums = amount[of].groupby(rows["emotion"][of]).sum()
        return {label: float(sums.get(label, 0.0)) for label in class_names(rows)}

    return {
        "total": float(amount.sum()),
        "decided": by_label("decided"),
        "unsure": by_label("unsure"),
        "empty": float(amount[rows["status"] == "empty"].sum()),
    }


def changes(timeline: pd.DataFrame) -> list[dict[str, Any]]:
    """Where a speaker's decided emotion differs from the same speaker's last decided one, in order.

    Returns:
        of each its ``row`` (number in the timeline), ``speaker``, ``before``, ``after``, and how many of the
        speaker's utterances ``between`` were unsure or empty.
    """
    last: dict[str, tuple[str, int]] = {}
    made = []
    for row, (speaker, status, emotion) in enumerate(
        timeline[["speaker", "status", "emotion"]].itertuples(index=False)
    ):
        before, between = last.get(speaker, (None, 0))
        if status != "decided":
            if before is not None:
                last[speaker] = (before, between + 1)
            continue
        if before is not None and before != emotion:
            found = {"row": row, "speaker": speaker, "before": before, "after": emotion, "between": between}
            made.append(found)
        last[speaker] = (emotion, 0)
    return made


def missed(timeline: pd.DataFrame) -> list[dict[str, Any]]:
    """What was not read, heard or seen: ``modality``, ``reason``, ``count`` and the first ``rows``."""
    made = []
    for modality in MODALITIES:
        reasons = timeline[f"{modality}_reason"].reset_index(drop=True)
        for word, count in reasons[reasons != "ok"].value_counts().items():
            rows = reasons.index[reasons == word][:MOST_NAMED].tolist()
            made.append({"modality": modality, "reason": word, "count": int(count), "rows": rows})
    return made


def far(timeline: pd.DataFrame) -> list[dict[str, Any]]:
    """By modality, how many utterances are far from training: ``modality``, ``count``, the first ``rows``."""
    made = []
    named = timeline["far_from_training"].reset_index(drop=True).str.split(", ")
    for modality in MODALITIES:
        is_far = named.map(lambda names, modality=modality: modality in names)
        if is_far.any():
            rows = named.index[is_far][:MOST_NAMED].tolist()
            made.append({"modality": modality, "count": int(is_far.sum()), "rows": rows})
    return made
