import os
from pathlib import Path

import pandas as pd
import pytest

from erc_kedro import schemas
from erc_kedro.corpora import CorpusError, manifest
from erc_kedro.corpora.folding import folded
from erc_kedro.corpora.tables import irregularity_table
from tests.corpora.releases import touch
from tests.defaults import IngestionParameters, ProtocolParameters

HEADER = "dialogue_id,position,speaker,text,clip,label,split"


def write(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "own.csv"
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


def test_reads_a_csv_with_clips_beside_it(tmp_path: Path) -> None:
    clip = touch(tmp_path / "clips" / "a.mp4")
    corpus = manifest.read(
        write(
            tmp_path,
            "d1,1,ann,second,,glad,train",
            "d1,0,bob,first,clips/a.mp4,,TRAIN",
            "d2,0,ann,third,,calm,dev",
        )
    )
    table = schemas.utterances.validate(corpus.utterances)
    assert table["text"].tolist() == ["first", "second", "third"]
    assert table["utterance_id"].tolist() == ["d1_0", "d1_1", "d2_0"]
    assert table["split"].tolist() == ["train", "train", "val"]
    assert table["clip"].dropna().tolist() == [str(clip)]
    assert table["label"].isna().tolist() == [True, False, False]
    assert corpus.labels == ("calm", "glad")
    assert corpus.irregularities.empty


def test_reads_parquet_without_the_optional_columns(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    rows = pd.DataFrame(
        {"dialogue_id": [7, 7], "position": [0, 1], "speaker": ["a", "b"], "text": ["x", None]}
    )
    rows.to_parquet(path)
    corpus = manifest.read(path)
    table = schemas.utterances.validate(corpus.utterances)
    assert table["dialogue_id"].tolist() == ["7", "7"]
    assert table["label"].isna().all()
    assert table["text"].tolist() == ["x", ""]
    assert corpus.labels == ()
    assert any("hash" in note for note in corpus.facts["notes"])


def test_dialogues_without_split_always_go_the_same_way(tmp_path: Path) -> None:
    header = "dialogue_id,position,speaker,text"
    rows = [f"dialogue {number},{turn},a,x" for number in range(400) for turn in (0, 1)]
    first = manifest.read(write(tmp_path, *rows, header=header)).utterances.set_index("utterance_id")["split"]
    second = manifest.read(write(tmp_path, *rows[100:], header=header)).utterances.set_index("utterance_id")[
        "split"
    ]
    assert (first[second.index] == second).all()
    share = first.value_counts(normalize=True)
    assert share["train"] == pytest.approx(0.70, abs=0.07)
    assert share["val"] == pytest.approx(0.15, abs=0.07)


def test_positions_are_recounted_and_named(tmp_path: Path) -> None:
    corpus = manifest.read(write(tmp_path, "d,10,a,x,,l,train", "d,30,a,y,,l,train"))
    assert corpus.utterances["position"].tolist() == [0, 1]
    assert corpus.irregularities["kind"].tolist() == ["positions_recounted"]


def test_positions_of_many_dialogues_are_one_line(tmp_path: Path) -> None:
    rows = [f"d{number},{turn},a,x,,l,train" for number in range(30) for turn in (1, 2)]
    [row] = manifest.read(write(tmp_path, *rows)).irregularities.to_dict("records")
    assert row["where"] == "own.csv"
    assert row["detail"].startswith("in 30 of 30 dialogues: d0 (2 from 1 to 2), ")


def test_rows_without_dialogues_are_dialogues_of_their_own(tmp_path: Path) -> None:
    rows = ['ann,"Well, then.",glad,train', "bob,No.,calm,val", "ann,Yes.,glad,test"]
    corpus = manifest.read(write(tmp_path, *rows, header="speaker,text,label,split"))
    table = schemas.utterances.validate(corpus.utterances)
    assert table["utterance_id"].tolist() == table["dialogue_id"].tolist() == ["row2", "row3", "row4"]
    assert table["position"].tolist() == [0, 0, 0]
    assert corpus.irregularities.empty
    [note] = corpus.facts["notes"]
    assert "each row is a dialogue of its own" in note
    for half in ("dialogue_id", "position"):
        with pytest.raises(CorpusError, match=rf"is missing; name it, or leave out {half}, too"):
            manifest.read(write(tmp_path, "1,ann,x", header=f"{half},speaker,text"))


def test_a_quote_that_swallows_rows_is_found_without_positions_too(tmp_path: Path) -> None:
    rows = ['ann,"Well,glad,train', "bob,No.,calm,val", 'ann,Yes.",glad,test']
    with pytest.raises(CorpusError, match=r"row 2: a double quote opens a cell here"):
        manifest.read(write(tmp_path, *rows, header="speaker,text,label,split"))


def test_single_utterances_keep_a_speaker_in_one_split(tmp_path: Path) -> None:
    rows = [f"s{number % 10},text {number},{'glad' if number % 3 else 'calm'}" for number in range(200)]
    corpus = manifest.read(write(tmp_path, *rows, header="speaker,text,label"))
    table = corpus.utterances
    assert (table.groupby("speaker")["split"].nunique() == 1).all()
    assert table["split"].value_counts().to_dict() == {"train": 120, "val": 40, "test": 40}
    assert corpus.facts["split_by"] == "speaker"
    # Two speakers cannot be in three splits.
    two = manifest.read(
        write(tmp_path, *[f"s{n % 2},text {n},glad" for n in range(99)], header="speaker,text,label")
    )
    assert two.facts["split_by"] == "row"
    assert set(two.utterances["split"]) == {"train", "val", "test"}


def test_other_columns_are_offered_for_folds(tmp_path: Path) -> None:
    header = "dialogue_id,position,speaker,text,group,Site,empty"
    corpus = manifest.read(write(tmp_path, "d,0,a,x,old,north,", "d,1,b,y,,NA,", header=header))
    assert corpus.groupings == {"group": {"d_0": "old"}, "site": {"d_0": "north"}, "empty": {}}
    details = corpus.irregularities.set_index("where")["detail"]
    assert details["site"] == "not read, but folds may be made by it; 1 of 2 cells say something"


BINS = {"negative": (-3.0, 0.0), "neutral": 0.0, "positive": (0.0, 3.0)}


def test_ratings_become_the_classes_that_bins_name(tmp_path: Path) -> None:
    ratings = ["-3", "-0.2", "0", "0.0", "3.0", "1.3333", "", "7"]
    rows = [f"a,x,{rating},train" for rating in ratings]
    corpus = manifest.read(write(tmp_path, *rows, header="speaker,text,label,split"), None, BINS)
    labels = corpus.utterances["label"].fillna("none").tolist()
    assert labels == ["negative"] * 2 + ["neutral"] * 2 + ["positive"] * 2 + ["none"] * 2
    assert corpus.labels == ("negative", "neutral", "positive")
    outside = corpus.irregularities.set_index("kind").loc["outside_bins"]
    assert outside["detail"] == "1: 7 (row9)"
    with pytest.raises(CorpusError, match=r"row 2, column label: 'glad' is not a number, but ingestion.bins"):
        manifest.read(write(tmp_path, "a,x,glad,train", header="speaker,text,label,split"), None, BINS)


@pytest.mark.parametrize("cell", ["1_5", "inf", "-inf"])
def test_what_python_alone_takes_for_a_number_is_no_rating(tmp_path: Path, cell: str) -> None:
    bins = {"low": (None, 0.0), "high": (0.0, None)}
    with pytest.raises(CorpusError, match=r"is not a number, but ingestion\.bins"):
        manifest.read(write(tmp_path, f"a,x,{cell},train", header="speaker,text,label,split"), None, bins)


def test_a_number_has_one_class() -> None:
    with pytest.raises(ValueError, match="bins: calm and flat are the same number"):
        IngestionParameters(reader="manifest", raw="x.csv", bins={"calm": 0, "flat": 0.0})


def test_an_end_that_two_classes_share_is_of_the_one_that_begins_with_it(tmp_path: Path) -> None:
    bins = {"negative": (None, 0.0), "other": (0.0, None)}
    rows = [f"a,x,{rating},train" for rating in ("-0.2", "0", "99")]
    corpus = manifest.read(write(tmp_path, *rows, header="speaker,text,label,split"), None, bins)
    assert corpus.utterances["label"].tolist() == ["negative", "other", "other"]


def test_codes_of_classes_stay_classes(tmp_path: Path) -> None:
    rows = [f"a,x,{code},train" for code in (0, 1, 2, -1)]
    corpus = manifest.read(write(tmp_path, *rows, header="speaker,text,label,split"))
    assert corpus.labels == ("-1", "0", "1", "2")


def test_spans_of_a_shared_clip(tmp_path: Path) -> None:
    touch(tmp_path / "talk.mp4")
    touch(tmp_path / "alone.mp4")
    path = write(
        tmp_path,
        "d,0,a,x,talk.mp4,1.5,2.5",
        "d,1,a,y,talk.mp4,,",
        "d,2,a,z,alone.mp4,0,4",
        header="dialogue_id,position,speaker,text,clip,start_s,end_s",
    )
    corpus = manifest.read(path)
    table = schemas.utterances.validate(corpus.utterances)
    assert table["clip_start_s"].fillna(-1).tolist() == [1.5, -1, -1]
    assert table["end_s"].fillna(-1).tolist() == [2.5, -1, 4]
    assert corpus.irregularities[["kind", "where"]].to_numpy().tolist() == [
        ["shared_clip_without_times", "d_1"]
    ]


def test_spans_of_a_shared_wav(tmp_path: Path) -> None:
    for name in ("talk.wav", "alone.wav", "film.mp4"):
        touch(tmp_path / name)
    path = write(
        tmp_path,
        "d,0,a,x,,talk.wav,1,2",
        "d,1,a,y,,talk.wav,2,3",
        "d,2,a,z,,alone.wav,3,4",
        "e,0,a,z,film.mp4,shared.wav,0,1",
        "e,1,a,z,film.mp4,shared.wav,1,2",
        header="dialogue_id,position,speaker,text,clip,wav,start_s,end_s",
    )
    touch(tmp_path / "shared.wav")
    corpus = manifest.read(path)
    table = schemas.utterances.validate(corpus.utterances)
    assert [Path(c).name if isinstance(c, str) else None for c in table["clip"]] == [
        "talk.wav",
        "talk.wav",
        None,
        "film.mp4",
        "film.mp4",
    ]
    assert table["clip_start_s"].fillna(-1).tolist() == [1, 2, -1, 0, 1]
    assert table["wav"].notna().tolist() == [False, False, True, True, True]
    assert corpus.irregularities["kind"].tolist() == ["shared_wav", "shared_wav"]


def test_a_start_before_the_recording_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "d,0,a,x,-1,2", header="dialogue_id,position,speaker,text,start_s,end_s")
    with pytest.raises(CorpusError, match=r"row 2, column start_s: before the recording begins"):
        manifest.read(path)


def test_where_no_clip_is_there_they_are_named_together(tmp_path: Path) -> None:
    path = write(tmp_path, *(f"d,{turn},a,x,gone{turn}.mp4,l,train" for turn in range(12)))
    with pytest.raises(
        CorpusError, match=r"row 2, column clip: .*gone0.mp4; .*row 11.*; and 2 more.*leave the cell empty"
    ) as caught:
        manifest.read(path)
    assert "gone10" not in str(caught.value)


def test_a_missing_clip_among_others_is_listed_not_refused(tmp_path: Path) -> None:
    there = touch(tmp_path / "there.mp4")
    rows = ["d,0,a,x,there.mp4,l,train", "d,1,a,y,gone.mp4,l,train"]
    corpus = manifest.read(write(tmp_path, *rows))
    gone = str(tmp_path / "gone.mp4")
    assert corpus.utterances["clip"].tolist() == [str(there), gone]
    found = corpus.irregularities.to_numpy().tolist()
    assert found == [["missing_media", "d_1", f"clip: {gone}"]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["d,0,a,x,,l,train", "d,0,a,y,,l,train"], r"row 3, column utterance_id: 'd_0' is already in row 2"),
        (
            ["d,0,a,x,,l,train", "d,1,a,y,,l,test"],
            r"row 3, column split: dialogue d is test here and train in row 2",
        ),
        (["d,0,a,x,,l,holdout"], r"row 2, column split: 'holdout' is not a split; write train, val or test"),
        (["d,first,a,x,,l,train"], r"row 2, column position: 'first' is not a number"),
        (["d,0.5,a,x,,l,train"], r"row 2, column position: '0.5' is not a whole number"),
        (["d,nan,a,x,,l,train"], r"row 2, column position: 'nan' is not a number"),
        (["d,0,,x,,l,train"], r"row 2, column speaker: the cell is empty; fill it"),
        ([], r"no rows below the header"),
    ],
)
def test_bad_rows_are_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=r"own\.csv.*" + message):
        manifest.read(write(tmp_path, *rows))


