"""The readers on the true annotations; ERC_SHARED_DATA names the folder that holds meld, iemocap, …"""

import os
from pathlib import Path

import pandas as pd
import pytest

from erc_kedro import schemas
from erc_kedro.audit import leaks, overlaps
from erc_kedro.audit.corpus import audit_corpus
from erc_kedro.corpora import Corpus, iemocap, meld, published

DATA = Path(os.environ.get("ERC_SHARED_DATA") or "absent")
pytestmark = pytest.mark.skipif(not (DATA / "meld").is_dir(), reason="ERC_SHARED_DATA names no annotations")

COMMUNITY = DATA / "iemocap_published" / "community_protocol_7433.csv"


@pytest.fixture(scope="module")
def real_meld() -> Corpus:
    return meld.read(DATA / "meld")


@pytest.fixture(scope="module")
def real_iemocap() -> Corpus:
    return iemocap.read(DATA / "iemocap")


def where(corpus: Corpus, kind: str) -> list[str]:
    return corpus.irregularities.loc[corpus.irregularities["kind"] == kind, "where"].tolist()


def test_meld_counts(real_meld: Corpus) -> None:
    table = schemas.utterances.validate(real_meld.utterances)
    assert table["split"].value_counts().to_dict() == {"train": 9989, "val": 1109, "test": 2610}
    dialogues = table.groupby("split")["dialogue_id"].nunique()
    assert dialogues.to_dict() == {"train": 1038, "val": 114, "test": 280}
    assert any("1039" in note for note in real_meld.facts["notes"])
    assert audit_corpus(table, real_meld.facts, real_meld.irregularities)["errors"] == []


def test_meld_irregularities(real_meld: Corpus) -> None:
    assert where(real_meld, "missing_dialogue_id") == ["train_dia60"]
    assert where(real_meld, "zero_duration") == ["test_sent_emo.csv, row 1442"]
    assert len(where(real_meld, "numbering_gap")) == 76
    assert len(where(real_meld, "odd_time")) == 3
    assert len(where(real_meld, "implausibly_long")) == 2
    assert len(where(real_meld, "same_span")) == 11
    assert not real_meld.utterances["text"].str.contains("[\u2018\u2019\u201c\u201d\x80-\x9f]").any()


def test_meld_repeats_what_was_found_by_hand(real_meld: Corpus) -> None:
    corpus = leaks.examined(real_meld)
    assert where(corpus, "repeated_across_splits") == [
        # Dialogue 84 is of the episode of 85, whatever its row says.
        "train_dia12_utt4 = test_dia84_utt0",
        "train_dia12_utt5 = test_dia84_utt1",
        "train_dia12_utt6 = test_dia84_utt2",
        "train_dia12_utt7 = test_dia85_utt0",
        "train_dia12_utt8 = test_dia85_utt1",
        "train_dia12_utt9 = test_dia85_utt2",
        "train_dia12_utt9 = test_dia85_utt3",
        "train_dia12_utt11 = test_dia85_utt4",
        "train_dia12_utt11 = test_dia85_utt5",
        "train_dia51_utt8 = test_dia155_utt0",
        "train_dia51_utt10 = test_dia155_utt1",
    ]
    assert set(where(corpus, "repeated_in_split")) == {
        "train_dia312 = train_dia698",
        "train_dia353 = train_dia662",
        "train_dia376 = train_dia725",
    }
    # One span, but other words: two lines of one subtitle.
    spans = where(corpus, "overlapping_spans")
    assert {"train_dia53, dev_dia52", "train_dia433, dev_dia77", "train_dia887, test_dia117"} <= set(spans)
    # "Hey." "Hey!", and "I'm sorry."
    named = " ".join(corpus.irregularities["where"])
    assert not any(
        f"{name} " in f"{named} " for name in ("train_dia19", "test_dia63", "dev_dia55", "test_dia148")
    )
    findings = audit_corpus(corpus.utterances, corpus.facts, corpus.irregularities)
    assert any(said.startswith("11 of 2610 utterances of test repeat") for said in findings["warnings"])
    assert not any("utterances of val repeat" in said for said in findings["warnings"])
    assert corpus.utterances.equals(real_meld.utterances)


