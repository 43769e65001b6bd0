import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import erc_kedro
from erc_kedro.audit.checks import AuditError, refuse, refuse_training
from erc_kedro.audit.corpus import audit_corpus
from erc_kedro.audit.irregularities import MEANINGS
from erc_kedro.audit.page import audit_page
from erc_kedro.corpora.tables import irregularity_table
from tests.audit.tables import DESCRIPTION, NOTHING, corpus, long_corpus


def test_the_page_says_what_each_line_of_a_table_is() -> None:
    counts = {"lines": 20, "header": 1, "rows": 12, "continued": 3, "blank": 4}
    findings = audit_corpus(corpus(), {**DESCRIPTION, "tables": {"talk.csv": counts}}, NOTHING)
    assert findings["tables"] == {"talk.csv": counts}
    assert "| talk.csv | 20 | 1 | 12 | 3 | 4 |" in audit_page(findings, None)
    assert "Lines read" not in audit_page(audit_corpus(corpus(), DESCRIPTION, NOTHING), None)


def test_a_sound_corpus_is_counted_and_passes() -> None:
    findings = audit_corpus(corpus(clip={0: "a.mp4"}), DESCRIPTION, NOTHING)
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
    refuse(findings)


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
    findings = audit_corpus(corpus(**changes), DESCRIPTION, NOTHING)
    assert findings["errors"] == []
    assert sentence in findings["warnings"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"split": {1: "test"}}, "Dialogues in two splits: d0."),
        (
            {"split": dict.fromkeys(range(4, 8), "test")},
            "The val split is empty. Epochs are chosen on it: write val for some dialogues of train, leave a "
            "manifest's column split out, or ask for folds (ingestion.protocol).",
        ),
        ({"label": dict.fromkeys(range(4, 8))}, "No utterance of the val split has a label."),
        ({"clip": {0: "a.mp4", 11: "a.mp4"}}, "Clips, or spans of clips, in two splits: a.mp4."),
        ({"wav": {0: "a.wav", 11: "a.wav"}}, "Sound files in two splits: a.wav."),
        ({"utterance_id": {1: "d0_0"}}, "Utterances there twice: d0_0."),
    ],
)
def test_what_makes_results_wrong_is_refused(changes: dict[str, dict[int, Any]], sentence: str) -> None:
    findings = audit_corpus(corpus(**changes), DESCRIPTION, NOTHING)
    assert findings["errors"] == [sentence]
    with pytest.raises(AuditError, match=re.escape("Talk: " + sentence)):
        refuse(findings)


def test_spans_of_one_recording_may_lie_in_two_splits_if_they_differ() -> None:
    recording = {
        "clip": {0: "a.avi", 11: "a.avi"},
        "clip_start_s": {0: 1.0, 11: 5.0},
        "clip_end_s": {0: 2.0, 11: 6.0},
    }
    assert audit_corpus(corpus(**recording), DESCRIPTION, NOTHING)["errors"] == []
    recording["clip_start_s"][11], recording["clip_end_s"][11] = 1.0, 2.0
    assert audit_corpus(corpus(**recording), DESCRIPTION, NOTHING)["errors"]


def test_a_corpus_without_any_label_is_warned_of_but_not_refused() -> None:
    findings = audit_corpus(corpus(label=dict.fromkeys(range(12))), DESCRIPTION, NOTHING)
    assert findings["errors"] == []
    assert "4 of 4 utterances of test have no label." in findings["warnings"]


def test_a_label_without_test_utterances_is_warned_of() -> None:
    findings = audit_corpus(corpus(label={0: "rare"}), DESCRIPTION, NOTHING)
    assert findings["warnings"] == ["Label rare does not occur in val and test."]


def test_what_two_splits_hold_is_told_by_split_and_by_kind() -> None:
    twice = {"repeated": {"test": {"train": 3, "val": 1}}, "same_span": {"val": {"train": 2}}}
    said = audit_corpus(corpus(), {**DESCRIPTION, "twice": twice}, NOTHING)["warnings"]
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
    findings = audit_corpus(corpus(), DESCRIPTION, irregularity_table([*many, ("new_kind", "x", "y")]))
    gap, new = findings["irregularities"][1], findings["irregularities"][0]
    assert (gap["kind"], gap["count"], len(gap["examples"])) == ("numbering_gap", 60, 50)
    assert "positions are counted" in gap["meaning"]
    assert new["examples"] == [{"where": "x", "detail": "y"}]
    page = audit_page(findings, None)
    assert "### numbering_gap: 60" in page
    assert "… and 10 more." in page
    assert "a \\| b" in page


