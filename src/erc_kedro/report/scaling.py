"""What a model reads beside the utterance that it predicts, in the words of every page with scores."""

from collections.abc import Collection, Mapping
from typing import Any

from erc_kedro.schemas import MODALITIES

_SCALED = {
    "speaker": (
        "Each speaker's {} features are scaled by that speaker's own mean and deviation in the "
        "split. This reads no label, but all that the speaker says there, test and later utterances included."
    ),
    "speaker_past": (
        "Each speaker's {} features are scaled by what that speaker has said in the dialogue so far, and by "
        "training's statistics while that is little: no label and no later utterance is read."
    ),
}

_BRIEFLY = {"speaker": "scaled by speaker over the split", "speaker_past": "scaled by the speaker's past"}


def scaling_note(parameters: Mapping[str, Any] | None, absent: Collection[str] = ()) -> str:
    """What scaling reads beside training utterances; empty where it reads nothing more.

    Args:
        parameters: of training, as ``TrainParameters`` dumps them.
        absent: modalities of which the corpus has no features.
    """
    by_how = scaled_modalities(parameters or {}, absent)
    return " ".join(text.format(" and ".join(by_how[how])) for how, text in _SCALED.items() if how in by_how)


def scaled_briefly(parameters: Mapping[str, Any]) -> str:
    """The same in a few words, for a cell or a line of a log."""
    by_how = scaled_modalities(parameters)
    return ", ".join(
        f"{' and '.join(by_how[how])} {words}" for how, words in _BRIEFLY.items() if how in by_how
    )


def scaled_by(parameters: Mapping[str, Any]) -> dict[str, str]:
    """By modality how it is scaled, in a few words, where training alone does not decide it."""
    words = {**_BRIEFLY, "none": "not scaled"}
    by_how = scaled_modalities(parameters)
    return {modality: words[how] for how in words for modality in by_how.get(how, ())}


def scaled_modalities(parameters: Mapping[str, Any], absent: Collection[str] = ()) -> dict[str, list[str]]:
    """How to the modalities that are so scaled and that predictions rest on (``TrainParameters``).

    Values may be texts, as a tracked run keeps them.
    """
    model = parameters.get("model") or {}
    causal = str(model.get("causal", False)) == "True"
    used, withheld = str(model.get("modalities", MODALITIES)), str(parameters.get("withhold", ()))
    by_how: dict[str, list[str]] = {}
    if model.get("architecture") == "majority":
        return by_how
    for modality, how in (parameters.get("scaling") or {}).items():
        if modality in absent or modality not in used or modality in withheld:
            continue
        by_how.setdefault("speaker_past" if causal and how == "speaker" else how, []).append(modality)
    return by_how