def test_meld_without_leaks(real_meld: Corpus) -> None:
    corpus = leaks.examined(real_meld, drop_leaks=True)
    table = schemas.utterances.validate(corpus.utterances)
    assert table["split"].value_counts().to_dict() == {"train": 9980, "val": 1109, "test": 2610}
    assert set(real_meld.utterances["utterance_id"]) - set(table["utterance_id"]) == {
        *(f"train_dia12_utt{turn}" for turn in (4, 5, 6, 7, 8, 9, 11)),
        *(f"train_dia51_utt{turn}" for turn in (8, 10)),
    }
    assert not where(corpus, "repeated_across_splits")


def test_meld_dialogues_of_one_recording_are_of_one_fold(real_meld: Corpus) -> None:
    training = real_meld.utterances[real_meld.utterances["split"] == "train"]
    groups = overlaps.together(training)
    assert {name: group for name, group in groups.items() if group != name} == {
        "train_dia725": "train_dia376",
        "train_dia698": "train_dia312",
    }


@pytest.mark.parametrize(("context", "known"), [(False, 559), (True, 980)])
def test_iemocaps_scripts_are_no_leak(context: bool, known: int) -> None:
    corpus = leaks.examined(iemocap.read(DATA / "iemocap", keep_unlabelled=context))
    assert set(corpus.facts["twice"]) == {"same_words", "same_text"}
    assert corpus.facts["twice"]["same_words"]["test"]["train"] == known
    told = where(corpus, "same_words_across_splits")
    assert len(told) <= 40
    assert all("script" in dialogue for dialogue in told)


def test_iemocap_counts(real_iemocap: Corpus) -> None:
    table = schemas.utterances.validate(real_iemocap.utterances)
    assert len(table) == 7433
    assert len(iemocap.read(DATA / "iemocap", "release").utterances) == 7380
    everything = iemocap.read(DATA / "iemocap", keep_unlabelled=True).utterances
    assert (len(everything), everything["label"].notna().sum()) == (10_039, 7433)
    assert table["dialogue_id"].nunique() == 151
    test = table[table["split"] == "test"]
    assert (test["dialogue_id"].nunique(), len(test)) == (31, 1623)
    assert table.loc[table["split"] == "val", "dialogue_id"].nunique() == 12
    assert len(where(real_iemocap, "community_relabelled")) == 53
    assert audit_corpus(table, real_iemocap.facts, real_iemocap.irregularities)["errors"] == []


@pytest.mark.skipif(not COMMUNITY.is_file(), reason="the community's list is not there")
def test_iemocap_is_the_communitys(real_iemocap: Corpus) -> None:
    theirs = pd.read_csv(COMMUNITY).set_index("utterance_id")
    ours = real_iemocap.utterances.set_index("utterance_id")
    assert set(ours.index) == set(theirs.index)
    for column in ("label", "split", "dialogue_id"):
        assert (ours[column] == theirs.loc[ours.index, column]).all()
    assert (ours["speaker"].str[-1] == theirs.loc[ours.index, "speaker"]).all()
    by_position = theirs.sort_values(["dialogue_id", "position"])
    order = {
        str(dialogue): " ".join(name.rsplit("_", 1)[1] for name in rows.index)
        for dialogue, rows in by_position.groupby("dialogue_id")
    }
    assert order == iemocap.community()["order"]


def test_published_acoustics_join(real_iemocap: Corpus) -> None:
    path = DATA / "iemocap_published" / "audio_gemaps47.parquet"
    if not path.is_file():
        pytest.skip("the published acoustics are not there")
    table = published.read(path, real_iemocap.utterances, "audio")
    assert table["present"].all()
    assert {vector.shape for vector in table["vector"]} == {(47,)}
