"""What ELAN's schema asks of a file, EAF 3.0; the schema itself is nobody's package."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from erc_kedro import timelines
from tests.hostile import PAYLOADS
from tests.timelines.formats.made import facts, timeline

# The order of the parts of a document, and what each must and may say.
ORDER = ("HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LANGUAGE", "CONSTRAINT", "CONTROLLED_VOCABULARY")
ATTRIBUTES = {
    "ANNOTATION_DOCUMENT": ({"DATE", "AUTHOR", "VERSION"}, {"FORMAT"}),
    "HEADER": (set(), {"MEDIA_FILE", "TIME_UNITS"}),
    "MEDIA_DESCRIPTOR": ({"MEDIA_URL", "MIME_TYPE"}, {"RELATIVE_MEDIA_URL"}),
    "PROPERTY": (set(), {"NAME"}),
    "TIME_ORDER": (set(), set()),
    "TIME_SLOT": ({"TIME_SLOT_ID"}, {"TIME_VALUE"}),
    "TIER": ({"TIER_ID", "LINGUISTIC_TYPE_REF"}, {"PARTICIPANT", "ANNOTATOR", "PARENT_REF"}),
    "ANNOTATION": (set(), set()),
    "ALIGNABLE_ANNOTATION": ({"ANNOTATION_ID", "TIME_SLOT_REF1", "TIME_SLOT_REF2"}, set()),
    "REF_ANNOTATION": ({"ANNOTATION_ID", "ANNOTATION_REF"}, {"CVE_REF"}),
    "ANNOTATION_VALUE": (set(), set()),
    "LINGUISTIC_TYPE": (
        {"LINGUISTIC_TYPE_ID"},
        {"TIME_ALIGNABLE", "CONSTRAINTS", "GRAPHIC_REFERENCES", "CONTROLLED_VOCABULARY_REF"},
    ),
    "LANGUAGE": ({"LANG_ID"}, {"LANG_DEF", "LANG_LABEL"}),
    "CONSTRAINT": ({"STEREOTYPE"}, {"DESCRIPTION"}),
    "CONTROLLED_VOCABULARY": ({"CV_ID"}, set()),
    "DESCRIPTION": ({"LANG_REF"}, set()),
    "CV_ENTRY_ML": ({"CVE_ID"}, set()),
    "CVE_VALUE": ({"LANG_REF"}, {"DESCRIPTION"}),
}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elan") / "scored" / "talk"
    rows = [
        {"start_s": at % 7 / 2, "end_s": at % 7 / 2 + 0.7, "text": text, "speaker": text[:50], "label": text}
        for at, text in enumerate(PAYLOADS)
    ]
    rows += [
        {"start_s": 1.0, "end_s": 2.0, "status": status, "speaker": name}
        for status in ("decided", "unsure", "empty")
        # A speaker who is called like the tiers of another.
        for name in ("Ann", "emotion@Ann", "Ann 2")
    ]
    media = str(folder.parent.parent / "my 100 % talk.WAV")
    made = timeline(*sorted(rows, key=lambda row: row["start_s"]))
    timelines.write(made, facts(media=media, notes=[*PAYLOADS[:3]]), folder)
    return ElementTree.parse(folder / "timeline.eaf").getroot()


def all_of(document, tag, attribute):
    return [found.get(attribute) for found in document.iter(tag) if attribute in found.attrib]


def test_parts_are_in_order_and_say_what_they_must(document):
    places = [ORDER.index(part.tag) for part in document]
    assert places == sorted(places)
    assert set(places) == {*range(len(ORDER))}
    header = [part.tag for part in document[0]]
    assert header == sorted(header)
    for found in document.iter():
        needed, allowed = ATTRIBUTES[found.tag]
        given = {name for name in found.attrib if not name.startswith("{")}
        assert needed <= given <= needed | allowed, found.tag


def test_names_are_given_once_and_every_reference_finds_its_own(document):
    ids = [
        name
        for tag, attribute in (
            ("TIME_SLOT", "TIME_SLOT_ID"),
            ("ALIGNABLE_ANNOTATION", "ANNOTATION_ID"),
            ("REF_ANNOTATION", "ANNOTATION_ID"),
            ("LANGUAGE", "LANG_ID"),
            ("CONSTRAINT", "STEREOTYPE"),
        )
        for name in all_of(document, tag, attribute)
    ]
    assert len(ids) == len(set(ids))
    for tag, attribute, target, key in (
        ("TIER", "PARENT_REF", "TIER", "TIER_ID"),
        ("TIER", "LINGUISTIC_TYPE_REF", "LINGUISTIC_TYPE", "LINGUISTIC_TYPE_ID"),
        ("LINGUISTIC_TYPE", "CONSTRAINTS", "CONSTRAINT", "STEREOTYPE"),
        ("LINGUISTIC_TYPE", "CONTROLLED_VOCABULARY_REF", "CONTROLLED_VOCABULARY", "CV_ID"),
        ("ALIGNABLE_ANNOTATION", "TIME_SLOT_REF1", "TIME_SLOT", "TIME_SLOT_ID"),
        ("ALIGNABLE_ANNOTATION", "TIME_SLOT_REF2", "TIME_SLOT", "TIME_SLOT_ID"),
        ("REF_ANNOTATION", "ANNOTATION_REF", "ALIGNABLE_ANNOTATION", "ANNOTATION_ID"),
        ("REF_ANNOTATION", "CVE_REF", "CV_ENTRY_ML", "CVE_ID"),
        ("CVE_VALUE", "LANG_REF", "LANGUAGE", "LANG_ID"),
    ):
        keys = all_of(document, target, key)
        assert len(keys) == len(set(keys)), target
        references = all_of(document, tag, attribute)
        assert references, attribute
        assert set(references) <= set(keys), attribute


def test_slots_follow_time_and_no_annotations_of_a_tier_overlap(document):
    times = [int(value) for value in all_of(document, "TIME_SLOT", "TIME_VALUE")]
    assert times == sorted(times)
    at = dict(zip(all_of(document, "TIME_SLOT", "TIME_SLOT_ID"), times, strict=True))
    for tier in document.iter("TIER"):
        spans = [
            (at[found.get("TIME_SLOT_REF1")], at[found.get("TIME_SLOT_REF2")])
            for found in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        assert all(start < end for start, end in spans)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_the_media_is_found_from_the_file(document):
    [media] = document.iter("MEDIA_DESCRIPTOR")
    assert media.get("MEDIA_URL").startswith("file:///")
    # ELAN undoes no percent signs.
    assert media.get("MEDIA_URL").endswith("/my 100 % talk.WAV")
    assert media.get("RELATIVE_MEDIA_URL") == "../../my 100 % talk.WAV"
    assert media.get("MIME_TYPE") == "audio/x-wav"
