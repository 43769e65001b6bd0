"""What a manifest's cells say, of text and Parquet: missing values, names that look alike, nested values."""

from pathlib import Path

import pandas as pd
import pytest

from erc_kedro import schemas
from erc_kedro.corpora import CorpusError, manifest
from erc_kedro.corpora.tables import alike
from tests.corpora.written import texts, write


@pytest.mark.parametrize("marker", ["NA", "N/A", "nan", "NaN", "None", "null", "NULL", "<NA>", "#N/A"])
def test_markers_of_missing_values_are_no_values(tmp_path: Path, marker: str) -> None:
    header = "utterance_id,dialogue_id,position,speaker,text,label,clip,wav,start_s,end_s,group"
    row = f"{marker},d,0,a,one,{','.join([marker] * 6)}"
    corpus = manifest.read(write(tmp_path, row, "u,d,1,a,two,none,,,,,", header=header))
    table = schemas.utterances.validate(corpus.utterances)
    assert corpus.labels == ("none",)
    assert table["utterance_id"].tolist() == ["d_0", "u"]
    assert table.loc[0, ["label", "clip", "wav", "start_s", "end_s"]].isna().all()
    assert corpus.facts["groups"]["of"] == {}
    listed = corpus.irregularities.query("kind == 'missing_value'")
    assert len(listed) == 7
    assert set(listed["detail"]) == {f"{marker!r} in 1 rows: 2"}


@pytest.mark.parametrize("column", ["dialogue_id", "speaker"])
def test_a_missing_value_where_one_is_needed_is_refused(tmp_path: Path, column: str) -> None:
    row = "d,0,a,one,l,train".replace("d" if column == "dialogue_id" else "a", "NA", 1)
    with pytest.raises(CorpusError, match=rf"row 2, column {column}: 'NA' stands for a missing value"):
        manifest.read(write(tmp_path, row))


def test_a_text_that_may_have_been_said_is_kept_and_listed(tmp_path: Path) -> None:
    said = ["NA", "nan", "None", "null", "None.", "none", "Nan"]
    path = write(tmp_path, *(f"d,{turn},a,{text},l,train" for turn, text in enumerate(said)))
    corpus = manifest.read(path)
    assert texts(corpus) == ["", "", "None", "null", "None.", "none", "Nan"]
    kinds = corpus.irregularities["kind"].value_counts().to_dict()
    assert kinds == {"missing_value": 2, "missing_value_as_text": 2, "empty_text": 2}


@pytest.mark.parametrize(
    "other",
    ["happy", "HAPPY", "Hap py", "Happy\u200b", "\u2060Happy", "Ｈａｐｐｙ"],
)
def test_classes_that_look_alike_are_refused(tmp_path: Path, other: str) -> None:
    rows = [f"d,{turn},a,x,{label},train" for turn, label in enumerate(["sad", "Happy", other, "Happy"])]
    with pytest.raises(CorpusError, match=r"column label: 'Happy' \(2, first in row 3\) and .* row 4\)"):
        manifest.read(write(tmp_path, *rows))


@pytest.mark.parametrize("other", ["1.0", "01", "1.", '"1,0"', "+1"])
def test_classes_that_are_one_number_are_refused(tmp_path: Path, other: str) -> None:
    rows = [f"d,{turn},a,x,{label},train" for turn, label in enumerate(["10", "-1", "1", other, "0.1", "1"])]
    with pytest.raises(CorpusError, match=r"column label: '1' \(2, first in row 4\) and .* are one number"):
        manifest.read(write(tmp_path, *rows))


def test_classes_that_hardly_differ_are_listed(tmp_path: Path) -> None:
    names = ["very_sad", "very-sad", "'very sad'", "C", "C++", "-1", "1", "10", "1.5", "😀", "😢", "-", "."]
    path = write(tmp_path, *(f"d,{turn},a,x,{name},train" for turn, name in enumerate(names)))
    corpus = manifest.read(path)
    assert set(corpus.labels) == set(names)
    (listed,) = corpus.irregularities.query("kind == 'names_alike'").to_numpy().tolist()
    assert listed[1] == "column label"
    assert all(f"{name!r} in 1 rows" in listed[2] for name in names[:3])


