from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erc_kedro import schemas
from erc_kedro.corpora import CorpusError, meld
from erc_kedro.corpora.tables import repair
from tests.corpora.releases import MELD_HEADER, found, meld_row, rows_of, touch, write_csv, write_meld


def test_reads_three_splits_with_seconds_in_the_episode(tmp_path: Path) -> None:
    row = meld_row(3, 0, "Hello there.", "joy", "01:02:03,250", "0:59:59,5", speaker="Ben")
    corpus = meld.read(write_meld(tmp_path, dev=[row]))
    rows = rows_of(corpus)
    assert set(rows) == {
        "train_dia0_utt0",
        "train_dia0_utt1",
        "dev_dia3_utt0",
        "test_dia0_utt0",
        "test_dia0_utt1",
    }
    row = rows["dev_dia3_utt0"]
    assert (row["split"], row["label"], row["speaker"], row["text"]) == ("val", "joy", "Ben", "Hello there.")
    assert (row["start_s"], row["end_s"]) == (3723.25, 3599.5)
    assert found(corpus, "end_before_start") == ["dev_sent_emo.csv, row 2"]
    assert found(corpus, "odd_time") == ["dev_sent_emo.csv, row 2"]


@pytest.mark.parametrize(
    ("start", "end", "kind"),
    [
        ("0:13:42,477", "00:13:43,000", "hour_of_one_digit"),
        ("00:13:42.477", "00:13:43,000", "odd_time"),
        ("00:13:42,477", "00:13:42,477", "zero_duration"),
        ("00:13:42,477", "00:18:42,477", "implausibly_long"),
    ],
)
def test_odd_times_are_read_and_named(tmp_path: Path, start: str, end: str, kind: str) -> None:
    corpus = meld.read(write_meld(tmp_path, train=[meld_row(0, 0, start=start, end=end)]))
    assert rows_of(corpus)["train_dia0_utt0"]["start_s"] == 822.477
    assert len(found(corpus, kind)) == 1


def test_main_characters_and_others_are_told_apart(tmp_path: Path) -> None:
    train = [meld_row(0, 0, speaker="Ross"), meld_row(0, 1, speaker="Ross's Mother")]
    groups = meld.read(write_meld(tmp_path, train=train)).facts["groups"]
    assert groups["name"] == "role"
    assert groups["of"]["Ross"] == "main character"
    assert groups["of"]["Ross's Mother"] == "other"


def test_gaps_are_named_and_positions_recounted(tmp_path: Path) -> None:
    train = [meld_row(0, 5), meld_row(0, 2), meld_row(2, 0)]
    corpus = meld.read(write_meld(tmp_path, train=train))
    rows = rows_of(corpus)
    assert [rows[f"train_dia0_utt{number}"]["position"] for number in (2, 5)] == [0, 1]
    assert found(corpus, "numbering_gap") == ["train_dia0"]
    assert found(corpus, "missing_dialogue_id") == ["train_dia1"]


def test_text_is_repaired_and_named(tmp_path: Path) -> None:
    write_meld(tmp_path)
    path = tmp_path / "train_sent_emo.csv"
    texts = ["It@s a cafÃ© thing", "donâ€™t", "tab\x92s", "“quoted” ’tis"]
    write_csv(path, [meld_row(0, turn, text) for turn, text in enumerate(texts)])
    # One cp1252 byte in a line that is UTF-8 otherwise.
    path.write_bytes(path.read_bytes().replace(b"@", b"\x92"))
    corpus = meld.read(tmp_path)
    assert corpus.utterances["text"].tolist()[:4] == ["It's a café thing", "don't", "tab's", '"quoted" \'tis']
    assert found(corpus, "cp1252_bytes") == ["train_sent_emo.csv, row 2"]
    assert found(corpus, "mojibake") == ["train_sent_emo.csv, row 2", "train_sent_emo.csv, row 3"]
    assert found(corpus, "c1_control") == ["train_sent_emo.csv, row 4"]
    assert found(corpus, "curly_quotes") == ["train_sent_emo.csv"]


ASCII = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=8)


@given(ASCII, st.characters(min_codepoint=0xC0, max_codepoint=0x24F), ASCII)
def test_mojibake_of_a_letter_is_undone(before: str, letter: str, after: str) -> None:
    garbled = letter.encode("utf-8").decode("latin-1")
    assert repair(before + garbled + after) == (before + letter + after, ["mojibake"])


@pytest.mark.parametrize("text", ["café… yes", "fiancé”", "naïve", "à la carte — déjà vu", "£5"])
def test_right_text_is_left_alone(text: str) -> None:
    assert repair(text)[0] == text.replace("”", '"')


def test_header_may_have_bom_white_space_and_case(tmp_path: Path) -> None:
    write_meld(tmp_path)
    write_csv(
        tmp_path / "dev_sent_emo.csv", [meld_row(0, 0)], "\ufeff" + MELD_HEADER.upper().replace(",", " , ")
    )
    assert "dev_dia0_utt0" in rows_of(meld.read(tmp_path))


