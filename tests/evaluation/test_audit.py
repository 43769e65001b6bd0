import ast
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import erc_kedro.corpora
from erc_kedro.corpora.tables import irregularity_table, utterance_table
from erc_kedro.evaluation import audit
from erc_kedro.evaluation.provenance import provenance

CARD = {"name": "Talk", "protocol": "own", "synthetic": False, "notes": ["A note."]}
NOTHING = irregularity_table([])


def corpus(**changes: dict[int, Any]) -> pd.DataFrame:
    """Six dialogues of two turns, two a split, labels glad and calm in each; changes: column to row to
    value."""
    rows = [
        {
            "utterance_id": f"d{dialogue}_{turn}",
            "dialogue_id": f"d{dialogue}",
            "position": turn,
            "speaker": "ann" if turn else f"guest {dialogue}",
            "text": f"Sentence {dialogue} {turn}.",
            "label": ("glad", "calm")[turn],
            "split": ("train", "val", "test")[dialogue // 2],
        }
        for dialogue in range(6)
        for turn in (0, 1)
    ]
    for column, values in changes.items():
        for row, value in values.items():
            rows[row][column] = value
    return utterance_table(rows)


def features(table: pd.DataFrame, matrix: np.ndarray, absent: tuple[int, ...] = ()) -> pd.DataFrame:
    present = ~np.isin(np.arange(len(table)), absent)
    return pd.DataFrame(
        {
            "utterance_id": table["utterance_id"],
            "vector": list(matrix.astype(np.float32)),
            "present": present,
            "reason": np.where(present, "ok", "no_media"),
        }
    )


@pytest.fixture
def matrix() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(12, 4))


def test_the_page_says_what_each_line_of_a_table_is() -> None:
    counts = {"lines": 20, "header": 1, "rows": 12, "continued": 3, "blank": 4}
    findings = audit.audit_corpus(corpus(), {**CARD, "tables": {"talk.csv": counts}}, NOTHING)
    assert findings["tables"] == {"talk.csv": counts}
    assert "| talk.csv | 20 | 1 | 12 | 3 | 4 |" in audit.page(findings, None)
    assert "Lines read" not in audit.page(audit.audit_corpus(corpus(), CARD, NOTHING), None)


def test_a_sound_corpus_is_counted_and_passes() -> None:
    findings = audit.audit_corpus(corpus(clip={0: "a.mp4"}), CARD, NOTHING)
    assert findings["errors"] == []
    assert findings["warnings"] == []
    assert findings["splits"]["train"] == {
        "utterances": 4,
        "dialogues": 2,
        "speakers": 3,
        "labelled": 4,
        "clips": 1,
        "wavs": 0,
        "dialogue_length": {"min": 2.0, "median": 2.0, "max": 2.0},
    }
    assert findings["labels"]["glad"] == {"train": 2, "val": 2, "test": 2}
    assert findings["shared_speakers"]["train and test"] == 1
    assert json.loads(json.dumps(findings)) == findings
    audit.refuse(findings)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"label": {0: "calm", 2: "calm"}},
            "Labels that do not occur in train, and cannot be learned: glad.",
        ),
        ({"label": dict.fromkeys(range(8, 12))}, "4 of 4 utterances of test have no label."),
        (
            {"split": dict.fromkeys(range(8, 12), "val")},
            "The test split is empty: nothing is scored but validation.",
        ),
    ],
)
def test_what_a_user_may_do_is_only_warned_of(changes: dict[str, dict[int, Any]], sentence: str) -> None:
    findings = audit.audit_corpus(corpus(**changes), CARD, NOTHING)
    assert findings["errors"] == []
    assert sentence in findings["warnings"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"split": {1: "test"}}, "Dialogues in two splits: d0."),
        ({"split": dict.fromkeys(range(4, 8), "test")}, "The val split is empty."),
        ({"label": dict.fromkeys(range(4, 8))}, "No utterance of the val split has a label."),
        ({"clip": {0: "a.mp4", 11: "a.mp4"}}, "Clips, or spans of clips, in two splits: a.mp4."),
        ({"wav": {0: "a.wav", 11: "a.wav"}}, "Sound files in two splits: a.wav."),
        ({"utterance_id": {1: "d0_0"}}, "Utterances there twice: d0_0."),
    ],
)
def test_what_makes_results_wrong_is_refused(changes: dict[str, dict[int, Any]], sentence: str) -> None:
    findings = audit.audit_corpus(corpus(**changes), CARD, NOTHING)
    assert findings["errors"] == [sentence]
    with pytest.raises(audit.AuditError, match="Talk: " + sentence):
        audit.refuse(findings)


