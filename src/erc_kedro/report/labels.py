"""What scores, heads, parts of the test split and checks are called in print."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

NONE = "–"
# How the headline prints each metric, in this order.
HEADLINE = {
    "accuracy": "Accuracy (WA)",
    "weighted_f1": "Weighted F1",
    "macro_f1": "Macro F1",
    "uar": "Unweighted average recall (UAR, UA)",
    "micro_f1_without_majority": "Micro F1 without the majority class",
    "macro_f1_without_majority": "Macro F1 without the majority class",
    "ece": "Calibration error (ECE, lower is better)",
}
HEAD_NAMES = {
    "t": "text",
    "a": "audio",
    "v": "visual",
    "ta": "text + audio",
    "tv": "text + visual",
    "av": "audio + visual",
    "tav": "all three",
}
# What the features' audit counts over the vectors that are present.
CHECKS = {
    "not_finite": "not finite",
    "all_zero": "all zeros",
    "constant_dimensions": "constant numbers",
    "identical_across_splits": "identical to another split's",
    "identical_with_same_text": "of these, same text",
    "repeated": "identical, other text",
}
SLICES = {
    "shift": "Emotion shifts",
    "position": "Place in the dialogue",
    "length": "Words in the utterance",
    "group": "Groups of speakers",
    "speaker": "Speakers",
}
# Columns of a table of scores whose heading is not their name with spaces.
HEADINGS = {
    "accuracy": "accuracy (WA)",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "micro_f1_without_majority": "micro F1 without the majority class",
    "macro_f1_without_majority": "macro F1 without the majority class",
    "val_weighted_f1": "weighted F1, validation",
    "f1": "F1",
    "uar": "UAR (UA)",
    "ece": "ECE",
    "ece_scaled": "ECE after temperature scaling",
    "nll": "NLL",
    "nll_scaled": "NLL after temperature scaling",
    "low": "95 % interval",
    "difference_low": "95 % interval of the difference",
    "p_corrected": "p, corrected",
    "effect": "effect size d",
}


def head_label(head: str) -> str:
    """A head in words, with its letters."""
    return f"{HEAD_NAMES[head]} ({head})"


def slice_title(name: str, groups: Mapping[str, Any]) -> str:
    """What the parts of ``slices.slicings`` are called; a corpus names its groups itself."""
    return f"By {groups.get('name', 'group')}" if name == "group" else SLICES[name]


def settings_chosen(
    searched: Mapping[str, Mapping[str, Any]] | None, settings: Sequence[Mapping[str, Any]]
) -> str:
    """Which of some settings an experiment was given, in how many folds; empty where none were tried.

    Args:
        searched: by fold, the place that was ``chosen``; None where there is nothing to set.
        settings: as ``compare.search`` has them.
    """
    if not settings:
        return ""
    if not searched:
        return "nothing to set"
    counts = Counter(of_fold["chosen"] for of_fold in searched.values())
    named = [(_settings(settings[number]), count) for number, count in counts.most_common()]
    if len(searched) == 1:
        return named[0][0]
    return "; ".join(f"{name} in {count} of {len(searched)} folds" for name, count in named)


def _settings(changes: Mapping[str, Any], before: str = "") -> str:
    if not changes:
        return "its own"
    return ", ".join(
        _settings(value, f"{before}{name}.") if isinstance(value, Mapping) else f"{before}{name} {value}"
        for name, value in changes.items()
    )
