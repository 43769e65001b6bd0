"""An audit as a Markdown page."""

from collections.abc import Iterable, Mapping
from typing import Any

from erc_kedro.audit.clips import CLIP_COLUMNS, clip_cells
from erc_kedro.escaping import markdown, markdown_table
from erc_kedro.schemas import SPLITS
from erc_kedro.sentences import few

# What the lines of a table are; the first is the sum of the others.
LINES = {
    "lines": "lines",
    "header": "header",
    "rows": "rows",
    "continued": "going on with a row",
    "blank": "without content",
}

_PROBED = (
    "right on training",
    "on validation",
    "agree with those of, on training and test",
    "surer of training",
    "test told apart",
    "parts of training told apart",
)


def audit_page(audit: Mapping[str, Any], features_audit: Mapping[str, Any] | None) -> str:
    """An audit, and that of the features where there is one, as a Markdown page."""
    title = f"# Audit of {markdown(audit['name'])}" + (
        " (synthetic: generated, not recorded)" if audit["synthetic"] else ""
    )
    of_features: Mapping[str, Any] = features_audit or {"warnings": [], "errors": [], "modalities": {}}
    lines = [title, "", f"Protocol: {markdown(audit['protocol'])}.", ""]
    lines += [f"{markdown(note)}\n" for note in audit["notes"]]
    lines += _sentences("Errors", [*audit["errors"], *of_features["errors"]])
    warnings = [*audit.get("not_learnable", []), *audit["warnings"], *of_features["warnings"]]
    lines += _sentences("Warnings", warnings)

    columns = ("utterances", "labelled", "dialogues", "speakers", "clips", "wavs")
    if audit.get("tables"):
        lines += ["## Lines read", ""]
        lines.append(
            markdown_table(
                ["table", *LINES.values()],
                ([name, *(counts[kind] for kind in LINES)] for name, counts in audit["tables"].items()),
            )
        )
    lines += ["## Splits", ""]
    lines.append(
        markdown_table(
            ["split", *columns, "utterances a dialogue: least", "median", "most"],
            (
                [split, *(counts[column] for column in columns)]
                + [f"{counts['dialogue_length'].get(name, 0):g}" for name in ("min", "median", "max")]
                for split, counts in audit["splits"].items()
            ),
        )
    )
    shared = ", ".join(f"{pair} {count}" for pair, count in audit["shared_speakers"].items())
    lines += [f"Speakers that two splits share: {shared}.", "", "## Labels", ""]
    lines.append(
        markdown_table(
            ["label", *SPLITS],
            ([label, *(counts[split] for split in SPLITS)] for label, counts in audit["labels"].items()),
        )
    )
    if of_features["modalities"]:
        lines += _features_section(of_features)

    lines += ["## Irregularities", ""]
    if not audit["irregularities"]:
        lines += ["None.", ""]
    for group in audit["irregularities"]:
        lines += [f"### {group['kind']}: {group['count']}", "", group["meaning"], ""]
        lines.append(
            markdown_table(["where", "what"], ([row["where"], row["detail"]] for row in group["examples"]))
        )
        if group["count"] > len(group["examples"]):
            lines += [f"… and {group['count'] - len(group['examples'])} more.", ""]
    return "\n".join(lines)


def _features_section(audit: Mapping[str, Any]) -> list[str]:
    modalities = audit["modalities"]
    lines = ["## Features", ""]
    lines.append(
        markdown_table(
            ["modality", "features", "split", "share present", "counts"],
            (
                [
                    modality,
                    facts["dimension"] if any(facts["share"].values()) else "–",
                    split,
                    f"{share:.1%}",
                    ", ".join(
                        f"{reason} {count}" for reason, count in audit["counts"][modality][split].items()
                    ),
                ]
                for modality, facts in modalities.items()
                for split, share in facts["share"].items()
            ),
        )
    )
    for modality, source in audit["sources"].items():
        lines += [markdown(_source_sentence(modality, source)), ""]
    for modality, record in audit.get("provenance", {}).items():
        named = modality in audit["sources"] or record.get("encoder") or "extractor" not in record
        if not named and any(modalities[modality]["share"].values()):
            lines += [markdown(f"{modality.capitalize()}: {record['extractor']['name']}."), ""]
    if audit.get("encoder"):
        lines += [markdown(_encoder_sentence(audit["encoder"])), ""]
    names = {
        "not_finite": "not finite",
        "all_zero": "all zeros",
        "constant_dimensions": "constant features",
        "identical_across_splits": "identical to another split's",
        "identical_with_same_text": "of these with the same text",
        "repeated": "identical in their split, with another text",
    }
    lines.append(
        markdown_table(
            ["modality", *names.values()],
            ([modality, *(facts[name] for name in names)] for modality, facts in modalities.items()),
        )
    )
    for modality, facts in modalities.items():
        if facts["examples"]:
            lines += [markdown(f"Identical {modality} vectors: {few(facts['examples'], 10)}."), ""]
    lines += _probes_section(audit["fitted"]) if audit.get("fitted") else []
    return lines + (_clips_section(audit["clips"]) if audit["clips"] else [])