def test_spans_of_one_recording_may_lie_in_two_splits_if_they_differ() -> None:
    recording = {
        "clip": {0: "a.avi", 11: "a.avi"},
        "clip_start_s": {0: 1.0, 11: 5.0},
        "clip_end_s": {0: 2.0, 11: 6.0},
    }
    assert audit.audit_corpus(corpus(**recording), CARD, NOTHING)["errors"] == []
    recording["clip_start_s"][11], recording["clip_end_s"][11] = 1.0, 2.0
    assert audit.audit_corpus(corpus(**recording), CARD, NOTHING)["errors"]


def test_a_corpus_without_any_label_is_warned_of_but_not_refused() -> None:
    findings = audit.audit_corpus(corpus(label=dict.fromkeys(range(12))), CARD, NOTHING)
    assert findings["errors"] == []
    assert "4 of 4 utterances of test have no label." in findings["warnings"]


def test_a_label_without_test_utterances_is_warned_of() -> None:
    findings = audit.audit_corpus(corpus(label={0: "rare"}), CARD, NOTHING)
    assert findings["warnings"] == ["Label rare does not occur in val and test."]


def test_what_two_splits_hold_is_told_by_split_and_by_kind() -> None:
    twice = {"repeated": {"test": {"train": 3, "val": 1}}, "same_span": {"val": {"train": 2}}}
    said = audit.audit_corpus(corpus(), {**CARD, "twice": twice}, NOTHING)["warnings"]
    assert [sentence.split(",")[0] for sentence in said] == [
        "3 of 4 utterances of test repeat utterances of train",
        "1 of 4 utterances of test repeat utterances of val",
        "2 of 4 utterances of val overlap in time with utterances of train that say something else: a time "
        "is wrong",
    ]
    # Only what is recorded once is a leak.
    assert ["a leak" in sentence for sentence in said] == [True, True, False]


def test_irregularities_are_grouped_with_at_most_fifty_examples() -> None:
    many = [("numbering_gap", f"d{number}", "a | b") for number in range(60)]
    findings = audit.audit_corpus(corpus(), CARD, irregularity_table([*many, ("new_kind", "x", "y")]))
    gap, new = findings["irregularities"][1], findings["irregularities"][0]
    assert (gap["kind"], gap["count"], len(gap["examples"])) == ("numbering_gap", 60, 50)
    assert "positions are counted" in gap["meaning"]
    assert new["examples"] == [{"where": "x", "detail": "y"}]
    page = audit.page(findings, None)
    assert "### numbering_gap: 60" in page
    assert "… and 10 more." in page
    assert "a \\| b" in page


def test_every_kind_that_a_reader_names_has_a_meaning() -> None:
    named = set()
    for path in Path(erc_kedro.corpora.__file__).parent.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in ("append", "extend"):
                triples = (
                    node for node in ast.walk(call) if isinstance(node, ast.Tuple) and len(node.elts) == 3
                )
                named |= {
                    kind.value
                    for kind, *_ in (node.elts for node in triples)
                    if isinstance(kind, ast.Constant)
                }
    assert len(named) > 25
    assert named <= audit._MEANINGS.keys()


def audited(
    tables: dict[str, pd.DataFrame], utterances: pd.DataFrame, clips: pd.DataFrame | None = None
) -> dict:
    records = {
        modality: provenance(table, utterances, {"name": "made", "settings": {}})
        for modality, table in tables.items()
    }
    return audit.audit_features(tables, utterances, records, clips)


def test_sound_features_pass(matrix: np.ndarray) -> None:
    table = corpus()
    findings = audited({"audio": features(table, matrix)}, table)
    assert findings["errors"] == findings["warnings"] == []
    assert findings["modalities"]["audio"]["dimension"] == 4
    assert findings["counts"]["audio"]["test"] == {"ok": 4}
    assert json.loads(json.dumps(findings)) == findings
    audit.refuse(findings)


def test_rows_are_matched_by_id_not_by_order(matrix: np.ndarray) -> None:
    table = corpus()
    shuffled = features(table, matrix, absent=(0,)).sample(frac=1, random_state=2)
    assert audited({"audio": shuffled}, table)["counts"]["audio"]["train"] == {
        "ok": 3,
        "no_media": 1,
    }
    with pytest.raises(ValueError, match="not of this corpus's 12 utterances"):
        audited({"audio": shuffled[1:]}, table)


