from pathlib import Path

import pytest

from erc_kedro.corpora import CorpusError, iemocap
from tests.corpora.releases import append, found, iemocap_file, rows_of, touch, write_iemocap

RELABELLED = iemocap.community()["hap_where_release_says_xxx"][0]
RELABELLED_DIALOGUE, RELABELLED_TURN = RELABELLED.rsplit("_", 1)

DIALOGUES = {
    "Ses01F_impro01": [("F000", 1, 3, "neu"), ("M000", 2.5, 6, "fru"), ("F001", 7, 8, "xxx")],
    "Ses01M_impro01": [("M000", 4, 5, "hap"), ("F000", 1, 3, "sad")],
    "Ses05M_script01_1b": [("F000", 1, 2, "exc"), ("M000", 3, 4, "ang"), ("M001", 5, 6, "sur")],
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write_iemocap(tmp_path / "IEMOCAP_full_release", DIALOGUES)


def test_speaker_split_and_order(raw: Path) -> None:
    rows = rows_of(iemocap.read(raw))
    assert rows["Ses01M_impro01_F000"]["speaker"] == "Ses01_F"
    assert rows["Ses05M_script01_1b_M000"]["speaker"] == "Ses05_M"
    splits = {row["dialogue_id"]: row["split"] for row in rows.values()}
    assert splits == {"Ses01F_impro01": "train", "Ses01M_impro01": "val", "Ses05M_script01_1b": "test"}
    # The file has M000 first, the clock F000.
    assert (rows["Ses01M_impro01_F000"]["position"], rows["Ses01M_impro01_M000"]["position"]) == (0, 1)
    assert rows["Ses01F_impro01_M000"]["text"] == "A made up sentence of M000."


def test_speakers_are_grouped_by_sex(raw: Path) -> None:
    groups = iemocap.read(raw).facts["groups"]
    assert groups["of"] == {
        "Ses01_F": "female",
        "Ses01_M": "male",
        "Ses05_F": "female",
        "Ses05_M": "male",
    }


def test_the_folder_above_is_found_and_an_ambiguous_one_refused(raw: Path) -> None:
    assert len(iemocap.read(raw.parent).utterances) == len(iemocap.read(raw).utterances)
    write_iemocap(raw.parent / "copy", DIALOGUES)
    with pytest.raises(CorpusError, match="several folders hold"):
        iemocap.read(raw.parent)


def test_other_labels_are_dropped_or_kept_as_context(raw: Path) -> None:
    dropped, kept = iemocap.read(raw), iemocap.read(raw, keep_unlabelled=True)
    assert "Ses05M_script01_1b_M001" not in rows_of(dropped)
    assert (
        rows_of(kept)["Ses05M_script01_1b_M001"]["label"] != rows_of(kept)["Ses05M_script01_1b_M001"]["label"]
    )
    assert len(kept.utterances) == len(dropped.utterances) + 2
    assert found(dropped, "label_outside_classes") == ["sur", "xxx"]


def test_community_relabels_its_list_and_release_does_not(tmp_path: Path) -> None:
    write_iemocap(
        tmp_path,
        {RELABELLED_DIALOGUE: [(RELABELLED_TURN, 1, 2, "xxx"), ("M900", 3, 4, "xxx"), ("M901", 5, 6, "neu")]},
    )
    community, release = iemocap.read(tmp_path, "community"), iemocap.read(tmp_path, "release")
    assert set(rows_of(community)) - set(rows_of(release)) == {RELABELLED}
    assert rows_of(community)[RELABELLED]["label"] == "hap"
    assert found(community, "community_relabelled") == [RELABELLED]
    session = f"Ses{RELABELLED[3:5]}"
    listed = {name for name in iemocap.community()["hap_where_release_says_xxx"] if name.startswith(session)}
    assert set(found(community, "community_id_absent")) == listed - {RELABELLED}


def test_generated_corpora_are_not_relabelled(tmp_path: Path) -> None:
    write_iemocap(tmp_path, {RELABELLED_DIALOGUE: [(RELABELLED_TURN, 1, 2, "xxx"), ("M901", 5, 6, "neu")]})
    touch(tmp_path / "SYNTHETIC.md")
    corpus = iemocap.read(tmp_path, "community")
    assert RELABELLED not in rows_of(corpus)
    assert corpus.facts["synthetic"] is True
    assert not found(corpus, "community_id_absent")


def test_media_and_the_side_of_the_frame(raw: Path) -> None:
    avi = touch(raw / "Session1" / "dialog" / "avi" / "DivX" / "Ses01F_impro01.avi")
    touch(avi.with_name("._Ses01F_impro01.avi"))
    wav = touch(raw / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / "Ses01F_impro01_F000.wav")
    corpus = iemocap.read(raw)
    rows = rows_of(corpus)
    wearer, other = rows["Ses01F_impro01_F000"], rows["Ses01F_impro01_M000"]
    assert (wearer["clip"], wearer["clip_start_s"], wearer["clip_end_s"]) == (str(avi), 1.0, 3.0)
    assert (wearer["frame_side"], other["frame_side"]) == ("left", "right")
    assert wearer["wav"] == str(wav)
    assert "Ses01F_impro01_M000" in found(corpus, "missing_wav")
    assert found(corpus, "missing_avi") == ["Ses01M_impro01", "Ses05M_script01_1b"]
    assert found(corpus, "hidden_file") == ["Session1/dialog/avi/DivX"]
    assert corpus.utterances.loc[corpus.utterances["clip"].isna(), "frame_side"].isna().all()


def test_the_man_wears_the_markers_in_dialogues_named_m(raw: Path) -> None:
    touch(raw / "Session1" / "dialog" / "avi" / "DivX" / "Ses01M_impro01.avi")
    rows = rows_of(iemocap.read(raw))
    assert rows["Ses01M_impro01_M000"]["frame_side"] == "left"
    assert rows["Ses01M_impro01_F000"]["frame_side"] == "right"


def test_without_media_two_rows_say_so(raw: Path) -> None:
    corpus = iemocap.read(raw)
    assert len(found(corpus, "no_wav")) == len(found(corpus, "no_avi")) == 1
    assert not found(corpus, "missing_wav")


def test_other_folders_and_hidden_files_are_left_out(raw: Path) -> None:
    folder = raw / "Session1" / "dialog" / "EmoEvaluation"
    for name in ("Categorical", "Attribute", "Self-evaluation"):
        touch(folder / name / "Ses01F_impro01_e1_cat.txt").write_text("[broken", "utf-8")
    touch(folder / "._Ses01F_impro01.txt").write_bytes(b"\x00\x05\x16\x07[")
    corpus = iemocap.read(raw)
    assert len(corpus.utterances) == 6
    assert found(corpus, "hidden_file") == ["Session1/dialog/EmoEvaluation"]


def test_what_is_in_one_file_only(raw: Path) -> None:
    transcript = iemocap_file(raw, "Ses01F_impro01", "transcriptions")
    append(transcript, "Ses01F_impro01_FXX0 [009.0000-009.5000]: [NOISE]")
    line = append(transcript, "M: an aside")
    append(
        iemocap_file(raw, "Ses01M_impro01", "EmoEvaluation"),
        "[9.0 - 9.5]\tSes01M_impro01_M009\tang\t[1, 1, 1]",
    )
    corpus = iemocap.read(raw)
    rows = rows_of(corpus)
    assert "Ses01F_impro01_FXX0" not in rows
    assert rows["Ses01M_impro01_M009"]["text"] == ""
    assert found(corpus, "transcript_without_evaluation") == ["Ses01F_impro01_FXX0"]
    assert found(corpus, "not_an_utterance") == [
        f"Session1/dialog/transcriptions/Ses01F_impro01.txt, row {line}"
    ]
    assert found(corpus, "evaluated_without_transcript") == ["Ses01M_impro01_M009"]
    # An aside's words do not reach the audit.
    assert not corpus.irregularities["detail"].str.contains("aside").any()


def test_turns_whose_text_is_lost_are_named(raw: Path) -> None:
    transcript = iemocap_file(raw, "Ses01F_impro01", "transcriptions")
    gone = append(transcript, "Ses01F_impro01_FXX0 [009.0000-009.5000]:")
    broken = append(transcript, "Ses01F_impro01_FXX1 [009.5000-009.9000]: Na\ufffdve.")
    corpus = iemocap.read(raw)
    where = "Session1/dialog/transcriptions/Ses01F_impro01.txt, row"
    assert found(corpus, "empty_text") == [f"{where} {gone}"]
    assert found(corpus, "lost_characters") == [f"{where} {broken}"]


def test_times_and_bytes_that_are_odd(raw: Path) -> None:
    path = iemocap_file(raw, "Ses01F_impro01", "transcriptions")
    path.write_bytes(path.read_bytes().replace(b"007.0000", b"007.5000").replace(b"of F000", b"of caf\xe9"))
    append(
        iemocap_file(raw, "Ses01M_impro01", "EmoEvaluation"),
        "[9.5 - 9.0]\tSes01M_impro01_M009\tang\t[1, 1, 1]",
    )
    corpus = iemocap.read(raw)
    assert rows_of(corpus)["Ses01F_impro01_F000"]["text"] == "A made up sentence of café."
    assert found(corpus, "time_mismatch") == ["Ses01F_impro01_F001"]
    assert found(corpus, "end_before_start") == ["Ses01M_impro01_M009"]
    assert len(found(corpus, "cp1252_bytes")) == 1
    assert len(found(corpus, "overlapping_turns")) == 1


def test_missing_sessions_are_named(raw: Path) -> None:
    assert found(iemocap.read(raw), "missing_session") == ["Session2", "Session3", "Session4"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[9.0 - 9.5]\tSes01F_impro01_M009\tbored\t[1, 1, 1]", r"unknown code 'bored'; write one of hap"),
        ("[9.0 - 9.5]\tSes01F_impro01_F000\tang\t[1, 1, 1]", r"already in Ses01F_impro01.txt, row 3; remove"),
        ("[9.0 - 9.5] nobody", r"not an evaluation line"),
        ("[9.0.1 - 9.5]\tSes01F_impro01_M009\tang\t[1, 1, 1]", r"is not a number of seconds"),
    ],
)
def test_bad_lines_are_refused_with_file_row_and_fix(raw: Path, line: str, message: str) -> None:
    path = iemocap_file(raw, "Ses01F_impro01", "EmoEvaluation")
    number = append(path, line)
    with pytest.raises(CorpusError, match=rf"Ses01F_impro01\.txt, row {number}.*{message}"):
        iemocap.read(raw)


def test_empty_corpora_are_refused(tmp_path: Path, raw: Path) -> None:
    with pytest.raises(CorpusError, match="set iemocap_raw"):
        iemocap.read(tmp_path / "absent")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(CorpusError, match="no Session1 to Session5"):
        iemocap.read(tmp_path / "nothing")
    write_iemocap(tmp_path / "unlabelled", {"Ses02F_impro09": [("F000", 1, 2, "xxx")]})
    with pytest.raises(CorpusError, match="no utterance with one of the labels"):
        iemocap.read(tmp_path / "unlabelled")
    with pytest.raises(CorpusError, match="protocol is 'both'; write community, release or four"):
        iemocap.read(raw, "both")  # type: ignore[arg-type]
