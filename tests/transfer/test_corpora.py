"""Corpora beside each other: names apart, labels in shared words, and only features of one kind."""

import pytest

from erc_kedro.transfer.corpora import label_counts, repeated_in, shared_modalities
from tests.transfer.made import EXTRACTOR, LABELS, corpus, in_folds


def test_names_are_apart_and_labels_that_are_not_shared_stay_as_context():
    one, other = corpus("talks"), corpus("clips")
    for column in ("utterance_id", "dialogue_id", "speaker"):
        assert not {*one.utterances[column]} & {*other.utterances[column]}
    assert {*one.utterances["label"].dropna()} == {"calm", "glad"}
    lost = one.own_labels.loc[one.utterances.loc[one.utterances["label"].isna(), "utterance_id"]]
    assert {*lost} == {"cross"}


def test_what_is_left_out_is_counted():
    one = corpus("talks")
    rows = label_counts(one, LABELS)
    assert [(row["label"], row["shared"]) for row in rows] == [
        ("calm", "calm"),
        ("glad", "glad"),
        ("cross", None),
        (None, None),
    ]
    assert sum(row[split] for row in rows for split in ("train", "val", "test")) == len(one.utterances)
    of_folds = label_counts(in_folds(one, 3), LABELS)
    assert sum(row["test"] for row in of_folds) == len(one.utterances)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"extractor": {**EXTRACTOR, "name": "other"}}, "differ in their name"),
        ({"extractor": {**EXTRACTOR, "version": "2"}}, "differ in their version"),
        ({"extractor": {**EXTRACTOR, "settings": {"pooling": "cls"}}}, "other settings (pooling)"),
        ({"encoder": {"corpus": "clips"}}, "learned from the labels of Clips"),
    ],
)
def test_features_of_another_kind_are_left_out_with_the_reason(record, said):
    found, why = shared_modalities(corpus("clips"), [corpus("talks", audio=record)])
    assert found == ["text", "visual"]
    assert len(why) == 1
    assert why[0].startswith("Audio is left out: ")
    assert said in why[0]


def test_settings_that_change_no_vector_do_not_count():
    record = {"extractor": {**EXTRACTOR, "settings": {"pooling": "mean", "batch_size": 8, "path": "auto"}}}
    assert shared_modalities(corpus("clips"), [corpus("talks", audio=record)])[0] == [
        "text",
        "audio",
        "visual",
    ]


def test_a_modality_that_one_corpus_lacks_and_one_of_another_width_are_left_out():
    source = corpus("talks")
    source.features["audio"]["present"] = False
    source.features["visual"]["vector"] = [vector[:2] for vector in source.features["visual"]["vector"]]
    found, why = shared_modalities(corpus("clips"), [source])
    assert found == ["text"]
    assert "no training utterance of Talks has it" in why[0]
    assert "Talks has 2 features and Clips 4" in why[1]


def test_scenes_that_both_corpora_hold_are_said():
    said = [f"this is line {at} of a scene about {word} and more" for at, word in enumerate("abcdefgh")]
    target, source = corpus("clips", 12), corpus("talks", 12, seed=1)
    assert repeated_in(target, [source]) == []
    tested = target.utterances["split"] == "test"
    taught = source.utterances["split"] == "train"
    for rows, table in ((tested, target.utterances), (taught, source.utterances)):
        table.loc[table.index[rows][: len(said)], "text"] = said[: int(rows.sum())]
    found = repeated_in(target, [source])
    assert len(found) == 1
    assert "test utterances of Clips repeat utterances that Talks teaches" in found[0]