def test_where_semicolons_part_cells_a_comma_is_the_decimal_sign(tmp_path: Path) -> None:
    header = "dialogue_id;position;speaker;text;start_s;end_s"
    path = write(tmp_path, "d;0;a;1,5 of them;0,25;1,5", "d;1;a;x;2;3,125", header=header)
    table = manifest.read(path).utterances
    assert table[["start_s", "end_s"]].to_numpy().tolist() == [[0.25, 1.5], [2, 3.125]]
    assert table["text"].iloc[0] == "1,5 of them"
    # Elsewhere it may part thousands.
    with pytest.raises(CorpusError, match=r"row 2, column end_s: '1,500' is not a number"):
        manifest.read(write(tmp_path, 'd,0,a,x,0,"1,500"', header=header.replace(";", ",")))


def test_other_names_that_look_alike_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path, "d,0,Zoe\u0308,x,l,train", "d,1,Zo\u00eb,y,l,train", "D ,0,Bo,z,l,train")
    listed = manifest.read(path).irregularities.query("kind == 'names_alike'")
    assert listed["where"].tolist() == ["column dialogue_id", "column speaker"]
    assert "'d' in 2 rows: 2, 3; 'D' in 1 rows: 4" in listed["detail"].tolist()


@pytest.mark.parametrize(
    "names", [["😀", "😢"], ["👋🏽", "👋"], ["a|b", "a/b", "a.b"], ["neutral", "neutral."], ["🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"]]
)
def test_names_that_differ_are_not_taken_for_one(names: list[str]) -> None:
    assert alike((name, 1) for name in names) == []


def test_a_label_that_nobody_can_see_is_none(tmp_path: Path) -> None:
    corpus = manifest.read(write(tmp_path, "d,0,a,x,\u200b,train", "d,1,a,\u200b,l,train"))
    assert corpus.labels == ("l",)
    assert corpus.irregularities["kind"].tolist() == ["missing_value", "empty_text"]


def test_parquet_s_cells_are_read_as_those_of_text(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    pd.DataFrame(
        {
            "dialogue_id": [7.0, 7.0, None],
            "position": [0.0, 1.0, None],
            "speaker": [True, False, None],
            "text": ["one", "NA", None],
            "label": [1.0, None, None],
            "mood": ["x", None, None],
        }
    ).to_parquet(path)
    corpus = manifest.read(path)
    table = corpus.utterances
    assert table["utterance_id"].tolist() == ["7_0", "7_1"]
    assert table["speaker"].tolist() == ["True", "False"]
    assert texts(corpus) == ["one", ""]
    assert corpus.labels == ("1",)
    assert set(corpus.irregularities["kind"]) == {"missing_value", "unused_column", "empty_text"}
    counts = {"lines": 3, "header": 0, "rows": 2, "continued": 0, "blank": 1}
    assert corpus.facts["tables"] == {"own.parquet": counts}


@pytest.mark.parametrize("cell", [["one", "two"], {"said": "one"}, b"one"])
def test_parquet_s_nested_cells_are_refused(tmp_path: Path, cell: object) -> None:
    path = tmp_path / "own.parquet"
    rows = {"dialogue_id": ["d", "d"], "position": [0, 1], "speaker": ["a", "a"], "text": [None, cell]}
    pd.DataFrame(rows).to_parquet(path)
    with pytest.raises(CorpusError, match="row 2, column text: a cell of type"):
        manifest.read(path)


def test_parquet_s_index_is_a_column_and_its_names_differ(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    table = pd.DataFrame({"dialogue_id": ["d"], "position": [0], "speaker": ["a"], "text": ["one"]})
    table.set_index("dialogue_id").to_parquet(path)
    assert texts(manifest.read(path)) == ["one"]
    table.assign(Text="two").to_parquet(path)
    with pytest.raises(CorpusError, match="several columns are called text"):
        manifest.read(path)
