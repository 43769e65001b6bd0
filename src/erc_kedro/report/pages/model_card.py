"""A card for whoever is handed the models of an experiment, in Markdown."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from erc_kedro.escaping import code, line, markdown
from erc_kedro.evaluation.metrics import SCORES
from erc_kedro.report.labels import HEADLINE
from erc_kedro.report.scaling import scaled_modalities
from erc_kedro.report.section import CorpusSection
from erc_kedro.report.tables import tables_of
from erc_kedro.report.tables.files import as_markdown
from erc_kedro.schemas import MODALITIES
from erc_kedro.sentences import few

_INTENDED = {
    False: "Research on recognising emotion in conversations, and prototypes in which a person sees the "
    "predictions together with what was said and can overrule them.",
    True: "Trying the software out, and nothing else.",
}
_PREDICTED = (
    "The models predict, for each utterance{whole}, which of {classes} its label would be, from "
    "{modalities}{context}."
)
# They look at no utterance but the one that they predict.
_ALONE = ("majority", "logistic_regression", "concat_mlp", "late_fusion")
_WARNING = (
    "**Do not let these models decide about people.** {known} In interviews, health monitoring, teaching or "
    "customer service, nobody should be hired, treated, graded, paid or watched because of a prediction. "
    "The scores below are of {corpus} alone, and {scope} Inferring emotions from voice or face at work and "
    "in education is forbidden in the European Union, except for medical or safety reasons (Regulation (EU) "
    "2024/1689, article 5(1)(f)); ask those who are recorded, say what is done, and keep a way to object."
)
# What the models know and what their scores are of; synthetic or not.
_KNOWN = {
    False: "They guess how a recording would be labelled; they do not know what a person feels.",
    True: "They learned from what a program made up, and know nothing of any person.",
}
_SCOPE = {
    False: "say nothing of other languages, accents, ages, cultures, conditions or recording situations; "
    "faces and voices that the corpus lacks may be read worse, and people who express emotion differently "
    "will be.",
    True: "say nothing of people.",
}
# Whose labels they are, by release; nobody knows whose a user's own corpus has.
_LABELS = {
    "meld": "Labels are what raters saw and heard in others, not what these felt: in actors of a sitcom. "
    "Where raters disagree, no score says who is right.",
    "iemocap": "Labels are what raters saw and heard in others, not what these felt: in actors who played "
    "scripts and improvised. Where raters disagree, no score says who is right.",
    None: "Labels are as the corpus gives them. Who gave them, and whether the speakers spoke or acted, is "
    "not recorded here; a label need not be what somebody felt.",
}
_MADE_UP = "Labels are what a program was told to express: nobody felt, said, showed or rated any of it."
_MISSING = "A modality that is missing or bad costs accuracy; how much is measured below."
_UNTRIED = "What a missing or bad modality costs was not measured."


def model_card(section: CorpusSection, facts: Mapping[str, Any]) -> str:
    """The card of one corpus's models.

    Args:
        section: has metrics.
        facts: ``experiment``, ``revision`` and ``command``, as ``render_report`` takes them.
    """
    tables, training = tables_of(section), section.training
    parameters = training.get("parameters") or {}
    model = parameters.get("model") or {}
    unread = {*section.absent, *(parameters.get("withhold") or [])}
    used = [name for name in model.get("modalities") or MODALITIES if name not in unread]
    extractors = training.get("extractors") or {}
    seeds = section.metrics["seed"].nunique() if section.metrics is not None else 0
    labels = markdown(few(section.description.get("labels") or ["its labels"], 50))
    synthetic = section.synthetic
    lines = [
        f"# Model card: {markdown(facts.get('experiment') or 'an experiment')} on {markdown(section.title)}",
        "",
    ]
    if synthetic:
        lines += [
            "**SYNTHETIC DATA, not a result.** A program generated the data that these models learned from: "
            "they know nothing about people.",
            "",
        ]
    lines += [
        f"- Architecture: {markdown(model.get('architecture', 'not recorded'))}; "
        f"{_networks(training, seeds)}",
        f"- Trained on: {markdown(section.title)}, "
        f"protocol {markdown(section.description.get('protocol') or 'unknown')}; "
        f"data fingerprint {code(training.get('data_fingerprint') or 'not recorded')}",
        *(
            f"- Features, {name}: "
            + (
                "none"
                if name in section.absent
                else ", ".join(f"{markdown(key)} {code(value)}" for key, value in made.items() if value)
            )
            for name, made in extractors.items()
            if made
        ),
        f"- Code revision: {code(training.get('git_revision') or facts.get('revision') or 'not recorded')}",
        "",
        "## What they are for",
        "",
        f"{_INTENDED[synthetic]} "
        + _PREDICTED.format(
            classes=labels,
            modalities=_listed(used),
            whole=" of a whole conversation" if section.in_conversation else " by itself",
            context=_context(training, used) if section.in_conversation else "",
        ),
        "",
        "## What they are not for",
        "",
        _WARNING.format(corpus=markdown(section.title), known=_KNOWN[synthetic], scope=_SCOPE[synthetic]),
        "",
        "## Limits",
        "",
        f"- {_MADE_UP if synthetic else _LABELS[section.release]}",
        f"- {_MISSING if 'degraded' in tables else _UNTRIED}",
        *(f"- {markdown(note)}" for note in section.description.get("notes") or []),
        *([f"- {section.scaling_note}"] if section.scaling_note else []),
        "",
        "## Scores",
        "",
        "What had to be chosen was chosen on validation; the test split was scored once per network, "
        "after that.",
        "",
        *([markdown(section.caution), ""] if section.caution else []),
    ]
    # Scores first, then where they differ between people and situations.
    for name in ("headline", "classes", "group", "speaker", "shift", "calibration", "degraded"):
        if name in tables:
            lines.append(as_markdown(tables[name]))
    if "headline" not in tables:
        lines += [f"No score: {', '.join(HEADLINE[name] for name in SCORES)} need labels.", ""]
    if "group" not in tables:
        lines += ["The corpus names no groups of speakers, so differences between groups are unknown.", ""]
    lines += [
        "## How it was made",
        "",
        f"    {line(training.get('command') or 'not recorded')}",
        "",
        "and this card by",
        "",
        f"    {line(facts.get('command') or 'not recorded')}",
        "",
    ]
    return "\n".join(lines)


def _context(training: Mapping[str, Any], used: Collection[str]) -> str:
    """Which other utterances a prediction rests on: through the network, its scaling or its text vectors."""
    parameters = training.get("parameters") or {}
    model = parameters.get("model") or {}
    text = ((training.get("extractors") or {}).get("text") or {}).get("settings") or {}
    if "text" not in used:
        text = {}
    scaled = set(scaled_modalities(parameters, set(MODALITIES) - set(used))) & {"speaker", "speaker_past"}
    causal = bool(model.get("causal"))
    alone = model.get("architecture") in _ALONE
    later = (not alone and not causal) or text.get("following") or "speaker" in scaled
    if later:
        return ", looking at earlier and later utterances"
    if not alone or text.get("context") or scaled:
        return ", looking at earlier utterances only"
    return ", each for itself"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _networks(training: Mapping[str, Any], seeds: int) -> str:
    """How many networks there are; of folds, a seed has several."""
    folds = max((len(str(keys).split()) for keys in training.get("keys") or []), default=1)
    each = f"one a seed and fold, {folds} folds" if folds > 1 else "one a seed"
    return f"{seeds * folds} network{'s' if seeds * folds > 1 else ''}, {each}"