def test_nested_and_renamed_folders_are_found(tmp_path: Path) -> None:
    root = tmp_path / "MELD.Raw" / "MELD.Raw"
    write_meld(root)
    (root / "train").mkdir()
    (root / "train_sent_emo.csv").rename(root / "train" / "train_sent_emo.csv")
    clips = {
        "train_dia0_utt0": touch(root / "train" / "train_splits" / "dia0_utt0.mp4"),
        "dev_dia0_utt1": touch(root / "dev" / "dev_splits_complete" / "dia0_utt1.mp4"),
        "test_dia0_utt1": touch(root / "Test_Videos" / "final_videos_testdia0_utt1.mp4"),
    }
    corpus = meld.read(tmp_path)
    clip = corpus.utterances.set_index("utterance_id")["clip"]
    assert clip.dropna().to_dict() == {name: str(path) for name, path in clips.items()}
    assert corpus.utterances[["clip_start_s", "clip_end_s", "wav", "frame_side"]].isna().all(axis=None)
    assert found(corpus, "row_without_clip") == ["train_dia0_utt1", "dev_dia0_utt0", "test_dia0_utt0"]
    schemas.utterances.validate(corpus.utterances)


def test_odd_clips_are_named(tmp_path: Path) -> None:
    write_meld(tmp_path)
    folder = tmp_path / "output_repeated_splits_test"
    touch(folder / "dia0_utt0.mp4")
    right = touch(folder / "final_videos_testdia0_utt0.mp4")
    touch(folder / "dia108_utt2.mp4")
    touch(folder / "._dia0_utt1.mp4")
    touch(folder / "holiday.mp4")
    touch(tmp_path / "elsewhere" / "dia0_utt0.mp4")
    corpus = meld.read(tmp_path)
    assert rows_of(corpus)["test_dia0_utt0"]["clip"] == str(right)
    assert found(corpus, "two_clips") == ["test_dia0_utt0"]
    assert found(corpus, "clip_without_row") == ["output_repeated_splits_test/dia108_utt2.mp4"]
    assert found(corpus, "clip_unplaced") == [
        "elsewhere/dia0_utt0.mp4",
        "output_repeated_splits_test/holiday.mp4",
    ]
    assert found(corpus, "row_without_clip") == ["test_dia0_utt1"]
    assert found(corpus, "no_clips") == ["train", "dev"]


def test_without_clips_one_row_says_so(tmp_path: Path) -> None:
    corpus = meld.read(write_meld(tmp_path))
    assert corpus.utterances["clip"].isna().all()
    assert len(found(corpus, "no_clips")) == 1
    assert not found(corpus, "row_without_clip")


def test_equal_copies_of_a_csv_are_one_but_different_ones_are_refused(tmp_path: Path) -> None:
    write_meld(tmp_path)
    write_meld(tmp_path / "copy")
    assert len(meld.read(tmp_path).utterances) == 6
    write_meld(tmp_path / "copy", dev=[meld_row(9, 9)])
    with pytest.raises(CorpusError, match=r"dev_sent_emo.csv and .*copy.*dev_sent_emo.csv differ"):
        meld.read(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [meld_row(0, 0), meld_row(0, 1, label="bored")],
            r"row 3, column Emotion: unknown label 'bored'; write one of neutral",
        ),
        (
            [meld_row(0, 0), meld_row(1, 0), meld_row(0, 0)],
            r"row 4: dialogue 0, utterance 0 is already in row 2; remove",
        ),
        (
            [meld_row(0, 0), meld_row(0, 1, "Two\nlines."), meld_row(0, 2, end="soon")],
            r"row 5, column EndTime: 'soon'",
        ),
        (
            [meld_row(0, 0).replace(",0,0,1,", ",x,0,1,")],
            r"row 2, column Dialogue_ID: 'x' is not a whole number",
        ),
        ([meld_row(0, 0), meld_row(0, 1, speaker="")], r"row 3, column Speaker: '' names nobody; restore"),
        ([meld_row(0, 0, speaker="NA")], r"row 2, column Speaker: 'NA' names nobody; restore"),
        (["1,too,short"], r"row 2: 3 cells where the header has 11; column emotion is missing"),
        ([], r"no rows below the header; an empty corpus"),
    ],
)
def test_bad_input_is_refused_with_file_row_and_fix(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=r"train_sent_emo\.csv.*" + message):
        meld.read(write_meld(tmp_path, train=rows))


def test_missing_column_file_or_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="set meld_raw"):
        meld.read(tmp_path / "absent")
    write_meld(tmp_path)
    write_csv(tmp_path / "dev_sent_emo.csv", ["x"], MELD_HEADER.replace("Emotion,", ""))
    with pytest.raises(CorpusError, match=r"dev_sent_emo.csv, row 1: column emotion is missing"):
        meld.read(tmp_path)
    (tmp_path / "dev_sent_emo.csv").unlink()
    with pytest.raises(CorpusError, match=r"dev_sent_emo.csv is missing"):
        meld.read(tmp_path)


def test_only_a_marked_folder_is_synthetic(tmp_path: Path) -> None:
    write_meld(tmp_path)
    assert meld.read(tmp_path).facts["synthetic"] is False
    touch(tmp_path / "SYNTHETIC.md")
    assert meld.read(tmp_path).facts["synthetic"] is True
