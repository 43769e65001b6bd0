"""ELAN's annotation format, EAF 3.0.

Ours rather than pympi's, which writes 2.8, knows no reference from an annotation to an entry of a vocabulary,
and looks for a parent by its time. Source: Sloetjes and others, EAF Annotation Format 3.0 and ELAN.
"""

import mimetypes
import os
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from erc_kedro.timelines.formats.spans import Span, Tier, shown, tiers

_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
_VOCABULARY = "emotions"
# ELAN's names for a language that is not said, and for what has one value an utterance.
_UNDETERMINED = "und"
_ASSOCIATION = "Symbolic_Association"
# Systems differ in the name; ELAN draws a waveform of this one.
_WAV = "audio/x-wav"


def eaf(spans: list[Span], facts: dict[str, Any], folder: Path) -> str:
    """A tier a speaker with the text; below it emotions, confidence, and the transcript's labels if any.

    Emotions are entries of a vocabulary, which ELAN offers to whoever corrects one.

    Args:
        folder: where the file will lie; ELAN looks for the media from there.
    """
    model = shown(facts["model"]["name"])
    made = tiers(spans)
    emotions = [shown(label) for label in facts["model"]["labels"]]
    values = dict.fromkeys([*emotions, *(f"{emotion}?" for emotion in emotions)])
    entries = {value: f"emotion{number}" for number, value in enumerate(values)}

    root = Element("ANNOTATION_DOCUMENT", AUTHOR=f"erc-kedro {model}", FORMAT="3.0", VERSION="3.0")
    root.set("DATE", datetime.now().astimezone().isoformat(timespec="seconds"))
    root.set(_SCHEMA, "http://www.mpi.nl/tools/elan/EAFv3.0.xsd")
    # The order of these is the schema's.
    header = SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    slots = _time_order(root, spans)
    annotations = _tiers(root, made, slots, entries, model)
    _media(header, facts.get("media"), folder)
    for note in facts.get("notes", ()):
        SubElement(header, "PROPERTY", NAME="note").text = shown(note)
    SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(annotations)
    _types(root, dict.fromkeys(tier.kind for tier in made))
    _vocabulary(root, entries)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _media(header: Element, media: str | None, folder: Path) -> None:
    if media is None:
        return
    path, folder = Path(media).resolve(), folder.resolve()
    beside = os.path.relpath(path, folder)
    guessed = _WAV if path.suffix.lower() == ".wav" else mimetypes.guess_type(path.name)[0]
    SubElement(
        header,
        "MEDIA_DESCRIPTOR",
        # ELAN takes off `file://` and undoes no percent signs, so there are none.
        MEDIA_URL=shown(f"file://{path.as_posix()}"),
        MIME_TYPE=guessed or "unknown",
        RELATIVE_MEDIA_URL=shown(beside if beside.startswith("../") else f"./{beside}"),
    )


def _time_order(root: Element, spans: list[Span]) -> dict[tuple[str, str], str]:
    """Two slots an utterance, in the order of time; their names by the utterance's and which end they are."""
    edges = [(time, end, span) for span in spans for end, time in (("first", span.start), ("last", span.end))]
    order = SubElement(root, "TIME_ORDER")
    names = {}
    for number, (time, end, span) in enumerate(sorted(edges, key=lambda edge: edge[0]), 1):
        names[span.utterance_id, end] = f"ts{number}"
        SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=str(time))
    return names


def _tiers(
    root: Element,
    made: list[Tier],
    slots: dict[tuple[str, str], str],
    entries: dict[str, str],
    model: str,
) -> int:
    """Writes the tiers; returns how many annotations they have."""
    numbers = count(1)
    said: dict[str, str] = {}
    for tier in made:
        element = SubElement(
            root, "TIER", TIER_ID=tier.name, PARTICIPANT=tier.speaker, LINGUISTIC_TYPE_REF=tier.kind
        )
        if tier.parent is not None:
            element.set("PARENT_REF", tier.parent)
        if tier.kind in ("emotion", "confidence"):
            element.set("ANNOTATOR", model)
        for span, value in zip(tier.spans, tier.values, strict=True):
            if tier.parent is not None and not value:
                continue
            name = f"a{next(numbers)}"
            holder = SubElement(element, "ANNOTATION")
            if tier.parent is None:
                said[span.utterance_id] = name
                annotation = SubElement(
                    holder,
                    "ALIGNABLE_ANNOTATION",
                    ANNOTATION_ID=name,
                    TIME_SLOT_REF1=slots[span.utterance_id, "first"],
                    TIME_SLOT_REF2=slots[span.utterance_id, "last"],
                )
            else:
                parent = said[span.utterance_id]
                annotation = SubElement(holder, "REF_ANNOTATION", ANNOTATION_ID=name, ANNOTATION_REF=parent)
                if tier.kind == "emotion":
                    annotation.set("CVE_REF", entries[value])
            SubElement(annotation, "ANNOTATION_VALUE").text = value
    return next(numbers) - 1


def _types(root: Element, kinds: dict[str, None]) -> None:
    for kind in kinds:
        made = SubElement(root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=kind, GRAPHIC_REFERENCES="false")
        made.set("TIME_ALIGNABLE", "true" if kind == "text" else "false")
        if kind != "text":
            made.set("CONSTRAINTS", _ASSOCIATION)
        if kind == "emotion":
            made.set("CONTROLLED_VOCABULARY_REF", _VOCABULARY)


def _vocabulary(root: Element, entries: dict[str, str]) -> None:
    definition = "http://cdb.iso.org/lg/CDB-00130975-001"
    SubElement(root, "LANGUAGE", LANG_ID=_UNDETERMINED, LANG_DEF=definition, LANG_LABEL="undetermined (und)")
    about = "1-1 association with a parent annotation"
    SubElement(root, "CONSTRAINT", STEREOTYPE=_ASSOCIATION, DESCRIPTION=about)
    vocabulary = SubElement(root, "CONTROLLED_VOCABULARY", CV_ID=_VOCABULARY)
    SubElement(vocabulary, "DESCRIPTION", LANG_REF=_UNDETERMINED).text = "With a question mark: unsure."
    for value, entry in entries.items():
        made = SubElement(vocabulary, "CV_ENTRY_ML", CVE_ID=entry)
        SubElement(made, "CVE_VALUE", LANG_REF=_UNDETERMINED).text = value
