"""DailyDialog: a line is a dialogue, two speakers alternate, and what does not fit is listed or refused."""

import pytest

from erc_kedro.audit import leaks
from erc_kedro.corpora import CorpusError, dailydialog
from tests.corpora.releases import found, rows_of, write_dailydialog


def test_a_line_is_a_dialogue_of_a_and_b(tmp_path):
    turns = [("Say , Jim , how are you ?", 0), ("I don ’ t know .", 5), ("Oh !", 4)]
    corpus = dailydialog.read(write_dailydialog(tmp_path, train=[[("Hello .", 1)], turns]))
    rows = rows_of(corpus)
    assert [rows[f"train_2_{at}"]["speaker"] for at in range(3)] == ["A", "B", "A"]
    assert rows["train_2_0"]["text"] == "Say , Jim , how are you ?"
    assert [rows[f"train_2_{at}"]["label"] for at in range(3)] == ["no emotion", "sadness", "happiness"]
    assert rows["validation_1_1"]["split"] == "val"
    assert rows["test_1_1"]["label"] == "surprise"
    assert corpus.facts["majority_label"] == "no emotion"
    assert corpus.labels[0] == "no emotion"
    assert len(corpus.labels) == 7
    assert found(corpus, "curly_quotes") == ["train/dialogues_train.txt"]


def test_a_line_with_other_numbers_of_emotions_is_kept_without_labels_and_listed(tmp_path):
    write_dailydialog(tmp_path, train=[[("One .", 1), ("Two .", 2)], [("Three .", 3)]])
    (tmp_path / "train" / "dialogues_emotion_train.txt").write_text("1 \n3 \n", "utf-8")
    corpus = dailydialog.read(tmp_path)
    assert found(corpus, "emotions_do_not_match") == ["train/dialogues_train.txt, row 1"]
    table = corpus.utterances.set_index("utterance_id")
    assert table.loc[["train_1_0", "train_1_1"], "label"].isna().all()
    assert table.loc["train_2_0", "label"] == "fear"


def test_older_names_a_flat_file_and_copies_of_both_are_found(tmp_path):
    write_dailydialog(tmp_path)
    for split in ("train", "validation", "test"):
        folder = tmp_path / split
        (folder / f"dialogues_{split}.txt").rename(folder / "dialogues.txt")
        (folder / f"dialogues_emotion_{split}.txt").rename(folder / "dialogues_emotion.txt")
    (tmp_path / "dialogues_text.txt").write_text("All of it .__eou__\n", "utf-8")
    (tmp_path / "dialogues_emotion.txt").write_text("0\n", "utf-8")
    assert set(rows_of(dailydialog.read(tmp_path))) >= {"train_1_0", "validation_1_0", "test_1_0"}


def test_without_the_zips_dialogues_are_split_by_hash_and_that_is_said(tmp_path):
    (tmp_path / "dialogues_text.txt").write_bytes(b"\xef\xbb\xbf" + b"Well .__eou__Yes .\r\n" * 60)
    (tmp_path / "dialogues_emotion.txt").write_bytes(b"0 4\r\n" * 60)
    corpus = dailydialog.read(tmp_path)
    table = corpus.utterances
    assert len(table) == 120
    assert table["text"].iloc[0] == "Well ."
    assert set(table["split"]) == {"train", "val", "test"}
    assert corpus.facts["protocol"] == "hashed splits"
    assert "official splits are in train.zip" in corpus.facts["notes"][-1]


def test_dialogues_that_two_splits_share_are_listed_not_lost(tmp_path):
    words = "the quick brown fox jumps over the lazy dog near a quiet river bank ."
    long = [(words, 0), ("I have never seen such a thing in my whole life !", 6)]
    corpus = leaks.examined(dailydialog.read(write_dailydialog(tmp_path, train=[long], test=[long])))
    assert found(corpus, "repeated_across_splits") == ["train_1_0 = test_1_0", "train_1_1 = test_1_1"]
    assert corpus.utterances["dialogue_id"].nunique() == 3
    dropped = leaks.examined(dailydialog.read(tmp_path), drop_leaks=True)
    assert "train_1" not in set(dropped.utterances["dialogue_id"])


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("train/dialogues_emotion_train.txt", "0 9 \n", r"emotion_train.txt, row 1: '9' is no emotion"),
        ("train/dialogues_emotion_train.txt", "0 0 \n0\n", r"row 2: the last of its lines, but .* has 1"),
        ("test/dialogues_test.txt", None, r"dialogues_test.txt is missing"),
        ("validation/dialogues_emotion_validation.txt", None, r"dialogues_emotion_validation.txt is missing"),
        ("again/dialogues_train.txt", "Other .__eou__\n", r"differ; keep the one that is meant"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, file, text, said):
    write_dailydialog(tmp_path)
    path = tmp_path / file
    if text is None:
        path.unlink()
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    with pytest.raises(CorpusError, match=said):
        dailydialog.read(tmp_path)
