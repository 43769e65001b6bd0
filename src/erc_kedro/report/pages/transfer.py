"""What transfer from some corpora to another came to: a page of Markdown, and its verdict in sentences."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from erc_kedro.escaping import code, markdown, markdown_table
from erc_kedro.evaluation.units import counted, few_units
from erc_kedro.report.labels import NONE
from erc_kedro.report.scaling import scaling_note
from erc_kedro.report.tables.printed import cell, probability, score
from erc_kedro.schemas import SPLITS

HEADER = (
    "network",
    "trained on",
    "epoch by",
    "seeds",
    "accuracy",
    "weighted F1",
    "95 % interval",
    "UAR",
    "to target alone",
    "95 % interval of it",
    "p, corrected",
    "to the same dialogues alone",
    "95 % interval of it",
    "p",
    "note",
)
_RIGHT = [name not in ("network", "trained on", "epoch by", "note") for name in HEADER]


def transfer_markdown(table: pd.DataFrame, summary: Mapping[str, Any]) -> str:
    """The page.

    Args:
        table: ``schemas.transfer``.
        summary: ``from`` (titles) and ``to``; ``protocols`` by title; ``synthetic``; the shared ``classes``;
            of the map of ``labels`` its ``path`` and ``source``; ``counts`` of
            ``transfer.corpora.label_counts``; the ``modalities`` and why others are ``left_out``;
            ``cautions``; ``parameters`` of training.
    """
    target, sources = summary["to"], " + ".join(summary["from"])
    count, unit = int(table["units"].max()), str(table["unit"].iloc[0])
    lines = [f"# From {markdown(sources)} to {markdown(target)}", ""]
    if summary["synthetic"]:
        lines += ["**SYNTHETIC DATA, not a result.**", ""]
    lines += [f"- {markdown(sentence)}" for sentence in verdict(table, summary)] + [""]
    lines += [
        f"Scores × 100 on the labelled test utterances of {markdown(target)} whose label is shared "
        f"({_tested(summary)}), mean ± standard deviation over seeds. Differences are in weighted F1, p by "
        "a paired permutation test, and that to the target alone is corrected for their number (Holm). "
        f"Intervals and tests are over the {counted(count, unit)} of test. No test utterance is trained on "
        "or selects an epoch, in any row.",
        "",
        markdown_table(HEADER, (_cells(row) for row in table.to_dict("records")), _RIGHT),
    ]
    few = few_units(count, unit)
    for caution in [few, *summary["cautions"]] if few else summary["cautions"]:
        lines += [f"**{markdown(caution)}**", ""]
    lines += ["## Labels", "", markdown(summary["labels"]["source"]), ""]
    lines += [
        f"Map: {code(summary['labels']['path'])}. What has no shared label stays in its dialogue as context."
    ]
    lines += [_left_out(summary), "", _counts(summary), "## Features", ""]
    lines += [f"The networks read {markdown(' and '.join(summary['modalities']))}."]
    lines += [markdown(sentence) for sentence in summary["left_out"]]
    lines += ["", _scaled(summary), ""]
    return "\n".join(lines)


def verdict(table: pd.DataFrame, summary: Mapping[str, Any]) -> list[str]:
    """What the table says, in a sentence a question."""
    rows = table.set_index("arm").to_dict("index")
    target, sources = summary["to"], " + ".join(summary["from"])
    own, most, zero, joint = (
        rows[name] for name in ("target_alone", "target_majority", "zero_shot", "joint")
    )
    f1 = "weighted_f1"
    said = [
        f"Learned from {sources} alone (zero-shot), weighted F1 on {target} is {score(zero[f1])} "
        f"({cell('low', zero['low'], zero['high'])}); training on {target} itself gives {score(own[f1])}, "
        f"the most frequent class {score(most[f1])}: {_judged(zero, 'difference')} to training on it.",
        f"{sources} beside all of {target} (joint): {_judged(joint, 'difference')} to {target} alone.",
    ]
    for row in rows.values():
        if not pd.isna(row["gain"]):
            # What it gained is over the same dialogues alone.
            alone = row[f1] - row["gain"]
            said.append(
                f"{row['dialogues']:.0f} dialogues of {target}: fine-tuned {score(row[f1])}, alone "
                f"{score(alone)}; transfer: {_judged(row, 'gain')}."
            )
    return said


def _judged(row: Mapping[Any, Any], column: str) -> str:
    change = f"{cell('difference', row[column])} points"
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    if pd.isna(low):
        return f"{change} (too few dialogues for an interval)"
    judged = "a gain" if low > 0 else "a loss" if high < 0 else "no difference is shown"
    return f"{change} ({cell('difference_low', low, high)}), {judged}"


def _cells(row: Mapping[Any, Any]) -> list[str]:
    return [
        row["arm"],
        row["trained_on"],
        row["selected_on"],
        str(row["seeds"]),
        score(row["accuracy"], row["accuracy_std"]),
        score(row["weighted_f1"], row["weighted_f1_std"]),
        cell("low", row["low"], row["high"]),
        score(row["uar"], row["uar_std"]),
        cell("difference", row["difference"]),
        cell("difference_low", row["difference_low"], row["difference_high"]),
        probability(row["p_corrected"]),
        cell("difference", row["gain"]),
        cell("difference_low", row["gain_low"], row["gain_high"]),
        probability(row["gain_p"]),
        row["note"],
    ]


def _tested(summary: Mapping[str, Any]) -> str:
    rows = [row for row in summary["counts"] if row["corpus"] == summary["target"]]
    every = sum(row["test"] for row in rows)
    shared = sum(row["test"] for row in rows if row["shared"] is not None)
    return f"{shared:,} of {every:,}"


def _left_out(summary: Mapping[str, Any]) -> str:
    """The share of each corpus's labelled utterances that no shared label has."""
    said = []
    for corpus in dict.fromkeys(row["corpus"] for row in summary["counts"]):
        rows = [row for row in summary["counts"] if row["corpus"] == corpus and row["label"] is not None]
        counts = [(sum(row[split] for split in SPLITS), row["shared"]) for row in rows]
        every = sum(count for count, _ in counts)
        left = sum(count for count, shared in counts if shared is None)
        said.append(
            f"{left:,} of {every:,} labelled utterances of {corpus} ({100 * left / max(every, 1):.0f} %)"
        )
    return f"Left out: {markdown('; '.join(said))}."


def _counts(summary: Mapping[str, Any]) -> str:
    rows = [
        [
            row["corpus"],
            NONE if row["label"] is None else row["label"],
            ("unlabelled" if row["label"] is None else "left out")
            if row["shared"] is None
            else row["shared"],
            *(f"{row[split]:,}" for split in SPLITS),
        ]
        for row in summary["counts"]
        if row["label"] is not None or sum(row[split] for split in SPLITS)
    ]
    return markdown_table(("corpus", "label", "shared", *SPLITS), rows, [False] * 3 + [True] * 3)


def _scaled(summary: Mapping[str, Any]) -> str:
    said = (
        "Features are scaled by the statistics of the utterances that a network is trained on, and where it "
        "is fine-tuned, by those that its first weights were trained on. The target's own statistics may "
        "suit it better, but they read its utterances (without labels): nothing would be zero-shot."
    )
    note = scaling_note(summary["parameters"])
    return f"{note} All else is scaled so: {said}" if note else said