def test_absent_vectors_are_counted_but_not_looked_into(matrix: np.ndarray) -> None:
    table = corpus()
    matrix[[0, 11]] = 0
    findings = audited({"audio": features(table, matrix, absent=(0, 11))}, table)
    assert findings["modalities"]["audio"]["all_zero"] == 0
    assert findings["modalities"]["audio"]["identical_across_splits"] == 0
    assert findings["warnings"] == [
        "Only 75.0% of the utterances of train have audio features.",
        "Only 75.0% of the utterances of test have audio features.",
    ]


def test_an_absent_modality_is_one_warning(matrix: np.ndarray) -> None:
    table = corpus()
    findings = audited({"visual": features(table, matrix, absent=tuple(range(12)))}, table)
    assert findings["warnings"] == ["No utterance has visual features; the modality is absent."]
    page = audit.page(audit.audit_corpus(table, CARD, NOTHING), findings)
    # The placeholder of an absent vector has a width, which is no number of features.
    assert "| visual | – | train | 0.0% | no_media " in page


def test_vectors_of_another_split_are_found(matrix: np.ndarray) -> None:
    table = corpus(text={4: "sentence 0  0."})
    matrix[4] = matrix[0]
    matrix[9] = matrix[2]
    matrix[3] = matrix[2]
    findings = audited({"audio": features(table, matrix), "text": features(table, matrix)}, table)
    facts = findings["modalities"]["audio"]
    assert facts["examples"] == ["d2_0 = d0_0", "d4_1 = d1_0"]
    assert (facts["identical_across_splits"], facts["identical_with_same_text"]) == (2, 1)
    # The same words give the same text vector; the same sound twice is suspicious whatever was said.
    assert [sentence[:16] for sentence in findings["warnings"]] == ["2 audio vectors ", "1 text vectors a"]


def test_zero_constant_and_infinite_vectors(matrix: np.ndarray) -> None:
    table = corpus()
    matrix[5] = 0
    matrix[:, 2] = 7.0
    matrix[5, 2] = 0
    findings = audited({"audio": features(table, matrix)}, table)
    facts = findings["modalities"]["audio"]
    assert (facts["all_zero"], facts["constant_dimensions"], facts["not_finite"]) == (1, 1, 0)
    assert len(findings["warnings"]) == 2
    matrix[6, 1] = np.inf
    infinite = audited({"audio": features(table, matrix)}, table)
    with pytest.raises(audit.AuditError, match="1 audio vectors are not finite"):
        audit.refuse(infinite)


