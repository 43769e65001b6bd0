"""What a model reads beside the utterance that it predicts, in the words of every page with scores."""

from collections.abc import Mapping
from typing import Any

_SCALED = {
    "speaker": (
        "Each speaker's {} features are scaled by that speaker's own mean and deviation in the split: no "
        "label is read, but all that the speaker says there is, test and later utterances included."
    ),
    "speaker_past": (
        "Each speaker's {} features are scaled by what that speaker has said in the dialogue so far, and by "
        "training's statistics while that is little: no label and no later utterance is read."
    ),
}


def scaling_note(parameters: Mapping[str, Any] | None) -> str:
    """What scaling reads beside training utterances; empty where it reads nothing more.

    Args:
        parameters: of training, as ``TrainParameters`` dumps them.
    """
    by_how = _scaled(parameters or {})
    return " ".join(text.format(" and ".join(by_how[how])) for how, text in _SCALED.items() if how in by_how)


def scaled_briefly(parameters: Mapping[str, Any]) -> str:
    """The same in a few words, for a cell or a line of a log."""
    by_how = _scaled(parameters)
    return ", ".join(
        f"{' and '.join(by_how[how])} scaled by {words}"
        for how, words in (("speaker", "speaker over the split"), ("speaker_past", "the speaker's past"))
        if how in by_how
    )


def _scaled(parameters: Mapping[str, Any]) -> dict[str, list[str]]:
    """How to modalities, as ``TrainParameters.used_scaling`` says."""
    model = parameters.get("model") or {}
    causal = str(model.get("causal", False)) == "True"
    by_how: dict[str, list[str]] = {}
    for modality, how in (parameters.get("scaling") or {}).items():
        # What a model is not built for decides nothing; a tracked run has the names as one text.
        if modality not in (model.get("modalities") or modality):
            continue
        by_how.setdefault("speaker_past" if causal and how == "speaker" else how, []).append(modality)
    return by_how