def _probes_section(fitted: Mapping[str, Any]) -> list[str]:
    """What linear probes of each modality make of training, validation and test."""
    lines = ["### Do features know the labels of training?", ""]
    if fitted["probes"]:
        lines += [
            f"Linear probes, each fitted without some {fitted['compared']} of training, are asked about "
            "these and about what is not training. Surer: of a training and a test utterance, how often a "
            "probe is surer of the first. Told apart: area under a quadratic discriminant's ROC curve, .5 "
            "being chance.",
            "",
            markdown_table(
                ["modality", *_PROBED],
                ([modality, *_probe_cells(facts)] for modality, facts in fitted["probes"].items()),
            ),
        ]
    for reason in dict.fromkeys(fitted["skipped"].values()):
        named = few(modality for modality, why in fitted["skipped"].items() if why == reason)
        lines += [markdown(f"Not probed: {named}; {reason}."), ""]
    return lines


def _probe_cells(facts: Mapping[str, Any]) -> list[str]:
    names = ("training", "validation", "surer", "apart")
    right, validation, surer, apart = ("–" if facts[name] is None else f"{facts[name]:.2f}" for name in names)
    among = facts["apart_in_training"]
    agreement = [
        f"{other} {shares['training']:.2f}, {shares['test']:.2f}"
        for other, shares in facts["agreement"].items()
    ]
    parts = "–" if among is None else f"{among[0]:.2f} to {among[1]:.2f}"
    return [right, validation, "; ".join(agreement) or "–", surer, apart, parts]


def _source_sentence(modality: str, source: Mapping[str, Any]) -> str:
    columns, left_out = source.get("columns"), source.get("left_out")
    return (
        f"{modality.capitalize()}: {source['name']} (SHA-256 {source['version']}), {source.get('part')}"
        + (f": {few(columns, 20)}" if columns else "")
        + (f"; not used: {few(left_out, 20)}" if left_out else "")
        + "."
    )


def _encoder_sentence(facts: Mapping[str, Any]) -> str:
    folds = (
        f"Vectors of training come from {facts['folds']} encoders that did not see their dialogue."
        if facts["folds"]
        else "Vectors of training come from the encoder that learned from them."
    )
    score = f"weighted F1 {facts['val_weighted_f1']:.3f} on its {facts['selected_on']} validation dialogues"
    return (
        f"Text: {facts['encoder']}, fine-tuned on {facts['trained_on']} training dialogues of "
        f"{facts['corpus']} ({score}, which chose the epoch). {folds}"
        + (f" An utterance is {facts['shown']}." if facts.get("shown") else "")
    )


def _clips_section(clips: Mapping[str, Any]) -> list[str]:
    lines = ["### Clips", ""]
    lines.append(
        markdown_table(
            ["split", *CLIP_COLUMNS.values()],
            ([split, *clip_cells(facts)] for split, facts in clips["splits"].items()),
        )
    )
    if clips["errors"]:
        kinds = ", ".join(f"{kind} in {count}" for kind, count in clips["errors"].items())
        lines += [f"Decoding errors, by kind and number of clips: {kinds}.", ""]
    if clips["bad"]:
        lines += ["Without voice or face:", ""]
        lines.append(
            markdown_table(
                ["utterance", "modality", "reason", "what"],
                (row.values() for row in clips["bad"]),
            )
        )
        if clips["bad_in_all"] > len(clips["bad"]):
            lines += [f"… and {clips['bad_in_all'] - len(clips['bad'])} more (clips.parquet has all).", ""]
    return lines


def _sentences(title: str, sentences: Iterable[str]) -> list[str]:
    lines = [f"- {markdown(sentence)}" for sentence in sentences]
    return [f"## {title}", "", *(lines or ["None."]), ""]