def test_meld_sized_features_take_less_than_two_seconds() -> None:
    count = 13_708
    rows = [
        {
            "utterance_id": f"u{number}",
            "dialogue_id": f"d{number // 10}",
            "position": number % 10,
            "speaker": "a",
            "text": "x",
            "label": "glad",
            "split": ("train", "val", "test")[number * 3 // count],
        }
        for number in range(count)
    ]
    table = utterance_table(rows)
    part = features(table, np.random.default_rng(0).normal(size=(count, 1024)))
    start = time.process_time()
    audited({"text": part}, table)
    assert time.process_time() - start < 2


def test_the_page_says_what_was_found(matrix: np.ndarray) -> None:
    table = corpus(split={1: "test"})
    findings = audit.audit_corpus(table, {**CARD, "synthetic": True}, NOTHING)
    of_features = audited({"audio": features(table, matrix, absent=(11,))}, table)
    page = audit.page(findings, of_features)
    assert page.startswith("# Audit of Talk (synthetic")
    assert "- Dialogues in two splits: d0." in page
    assert "| glad | 2 | 2 | 2 |" in page
    assert "| audio | 4 | test | 80.0% | ok 4, no_media 1 |" in page
    assert "A note." in page


def clips_of(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    columns = ["utterance_id", "split", "modality", "reason", "detail"]
    columns += ["seconds", "clipped", "frames", "with_face", "errors"]
    return pd.DataFrame(rows, columns=columns)


def test_clips_are_counted_and_the_bad_ones_named() -> None:
    utterances = corpus()
    ids = utterances["utterance_id"].tolist()
    clips = clips_of(
        [
            (ids[0], "train", "audio", "ok", "channel 1 of 2 alone", 3600.0, 0.0, None, None, ""),
            (ids[1], "train", "audio", "ok", "", 1800.0, 0.5, None, None, "InvalidDataError 3"),
            (ids[2], "test", "audio", "unreadable", "the file is empty", None, None, None, None, ""),
            (ids[0], "train", "visual", "ok", "", None, None, 8, 6, ""),
            (
                ids[1],
                "train",
                "visual",
                "no_face",
                "no face in 2 frames",
                None,
                None,
                2,
                0,
                "InvalidDataError 3, Other 2",
            ),
            (ids[2], "test", "visual", "failed", "RuntimeError: odd", None, None, 4, 4, ""),
        ]
    )
    vectors = np.random.default_rng(0).normal(size=(12, 4))
    findings = audited({"audio": features(utterances, vectors)}, utterances, clips)
    found = findings["clips"]
    assert found["splits"]["train"] == {
        "voice": {"ok": 2},
        "hours": 1.5,
        "median_s": 2700.0,
        "longest_s": 3600.0,
        "face": {"ok": 1, "no_face": 1},
        "face_rate": 0.6,
    }
    assert found["splits"]["val"]["voice"] == {}
    assert found["splits"]["val"]["median_s"] is None
    # Voice and face of the second clip share one error.
    assert found["errors"] == {"InvalidDataError": 1, "Other": 1}
    assert found["bad"][0] == {
        "utterance_id": ids[2],
        "modality": "audio",
        "reason": "unreadable",
        "detail": "the file is empty",
    }
    assert found["bad_in_all"] == 3
    said = " ".join(findings["warnings"])
    assert "1 clips are overdriven" in said
    assert "1 clips had decoding errors" in said
    assert "1 clips made an extractor fail" in said
    assert "1 clips were used in part, most often so: channel 1 of 2 alone." in said
    json.dumps(findings)
    page = audit.page(audit.audit_corpus(utterances, CARD, NOTHING), findings)
    assert "| train | ok 2 | 1.50 | 2700.00 | 3600.00 | ok 1, no_face 1 | 60.0% |" in page
    assert f"| {ids[2]} | audio | unreadable | the file is empty |" in page


def test_one_vector_for_everything_is_flagged() -> None:
    table = corpus()
    said = " ".join(audited({"audio": features(table, np.ones((12, 4)))}, table)["warnings"])
    assert "All audio vectors of training are the same" in said


def test_a_vector_of_two_texts_in_one_split_is_flagged(matrix: np.ndarray) -> None:
    table = corpus()
    matrix[2] = matrix[0]
    findings = audited({"visual": features(table, matrix)}, table)
    assert findings["modalities"]["visual"]["repeated"] == 2
    assert "2 visual vectors are bit-identical to that of another text" in " ".join(findings["warnings"])


def long_corpus(labels: list[str | None]) -> pd.DataFrame:
    """Dialogues of ten turns with these labels; of ten dialogues seven are train, one val, two test."""
    rows = [
        {
            "utterance_id": f"u{number}",
            "dialogue_id": f"d{number // 10}",
            "position": number % 10,
            "speaker": "ann",
            "text": f"Sentence {number}.",
            "label": label,
            "split": (*["train"] * 7, "val", "test", "test")[number // 10 % 10],
        }
        for number, label in enumerate(labels)
    ]
    return utterance_table(rows)


PUBLISHED = {"name": "published:audio.parquet", "version": "abc", "settings": {}}
JOINED = {"part": "3 columns", "columns": ["mfcc", "code", "row"], "left_out": ["text"]}
VECTORS = {"part": "the column vector", "columns": [], "left_out": []}


@pytest.mark.parametrize("known", [True, False], ids=["columns", "a column of vectors"])
def test_a_number_that_tells_the_label_is_refused_by_name(known: bool) -> None:
    draw = np.random.default_rng(0)
    labels = draw.choice(["calm", "cross", "glad"], size=200)
    table = long_corpus(labels.tolist())
    code = np.unique(labels, return_inverse=True)[1]
    part = features(table, np.c_[draw.normal(size=200), code * 0.37 + 2, np.arange(200)])
    record = provenance(part, table, PUBLISHED, source=JOINED if known else VECTORS)
    findings = audit.audit_features({"audio": part}, table, {"audio": record})
    name = "code" if known else "vector[1]"
    with pytest.raises(
        audit.AuditError, match=f"audio that tell the label by themselves: {name} ".replace("[", r"\[")
    ):
        audit.refuse(findings)
    assert len(findings["errors"]) == 1
    assert [sentence.split(":")[1].split()[0] for sentence in findings["warnings"]] == [
        "row" if known else "vector[2]"
    ]
    assert ("features.audio.field" in findings["errors"][0]) == known
    page = audit.page(audit.audit_corpus(table, CARD, NOTHING), findings)
    source = "Audio: published:audio.parquet (SHA-256 abc), 3 columns: mfcc, code, row; not used: text."
    assert (source in page) == known


def test_what_an_extractor_measures_may_tell_the_label() -> None:
    labels = ["calm", "cross"] * 100
    table = long_corpus(labels)
    part = features(table, np.array([[label == "calm"] for label in labels]))
    findings = audited({"audio": part}, table)
    assert findings["errors"] == []
    assert [sentence for sentence in findings["warnings"] if "tell the label" in sentence]


def test_a_corpus_that_has_nothing_to_learn_is_refused_for_training_alone() -> None:
    for labels, said in (
        ([None] * 100, "No utterance has a label: features can be made, but there is nothing to learn from."),
        (["calm"] * 100, "All labelled utterances of train are calm: there is nothing to tell apart."),
        (["calm"] * 70 + ["glad", None, "calm"] * 10, "All labelled utterances of train are calm:"),
    ):
        findings = audit.audit_corpus(long_corpus(labels), CARD, NOTHING)
        audit.refuse(findings)
        with pytest.raises(audit.AuditError, match="Talk: " + said):
            audit.refuse_training(findings)
        assert f"## Warnings\n\n- {said}" in audit.page(findings, None)
    findings = audit.audit_corpus(corpus(split=dict.fromkeys(range(4, 8), "test")), CARD, NOTHING)
    with pytest.raises(audit.AuditError, match="The val split is empty"):
        audit.refuse_training(findings)
    audit.refuse_training(audit.audit_corpus(corpus(), CARD, NOTHING))


def test_a_split_of_one_class_is_warned_of() -> None:
    labels = ["calm", "glad"] * 40 + ["calm"] * 20
    warnings = audit.audit_corpus(long_corpus(labels), CARD, NOTHING)["warnings"]
    assert warnings == [
        "Label glad does not occur in test.",
        "All labelled utterances of test are calm: a score on them says nothing of telling classes apart.",
    ]


VALUES = np.random.default_rng(0)


@pytest.mark.parametrize(
    "labels",
    [
        VALUES.normal(size=500).round(3).astype(str),
        VALUES.choice(np.arange(1, 5.1, 0.25), size=2000).astype(str),
        [f"{value:.1f}".replace(".", ",") for value in VALUES.uniform(1, 5, size=2000)],
        VALUES.integers(1000, size=300).astype(str),
        [f"She is rather sad about thing {number}" for number in range(200)],
    ],
    ids=["valence", "quarter points", "decimal commas", "whole numbers", "free text"],
)
def test_a_label_that_is_no_class_is_said_once(labels: Any) -> None:
    findings = audit.audit_corpus(long_corpus(list(labels)), CARD, NOTHING)
    assert findings["warnings"] == []
    assert len(findings["errors"]) == 1
    assert re.search(r"labels .*such as .*: no classes. Write a few classes", findings["errors"][0])
    assert f"{len(set(labels))}" in findings["errors"][0]


@pytest.mark.parametrize(
    ("labels", "warnings"),
    [
        (VALUES.integers(1, 8, size=500).astype(str), 0),
        (VALUES.choice(np.arange(1, 5.1, 0.5), size=2000).astype(str), 0),
        ([f"class {number}" for number in VALUES.integers(28, size=3000)], 0),
        (VALUES.integers(32, size=6000).astype(str), 1),
    ],
    ids=["codes", "half points", "many", "many codes"],
)
def test_classes_may_be_numbers_and_may_be_many(labels: Any, warnings: int) -> None:
    findings = audit.audit_corpus(long_corpus(list(labels)), CARD, NOTHING)
    assert findings["errors"] == []
    assert len(findings["warnings"]) == warnings


def test_labels_that_many_splits_lack_are_one_warning() -> None:
    labels = ["common", "usual", *[f"rare {number // 2}" for number in range(18)]] * 3 + [
        "common",
        "usual",
    ] * 30
    warnings = audit.audit_corpus(long_corpus(labels), CARD, NOTHING)["warnings"]
    assert warnings == [
        "9 labels do not occur in val, or in test: rare 0, rare 1, rare 2, rare 3, rare 4 and 4 more."
    ]


def test_a_page_shows_names_of_data_and_obeys_none():
    name = "[a](http://x.example)\n\n# <b> \x1b[2J\u202e|`c`"
    table = corpus()
    table["label"] = name
    card = {**CARD, "name": name, "notes": [name]}
    odd = pd.DataFrame([("names_alike", name, name)], columns=["kind", "where", "detail"])
    page = audit.page(audit.audit_corpus(table, card, odd), None)
    shown = r"\[a\](http\://x.example) \# &lt;b> ␛\[2J\[U+202E\]\|\`c\`"
    assert f"# Audit of {shown}" in page
    assert f"\n{shown}\n" in page
    assert f"| {shown} | {shown} |" in page
    assert f"of train are {shown}: there is nothing to tell apart" in page
    for part in ("](http:", "<b>", "\x1b", "\u202e", "\n# <"):
        assert part not in page
