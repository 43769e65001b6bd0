import json
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from erc_kedro.audit.checks import AuditError, refuse
from erc_kedro.audit.corpus import audit_corpus
from erc_kedro.audit.features import audit_features
from erc_kedro.audit.page import audit_page
from erc_kedro.audit.provenance import provenance
from erc_kedro.corpora.tables import utterance_table
from tests.audit.tables import DESCRIPTION, NOTHING, corpus, features, long_corpus


@pytest.fixture
def matrix() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(12, 4))


def audited(
    tables: dict[str, pd.DataFrame], utterances: pd.DataFrame, clips: pd.DataFrame | None = None
) -> dict:
    records = {
        modality: provenance(table, utterances, {"name": "made", "settings": {}})
        for modality, table in tables.items()
    }
    return audit_features(tables, utterances, records, clips)


def test_sound_features_pass(matrix: np.ndarray) -> None:
    table = corpus()
    findings = audited({"audio": features(table, matrix)}, table)
    assert findings["errors"] == findings["warnings"] == []
    assert findings["modalities"]["audio"]["dimension"] == 4
    assert findings["counts"]["audio"]["test"] == {"ok": 4}
    assert json.loads(json.dumps(findings)) == findings
    refuse(findings)


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
    page = audit_page(audit_corpus(table, DESCRIPTION, NOTHING), findings)
    # The placeholder of an absent vector has a width, which is no count of features.
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
    with pytest.raises(AuditError, match="1 audio vectors are not finite"):
        refuse(infinite)


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
    findings = audit_corpus(table, {**DESCRIPTION, "synthetic": True}, NOTHING)
    of_features = audited({"audio": features(table, matrix, absent=(11,))}, table)
    page = audit_page(findings, of_features)
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
    page = audit_page(audit_corpus(utterances, DESCRIPTION, NOTHING), findings)
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


PUBLISHED = {"name": "published:audio.parquet", "version": "abc", "settings": {}}
JOINED = {"part": "3 columns", "columns": ["mfcc", "code", "row"], "left_out": ["text"]}
VECTORS = {"part": "the column vector", "columns": [], "left_out": []}


@pytest.mark.parametrize("known", [True, False], ids=["columns", "a column of vectors"])
def test_a_feature_that_gives_the_label_away_is_refused_by_name(known: bool) -> None:
    draw = np.random.default_rng(0)
    labels = draw.choice(["calm", "cross", "glad"], size=200)
    table = long_corpus(labels.tolist())
    code = np.unique(labels, return_inverse=True)[1]
    part = features(table, np.c_[draw.normal(size=200), code * 0.37 + 2, np.arange(200)])
    record = provenance(part, table, PUBLISHED, source=JOINED if known else VECTORS)
    findings = audit_features({"audio": part}, table, {"audio": record})
    name = "code" if known else "vector[1]"
    with pytest.raises(
        AuditError, match=f"audio that give the label away by themselves: {name} ".replace("[", r"\[")
    ):
        refuse(findings)
    assert len(findings["errors"]) == 1
    assert [sentence.split(":")[1].split()[0] for sentence in findings["warnings"]] == [
        "row" if known else "vector[2]"
    ]
    assert ("features.audio.field" in findings["errors"][0]) == known
    page = audit_page(audit_corpus(table, DESCRIPTION, NOTHING), findings)
    source = "Audio: published:audio.parquet (SHA-256 abc), 3 columns: mfcc, code, row; not used: text."
    assert (source in page) == known


def test_what_an_extractor_measures_may_give_the_label_away() -> None:
    labels = ["calm", "cross"] * 100
    table = long_corpus(labels)
    part = features(table, np.array([[label == "calm"] for label in labels]))
    findings = audited({"audio": part}, table)
    assert findings["errors"] == []
    assert [sentence for sentence in findings["warnings"] if "give the label away" in sentence]
