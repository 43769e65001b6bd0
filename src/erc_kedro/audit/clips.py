"""What became of the clips that voice and face were extracted from."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from erc_kedro.audit.irregularities import MOST_EXAMPLES
from erc_kedro.schemas import SPLITS

# What is counted, and how a page heads it.
CLIP_COLUMNS = {
    "voice": "voice",
    "hours": "hours of sound",
    "median_s": "median s",
    "longest_s": "longest s",
    "face": "face",
    "face_rate": "frames with the speaker's face",
}


def audit_clips(clips: pd.DataFrame) -> dict[str, Any]:
    """What became of the clips.

    Returns:
        ``splits``: split to ``voice`` and ``face`` (reason to number of utterances), ``hours``, ``median_s``
        and ``longest_s`` of decoded sound, ``face_rate`` (share of sampled frames with the speaker's face);
        ``errors``: kind of decoding error to number of clips; ``bad``: up to 50 that gave nothing
        (utterance_id, modality, reason, detail); ``bad_in_all``: how many there are.
    """
    splits = {}
    for split in SPLITS:
        part = clips[clips["split"] == split]
        seconds, frames = part["seconds"].dropna(), part["frames"].sum()
        splits[split] = {
            "voice": _reasons(part[part["modality"] == "audio"]),
            "hours": float(seconds.sum() / 3600) if len(seconds) else None,
            "median_s": float(seconds.median()) if len(seconds) else None,
            "longest_s": float(seconds.max()) if len(seconds) else None,
            "face": _reasons(part[part["modality"] == "visual"]),
            "face_rate": float(part["with_face"].sum() / frames) if frames else None,
        }
    kinds = clips.assign(kind=clips["errors"].str.split(", ")).explode("kind")
    kinds["kind"] = kinds["kind"].str.rsplit(" ", n=1).str[0]
    # Voice and face of one clip report the same errors of its file.
    errors = kinds[kinds["kind"] != ""].groupby("kind")["utterance_id"].nunique()
    bad = clips.loc[clips["reason"] != "ok", ["utterance_id", "modality", "reason", "detail"]]
    return {
        "splits": splits,
        "errors": {str(kind): int(count) for kind, count in errors.items()},
        "bad": bad.head(MOST_EXAMPLES).to_dict("records"),
        "bad_in_all": len(bad),
    }


def _reasons(rows: pd.DataFrame) -> dict[str, int]:
    return {str(reason): int(count) for reason, count in rows["reason"].value_counts().items()}


def clip_warnings(clips: pd.DataFrame) -> list[str]:
    used, failed = clips["reason"] == "ok", clips["reason"] == "failed"
    in_part = used & (clips["detail"] != "")
    counts = {
        "are overdriven: more than 1 % of their samples are at full scale": used & (clips["clipped"] > 0.01),
        "had decoding errors and were used all the same": used & (clips["errors"] != ""),
        f"made an extractor fail, most often so: {_most_common(clips, failed)}": failed,
        f"were used in part, most often so: {_most_common(clips, in_part)}": in_part,
    }
    counted = {said: clips.loc[which, "utterance_id"].nunique() for said, which in counts.items()}
    return [f"{number} clips {said}." for said, number in counted.items() if number]


def _most_common(clips: pd.DataFrame, which: "pd.Series[bool]") -> str:
    details = clips.loc[which, "detail"].mode()
    return str(details.iloc[0]) if len(details) else ""


def clip_cells(facts: Mapping[str, Any]) -> list[str]:
    """What ``clips.audit_clips`` counts of one split, as text in the order of ``CLIP_COLUMNS``."""
    patterns = {"hours": ".2f", "median_s": ".2f", "longest_s": ".2f", "face_rate": ".1%"}
    cells = []
    for name in CLIP_COLUMNS:
        value = facts[name]
        if isinstance(value, Mapping):
            cells.append(", ".join(f"{reason} {count:,}" for reason, count in value.items()) or "–")
        else:
            cells.append("–" if value is None else format(value, patterns[name]))
    return cells
