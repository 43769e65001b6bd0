import ast
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import erc_kedro.corpora
from erc_kedro.corpora.tables import irregularity_table, utterance_table
from erc_kedro.evaluation import audit

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


def test_sound_features_pass(matrix: np.ndarray) -> None:
    table = corpus()
    findings = audit.audit_features({"audio": features(table, matrix)}, table)
    assert findings["errors"] == findings["warnings"] == []
    assert findings["modalities"]["audio"]["dimension"] == 4
    assert findings["counts"]["audio"]["test"] == {"ok": 4}
    assert json.loads(json.dumps(findings)) == findings
    audit.refuse(findings)


def test_rows_are_matched_by_id_not_by_order(matrix: np.ndarray) -> None:
    table = corpus()
    shuffled = features(table, matrix, absent=(0,)).sample(frac=1, random_state=2)
    assert audit.audit_features({"audio": shuffled}, table)["counts"]["audio"]["train"] == {
        "ok": 3,
        "no_media": 1,
    }
    with pytest.raises(ValueError, match="not of this corpus's 12 utterances"):
        audit.audit_features({"audio": shuffled[1:]}, table)


def test_absent_vectors_are_counted_but_not_looked_into(matrix: np.ndarray) -> None:
    table = corpus()
    matrix[[0, 11]] = 0
    findings = audit.audit_features({"audio": features(table, matrix, absent=(0, 11))}, table)
    assert findings["modalities"]["audio"]["all_zero"] == 0
    assert findings["modalities"]["audio"]["identical_across_splits"] == 0
    assert findings["warnings"] == [
        "Only 75.0% of the utterances of train have audio features.",
        "Only 75.0% of the utterances of test have audio features.",
    ]


def test_an_absent_modality_is_one_warning(matrix: np.ndarray) -> None:
    table = corpus()
    findings = audit.audit_features({"visual": features(table, matrix, absent=tuple(range(12)))}, table)
    assert findings["warnings"] == ["No utterance has visual features; the modality is absent."]


def test_vectors_of_another_split_are_found(matrix: np.ndarray) -> None:
    table = corpus(text={4: "sentence 0  0."})
    matrix[4] = matrix[0]
    matrix[9] = matrix[2]
    matrix[3] = matrix[2]
    findings = audit.audit_features(
        {"audio": features(table, matrix), "text": features(table, matrix)}, table
    )
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
    findings = audit.audit_features({"audio": features(table, matrix)}, table)
    facts = findings["modalities"]["audio"]
    assert (facts["all_zero"], facts["constant_dimensions"], facts["not_finite"]) == (1, 1, 0)
    assert len(findings["warnings"]) == 2
    matrix[6, 1] = np.inf
    infinite = audit.audit_features({"audio": features(table, matrix)}, table)
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
    audit.audit_features({"text": part}, table)
    assert time.process_time() - start < 2


def test_the_page_says_what_was_found(matrix: np.ndarray) -> None:
    table = corpus(split={1: "test"})
    findings = audit.audit_corpus(table, {**CARD, "synthetic": True}, NOTHING)
    of_features = audit.audit_features({"audio": features(table, matrix, absent=(11,))}, table)
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
    findings = audit.audit_features({"audio": features(utterances, vectors)}, utterances, clips)
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
    said = " ".join(audit.audit_features({"audio": features(table, np.ones((12, 4)))}, table)["warnings"])
    assert "All audio vectors of training are the same" in said


def test_a_vector_of_two_texts_in_one_split_is_flagged(matrix: np.ndarray) -> None:
    table = corpus()
    matrix[2] = matrix[0]
    findings = audit.audit_features({"visual": features(table, matrix)}, table)
    assert findings["modalities"]["visual"]["repeated"] == 2
    assert "2 visual vectors are bit-identical to that of another text" in " ".join(findings["warnings"])
