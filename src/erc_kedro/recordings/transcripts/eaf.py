"""ELAN's .eaf (https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf).

pympi would read a file by itself, with whatever entities it declares, and fails on what other programs leave
out.
"""

import re
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

from erc_kedro.recordings.base import RecordingError, Transcript
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.transcripts.tiers import Tier, turns_of

# Tiers that depend on each other.
_MOST_LEVELS = 50


def read(path: Path, text: str, remarks: Remarks) -> Transcript:
    """Reads tiers with times, a participant or a speaker each, and labels of their annotations.

    Raises:
        RecordingError: it is no XML, or declares a DTD, which could name entities and files.
    """
    # Expat is given text, so that no declared encoding hides one.
    if re.search("<!(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise RecordingError(
            "unreadable", f"{path}: it declares a DTD, which ELAN does not; save it again in ELAN"
        )
    try:
        root = ElementTree.fromstring(text.lstrip("\ufeff \t\r\n"))
    except ElementTree.ParseError as error:
        cut = error.position[0] >= text.rstrip().count("\n") + 1
        raise RecordingError(
            "truncated_transcript" if cut else "unreadable",
            f"{path}, row {error.position[0]}: {'breaks off' if cut else f'no XML ({error.msg})'}; "
            "save it again in ELAN",
        ) from error
    slots = _slots(root)
    tiers, of_annotation = [], {}
    dependent = []
    for element in root.iter("TIER"):
        name = element.get("TIER_ID", "")
        tier = Tier(name, [], element.get("PARTICIPANT", "").strip(), element.get("PARENT_REF") is not None)
        for annotation in element.iter("ALIGNABLE_ANNOTATION"):
            start, end = (slots.get(annotation.get(f"TIME_SLOT_REF{n}", "")) for n in (1, 2))
            if start is None or end is None:
                remarks.add("unreadable_cue", f"{name}, {annotation.get('ANNOTATION_ID', 'an annotation')}")
                continue
            of_annotation[annotation.get("ANNOTATION_ID")] = (start, end)
            tier.intervals.append((start, end, _value(annotation)))
        dependent.append((tier, [*element.iter("REF_ANNOTATION")]))
        tiers.append(tier)
    # A reference may be to one that refers itself, in any order of tiers.
    waiting = [(tier, annotation) for tier, found in dependent for annotation in found]
    for _ in range(_MOST_LEVELS):
        later = []
        for tier, annotation in waiting:
            span = of_annotation.get(annotation.get("ANNOTATION_REF"))
            if span is None:
                later.append((tier, annotation))
                continue
            of_annotation[annotation.get("ANNOTATION_ID")] = span
            tier.intervals.append((*span, _value(annotation)))
        if not later or len(later) == len(waiting):
            break
        waiting = later
    if later:
        remarks.add("unreadable_cue", "annotations that refer to none", len(later))
    language = next((tier.get("LANG_REF") for tier in root.iter("TIER") if tier.get("LANG_REF")), None)
    return Transcript(turns_of(tiers, remarks), "eaf", language)


def _value(annotation: ElementTree.Element) -> str:
    return annotation.findtext("ANNOTATION_VALUE") or ""


def _slots(root: ElementTree.Element) -> dict[str, float]:
    """Time slots in seconds; those without a time lie evenly between those around them."""
    names, times = [], []
    for slot in root.iter("TIME_SLOT"):
        names.append(slot.get("TIME_SLOT_ID", ""))
        value = slot.get("TIME_VALUE", "")
        times.append(int(value) / 1000 if re.fullmatch(r"-?\d{1,12}", value) else None)
    made: dict[str, float] = {}
    runs: dict[int, list[int]] = defaultdict(list)
    last = -1
    for at, time in enumerate(times):
        if time is None:
            runs[last].append(at)
        else:
            made[names[at]] = time
            last = at
    for before, run in runs.items():
        after = run[-1] + 1
        start = times[before] if before >= 0 else None
        end = times[after] if after < len(times) else None
        if start is None or end is None:
            continue
        for number, at in enumerate(run, 1):
            made[names[at]] = start + (end - start) * number / (len(run) + 1)
    return made