def test_equal_positions_with_own_ids_are_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path, "u1,d,4,a,x", "u2,d,4,a,y", header="utterance_id,dialogue_id,position,speaker,text"
    )
    with pytest.raises(CorpusError, match=r"row 3, column position: 4 is already in row 2 of dialogue d"):
        manifest.read(path)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="column speaker, text is missing"):
        manifest.read(write(tmp_path, "d,0", header="dialogue_id,position"))
    broken = tmp_path / "own.parquet"
    broken.write_bytes(b"PAR1 not really")
    with pytest.raises(CorpusError, match="cannot be read as Parquet"):
        manifest.read(broken)
    with pytest.raises(CorpusError, match="name the manifest itself"):
        manifest.read(tmp_path)
    with pytest.raises(CorpusError, match="cannot be read"):
        manifest.read(tmp_path / "absent.csv")
    for beginning in (b"PK\3\4", b"\xd0\xcf\x11\xe0"):
        (tmp_path / "renamed.csv").write_bytes(beginning + bytes(range(256)))
        with pytest.raises(
            CorpusError, match="a spreadsheet or an archive, whatever its name; save the table"
        ):
            manifest.read(tmp_path / "renamed.csv")


def test_speakers_have_groups_and_one_in_two_is_in_none(tmp_path: Path) -> None:
    corpus = manifest.read(
        write(
            tmp_path,
            "d1,0,ann,a,,glad,train,young",
            "d1,1,ann,b,,glad,train,",
            "d1,2,bob,c,,glad,train,old",
            "d2,0,bob,d,,calm,val,young",
            "d2,1,cid,e,,calm,val,",
            header=f"{HEADER},group",
        )
    )
    assert corpus.facts["groups"] == {"name": "group", "of": {"ann": "young"}}
    found = corpus.irregularities.set_index("kind").loc["several_groups"]
    assert found["where"] == "bob"
    assert "old, young" in found["detail"]
    schemas.utterances.validate(corpus.utterances)