def test_every_kind_that_a_reader_names_has_a_meaning() -> None:
    named = set()
    package = Path(erc_kedro.__file__).parent
    for path in [*(package / "corpora").rglob("*.py"), package / "audit" / "leaks.py"]:
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
    assert named <= MEANINGS.keys()


def test_a_corpus_that_has_nothing_to_learn_is_refused_for_training_alone() -> None:
    for labels, said in (
        ([None] * 100, "No utterance has a label: features can be made, but there is nothing to learn from."),
        (["calm"] * 100, "All labelled utterances of train are calm: there is nothing to tell apart."),
        (["calm"] * 70 + ["glad", None, "calm"] * 10, "All labelled utterances of train are calm:"),
    ):
        findings = audit_corpus(long_corpus(labels), DESCRIPTION, NOTHING)
        refuse(findings)
        with pytest.raises(AuditError, match="Talk: " + said):
            refuse_training(findings)
        assert f"## Warnings\n\n- {said}" in audit_page(findings, None)
    findings = audit_corpus(corpus(split=dict.fromkeys(range(4, 8), "test")), DESCRIPTION, NOTHING)
    with pytest.raises(AuditError, match="The val split is empty"):
        refuse_training(findings)
    refuse_training(audit_corpus(corpus(), DESCRIPTION, NOTHING))


def test_a_split_of_one_class_is_warned_of() -> None:
    labels = ["calm", "glad"] * 40 + ["calm"] * 20
    warnings = audit_corpus(long_corpus(labels), DESCRIPTION, NOTHING)["warnings"]
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
    findings = audit_corpus(long_corpus(list(labels)), DESCRIPTION, NOTHING)
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
    findings = audit_corpus(long_corpus(list(labels)), DESCRIPTION, NOTHING)
    assert findings["errors"] == []
    assert len(findings["warnings"]) == warnings


@pytest.mark.parametrize("labels", [["-2.4", "0.0", "1.2", "3"], ["3.3333", "2,6667", "1", "0.3333"]])
def test_a_few_ratings_are_no_classes_and_the_mend_is_named(labels: list[str]) -> None:
    [error] = audit_corpus(long_corpus(labels * 30), DESCRIPTION, NOTHING)["errors"]
    assert "Regression is not offered" in error
    assert "ingestion.bins" in error


def test_speakers_of_test_that_training_hears_are_counted_where_a_hash_made_the_splits() -> None:
    said = "speakers of test are in train, too"
    by_hash = {**DESCRIPTION, "split_by": "dialogue"}
    [warning] = [w for w in audit_corpus(corpus(), by_hash, NOTHING)["warnings"] if said in w]
    assert "1 of 3 speakers" in warning
    assert "leave_one_out" in warning
    for description in (DESCRIPTION, {**DESCRIPTION, "split_by": "speaker"}):
        assert not any(said in w for w in audit_corpus(corpus(), description, NOTHING)["warnings"])


def test_labels_that_many_splits_lack_are_one_warning() -> None:
    labels = ["common", "usual", *[f"rare {number // 2}" for number in range(18)]] * 3 + [
        "common",
        "usual",
    ] * 30
    warnings = audit_corpus(long_corpus(labels), DESCRIPTION, NOTHING)["warnings"]
    assert warnings == [
        "9 labels do not occur in val, or in test: rare 0, rare 1, rare 2, rare 3, rare 4 and 4 more."
    ]


def test_a_page_shows_names_of_data_and_obeys_none():
    name = "[a](http://x.example)\n\n# <b> \x1b[2J\u202e|`c`"
    table = corpus()
    table["label"] = name
    description = {**DESCRIPTION, "name": name, "notes": [name]}
    odd = pd.DataFrame([("names_alike", name, name)], columns=["kind", "where", "detail"])
    page = audit_page(audit_corpus(table, description, odd), None)
    shown = r"\[a\](http\://x.example) \# &lt;b> ␛\[2J\[U+202E\]\|\`c\`"
    assert f"# Audit of {shown}" in page
    assert f"\n{shown}\n" in page
    assert f"| {shown} | {shown} |" in page
    assert f"of train are {shown}: there is nothing to tell apart" in page
    for part in ("](http:", "<b>", "\x1b", "\u202e", "\n# <"):
        assert part not in page
