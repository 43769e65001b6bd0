"""What a bundle's folder tells a person, and what a score's first lines say."""

from collections.abc import Mapping, Sequence
from typing import Any

from erc_kedro.escaping import code, markdown
from erc_kedro.scoring.bundle import Card

LAW = (
    "Inferring emotions from voice or face at work and in education is forbidden in the European Union, "
    "except for medical or safety reasons (Regulation (EU) 2024/1689, article 5(1)(f)); text alone is not "
    "biometric."
)
_GUESS = "It guesses how raters would label what is said; it does not know what a person feels."
_SENSES = {"text": "read", "audio": "heard", "visual": "seen"}
_MADE_UP = "SYNTHETIC DATA: a program made up what it learned from, so that it knows nothing of people."


def trained_on(card: Mapping[str, Any]) -> str:
    """One sentence: what a model learned from."""
    languages = ", ".join(card["languages"]) or "a language that nobody recorded"
    speech = f", {card['speech']}" if card["speech"] else ""
    return (
        f"{card['corpus']}/{card['experiment']} was trained on {card['corpus']} "
        f"(language {languages}{speech}), by {', '.join(card['modalities'])}."
    )


def notes(card: Card, recording: Mapping[str, Any], absent: Sequence[str] = ()) -> list[str]:
    """What a recording's page says on top: what the model learned from, and what it never met.

    Args:
        recording: facts of the recording, as ``recordings.read`` gives them.
        absent: modalities that the model reads, and of which this recording has nothing at all.
    """
    facts = card.model_dump()
    said = [_MADE_UP] if card.synthetic else []
    said.append(f"{trained_on(facts)} {_GUESS}")
    language = recording.get("language")
    if language and card.languages and _code(language) not in map(_code, card.languages):
        said.append(f"This recording is in another language ({language}), which training never met.")
    if absent:
        said.append(
            f"Nothing of this recording was {' or '.join(_SENSES[name] for name in absent)}, as it was in "
            "training: the model is less often right here than on validation, from which its confidence and "
            "what counts as decided are."
        )
    rate = recording.get("sample_rate")
    if rate and rate < 16_000 and "audio" in card.modalities:
        said.append(f"Its sound has {rate / 1000:g} kHz, as that of telephones: what is above is not heard.")
    if card.speech == "acted":
        said.append("Training was acted; people who are not acting show less.")
    said.append(LAW)
    return said


def _code(language: str) -> str:
    """``en`` of ``en-GB``, and of what annotation tools write for it."""
    first = language.replace("_", "-").split("-")[0].strip().lower()
    return "en" if first in ("eng", "english") else first


def _own_code(architecture: str) -> list[str]:
    if ":" not in architecture:
        return []
    return [
        f"- Its network is {code(architecture)}, which is not in this folder: it must be installed, and runs "
        f"only where {code(f'score.allow: [{architecture}]')} allows it"
    ]


def readme(card: Mapping[str, Any]) -> str:
    """The model card of a bundle, in Markdown.

    Args:
        card: the fields of ``bundle.Card`` that training knows.
    """
    scores = card["validation"]
    lines = [f"# {markdown(card['corpus'])}/{markdown(card['experiment'])}", ""]
    if card["synthetic"]:
        lines += [f"**{_MADE_UP}**", ""]
    lines += [
        markdown(trained_on(card)) + " " + _GUESS,
        "",
        f"**Do not let it decide about people.** {LAW}",
        "",
        f"- Labels: {', '.join(code(label) for label in card['labels'])}",
        f"- Protocol: {markdown(card['protocol'] or 'unknown')}",
        f"- Networks: {len(card['seeds'])}, whose calibrated probabilities are averaged",
        f"- Reads {'the past alone' if card['causal'] else 'the whole conversation'}",
        f"- On validation ({scores['utterances']} utterances): accuracy {scores['accuracy']:.3f}, "
        f"weighted F1 {scores['weighted_f1']:.3f}, expected calibration error {scores['ece']:.3f}",
        *(
            f"- {name}: {markdown(made['name'])} ({markdown(made['licence'] or 'licence not recorded')})"
            for name, made in card["extractors"].items()
            if made["kind"] != "none"
        ),
        *_own_code(card["parameters"]["model"]["architecture"]),
        "",
        "Use it:",
        "",
        "    kedro run --pipeline=score --params=recordings=PATH,model=THIS_FOLDER",
        "",
        "or, without a project,",
        "",
        "    from erc_kedro import scoring",
        '    scoring.load("THIS_FOLDER").score(table)',
        "",
    ]
    return "\n".join(lines)