def test_names_that_no_file_has_are_listed_as_missing(tmp_path: Path) -> None:
    touch(tmp_path / "a.wav")
    names = ["a.wav", "a\0b.wav", "x" * 5000, "y/" * 3000]
    table = pd.DataFrame(
        {"dialogue_id": list("abcd"), "position": 0, "speaker": "s", "text": "t", "wav": names}
    )
    table.to_parquet(tmp_path / "own.parquet")
    corpus = manifest.read(tmp_path / "own.parquet")
    assert corpus.irregularities["kind"].tolist() == ["missing_media"] * 3
    assert corpus.irregularities["detail"].str.len().max() < 400
    corpus.irregularities.to_parquet(tmp_path / "kept.parquet")


@pytest.mark.parametrize("name", ["a\0b.csv", "x" * 400 + ".csv"])
def test_a_manifest_that_no_file_can_be_is_refused(name: str) -> None:
    with pytest.raises(CorpusError, match=r"cannot be read .*; name a text file"):
        manifest.read(Path(name))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "own.csv")
    with pytest.raises(CorpusError, match="a pipe or a device"):
        manifest.read(tmp_path / "own.csv")


def test_halves_of_characters_are_refused_with_their_row(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(HEADER.encode() + b"\nd,0,a,+2AA-,,l,train\n")
    with pytest.raises(CorpusError, match="row 2: control characters"):
        manifest.read(path, "utf-7")


def test_names_of_files_that_are_not_utf_8_are_listed(tmp_path: Path) -> None:
    odd = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    listed = irregularity_table([("clip_unplaced", odd, "")])
    assert listed["where"].tolist() == ["caf[U+DCE9].mp4"]


def test_folds_are_said_instead_of_the_splits_that_they_replace(tmp_path: Path) -> None:
    rows = [f"s{n % 4},text {n},{'glad' if n % 3 else 'calm'}" for n in range(40)]
    corpus = manifest.read(write(tmp_path, *rows, header="speaker,text,label"))
    assert any("No split column" in note for note in corpus.facts["notes"])
    notes = folded(corpus, ProtocolParameters(leave_one_out="speaker")).facts["notes"]
    assert not any("No split column" in note for note in notes)
    assert any("4 folds" in note for note in notes)
