"""Tables as the world writes them: each line and cell is found again, or the line that cannot be is named."""

import csv
import io
import random
import re
from pathlib import Path

import pandas as pd
import pytest

from erc_kedro import schemas
from erc_kedro.corpora import Corpus, CorpusError, iemocap, manifest, meld
from erc_kedro.corpora.delimited import csv_rows
from erc_kedro.corpora.tables import MISSING, SAID, alike
from tests.corpora.releases import MELD_HEADER, found, meld_row, rows_of, write_csv, write_iemocap, write_meld

HEADER = "dialogue_id,position,speaker,text,label,split"


def write(folder: Path, *rows: str, header: str = HEADER, end: str = "\n") -> Path:
    return save(folder, end.join([header, *rows, ""]).encode())


def save(folder: Path, content: bytes, name: str = "own.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def texts(corpus: Corpus) -> list[str]:
    return corpus.utterances["text"].tolist()


# Cells.


@pytest.mark.parametrize(
    ("rows", "line", "what"),
    [
        (["d,0,a,one,l,train", "d,1,a,Well, two,l,train"], 3, "7 cells where the header has 6; 'train'"),
        (["d,0,a,Well, one,l,train", "d,1,a,Well, two,l,train"], 2, r"1 later rows are refused"),
        # What an empty last cell hides: the text is cut at its comma, and its rest is the label.
        (["d,0,a,one,l,train", "d,1,a,Well, two,train,"], 3, "7 cells where the header has 6; an empty one"),
        (["d,0,a,one,l,train", "d,1,a,two,l"], 3, "5 cells where the header has 6; column split is missing"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(tmp_path: Path, rows: list[str], line: int, what: str) -> None:
    with pytest.raises(CorpusError, match=rf"own\.csv, row {line}: .*{what}"):
        manifest.read(write(tmp_path, *rows))


def test_meld_s_rows_must_fit_too(tmp_path: Path) -> None:
    write_meld(tmp_path)
    bare = meld_row(0, 1, "Well, two.").replace('"Well, two."', "Well, two.")
    write_csv(tmp_path / "train_sent_emo.csv", [meld_row(0, 0), bare])
    with pytest.raises(CorpusError, match=r"train_sent_emo\.csv, row 3: 12 cells where the header has 11"):
        meld.read(tmp_path)


@pytest.mark.parametrize("header", [HEADER, f"{HEADER},,"])
def test_empty_cells_at_the_end_of_each_row_are_nothing(tmp_path: Path, header: str) -> None:
    path = write(tmp_path, "d,0,a,one,l,train,,", ",,,,,,,", "d,1,a,two,l,train,,", header=header)
    corpus = manifest.read(path)
    assert texts(corpus) == ["one", "two"]
    assert corpus.facts["tables"] == {
        "own.csv": {"lines": 4, "header": 1, "rows": 2, "continued": 0, "blank": 1}
    }


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (f"{HEADER},Text", "row 1: columns 4 and 7 are both called text"),
        (HEADER.replace("speaker", "speaker,"), "row 1: column 4 has no name"),
    ],
)
def test_columns_that_cannot_be_told_apart_are_refused(tmp_path: Path, header: str, what: str) -> None:
    with pytest.raises(CorpusError, match=what):
        manifest.read(write(tmp_path, "d,0,a,x,one,l,train", header=header))


def test_columns_that_are_not_read_are_listed(tmp_path: Path) -> None:
    header = HEADER.replace("label", "lable")
    corpus = manifest.read(write(tmp_path, "0,d,0,a,one,glad,train", header=f",{header}"))
    unused = corpus.irregularities.query("kind == 'unused_column'")
    assert unused["where"].tolist() == ["column 1, without a name", "lable"]
    assert "1 of 1 cells" in unused["detail"].iloc[1]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("sep", [False, True])
def test_other_delimiters_are_read_as_the_header_has_them(tmp_path: Path, delimiter: str, sep: bool) -> None:
    rows = [HEADER, "d,0,a,one,l,train", 'd,1,a,"two#",l,train']
    content = "\n".join(rows).replace(",", delimiter).replace("#", f"{delimiter} three, four")
    path = save(tmp_path, (f"sep={delimiter}\n" * sep + content).encode(), "own.tsv")
    corpus = manifest.read(path)
    assert texts(corpus) == ["one", f"two{delimiter} three, four"]
    assert corpus.facts["tables"]["own.tsv"]["header"] == 1 + sep


# Quotes.


@pytest.mark.parametrize(
    "rows",
    [
        # To the end of the file, and to a quote within a later cell.
        ['d,1,a,"two,l,train', "d,2,a,three,l,train"],
        ['d,1,a,"two,l,train', 'd,2,a,"three, four",l,train'],
        # To a quote that ends a later cell, so that rows vanish within one of the right number of cells.
        ['d,1,a,"two,l,train', 'd,2,a,three",l,train'],
        ['d,1,a,"two,l,train', "d,2,a,three,l,train", 'd,3,a,"",l,train', 'd,4,a,five",l,train'],
        ['d,1,a,"two" she said,l,train', "d,2,a,three,l,train"],
    ],
)
def test_a_quote_that_does_not_close_is_named_where_it_opens(tmp_path: Path, rows: list[str]) -> None:
    with pytest.raises(CorpusError, match=r"own\.csv, row 3: .*a double quote opens a cell here"):
        manifest.read(write(tmp_path, "d,0,a,one,l,train", *rows))


def test_a_swallowed_row_is_told_where_the_text_comes_first(tmp_path: Path) -> None:
    header = "text,dialogue_id,position,speaker"
    path = write(tmp_path, '"one,d,0,a', 'Well, two",d,1,a', "three,d,2,a", header=header)
    with pytest.raises(CorpusError, match="row 2: a double quote opens a cell here and closes in row 3"):
        manifest.read(path)
    path = write(tmp_path, '"one,', 'and, well, two",d,0,a', "three,d,2,a", header=header)
    assert texts(manifest.read(path)) == ["one,\nand, well, two", "three"]


def test_texts_of_several_lines_are_read_and_their_lines_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'd,0,a,"First, a line.',
        "",
        'Then, well, yes, no, so, another.",l,train',
        'd,1,a,"ends in ""quotes""",l,train',
        "d,2,a,5\" and it's,l,train",
    )
    corpus = manifest.read(path)
    assert texts(corpus) == [
        "First, a line.\n\nThen, well, yes, no, so, another.",
        'ends in "quotes"',
        "5\" and it's",
    ]
    counts = {"lines": 6, "header": 1, "rows": 3, "continued": 2, "blank": 0}
    assert corpus.facts["tables"] == {"own.csv": counts}
    with pytest.raises(CorpusError, match="row 7, column position: 'x' is not a number"):
        manifest.read(save(tmp_path, path.read_bytes() + b"d,x,a,four,l,train\n"))


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_quotes_that_a_backslash_marks_are_read(tmp_path: Path, quoting: int) -> None:
    said = ['He said "yes, well"', '"Oh," she said', "C:\\new\\", 'ends in "quotes"', r"¯\_(ツ)_/¯", "plain"]
    file = io.StringIO()
    writer = csv.writer(file, doublequote=False, escapechar="\\", quoting=quoting)
    writer.writerow(HEADER.split(","))
    writer.writerows(["d", turn, "a", text, "l", "train"] for turn, text in enumerate(said))
    corpus = manifest.read(save(tmp_path, file.getvalue().encode()))
    assert texts(corpus) == said
    assert corpus.irregularities["kind"].tolist() == ["backslash_quotes"]
    assert corpus.irregularities["detail"].tolist() == ["in 5 rows: 2, 3, 4, 5, 6"]


def test_a_backslash_before_a_closing_quote_is_part_of_the_text(tmp_path: Path) -> None:
    path = write(tmp_path, 'd,0,a,"in C:\\clips\\",l,train', r"d,1,a,a\b,l,train")
    corpus = manifest.read(path)
    assert texts(corpus) == ["in C:\\clips\\", r"a\b"]
    assert corpus.irregularities.empty


def test_a_backslash_that_could_mean_two_things_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "d,0,a,one,l,train", r'd,1,a,"two \", three",train')
    with pytest.raises(CorpusError, match=r"row 3: .*may be a quote or end a cell"):
        manifest.read(path)


# Encodings.

RUSSIAN, CHINESE, JAPANESE = "Мне очень грустно", "对不起我很难过", "ごめんなさい、悲しいです"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "cp1251"),
        (CHINESE, "gbk"),
        (CHINESE, "gb18030"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "iso2022_jp"),
        ("Żal mi", "cp1250"),
        ("Ça va “bien” – è così", "cp1252"),
        (RUSSIAN, "utf-16-le"),
        ("plain", "utf-16-be"),
    ],
)
def test_what_is_not_utf_8_is_read_as_it_is_said_to_be_and_else_refused(
    tmp_path: Path, text: str, encoding: str
) -> None:
    content = "\r\n".join([HEADER, "d,0,a,plain,l,train", f"d,1,a,{text},l,train", ""]).encode(encoding)
    path = save(tmp_path, content)
    assert texts(manifest.read(path, encoding)) == ["plain", text]
    row = 1 if encoding.startswith("utf-16") else 3
    with pytest.raises(CorpusError, match=rf"own\.csv, row {row}: .*ingestion\.encoding"):
        manifest.read(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("said", [None, "cp1252"])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str, said: str | None) -> None:
    content = f"{HEADER}\nd,0,a,{CHINESE}\u010a\u0a0d,l,train\n".encode(encoding)
    assert texts(manifest.read(save(tmp_path, content), said)) == [f"{CHINESE}\u010a\u0a0d"]
    broken = content[:-1] if encoding != "utf-8-sig" else content.replace(b"train", b"tr\xffain")
    path = save(tmp_path, broken)
    with pytest.raises(CorpusError, match=r"row 2: not UTF-\d+, as the file's byte-order mark says"):
        manifest.read(path, said)


def test_a_wrong_encoding_is_refused_by_line_and_an_unknown_one_by_name(tmp_path: Path) -> None:
    path = save(tmp_path, f"{HEADER}\r\n\r\nd,0,a,{RUSSIAN},l,train\r\n".encode("cp1251"))
    with pytest.raises(CorpusError, match=r"row 3: not shift_jis, as ingestion\.encoding says"):
        manifest.read(path, "shift_jis")
    for unknown in ("cp12525", "base64"):
        with pytest.raises(CorpusError, match=rf"ingestion\.encoding: .*{unknown}"):
            manifest.read(path, unknown)


def test_a_release_s_stray_cp1252_is_read_but_not_another_script(tmp_path: Path) -> None:
    write_meld(tmp_path)
    path = tmp_path / "dev_sent_emo.csv"
    rows = [MELD_HEADER, meld_row(0, 0, "It’s “so” déjà vu…"), meld_row(0, 1, "plain")]
    path.write_bytes("\r".join(rows).encode("cp1252"))
    corpus = meld.read(tmp_path)
    assert rows_of(corpus)["dev_dia0_utt0"]["text"] == 'It\'s "so" déjà vu…'
    assert found(corpus, "cp1252_bytes") == ["dev_sent_emo.csv, row 2"]
    for text, encoding in ((RUSSIAN, "cp1251"), (CHINESE, "gbk"), (JAPANESE, "shift_jis")):
        path.write_bytes("\r".join([rows[0], rows[2], meld_row(0, 2, text)]).encode(encoding))
        with pytest.raises(CorpusError, match=r"dev_sent_emo\.csv, row 3: .*ingestion\.encoding"):
            meld.read(tmp_path)
        assert text in texts(meld.read(tmp_path, encoding))


def test_iemocap_is_read_in_the_encoding_it_is_said_to_have(tmp_path: Path) -> None:
    root = write_iemocap(tmp_path, {"Ses01F_impro01": [("F000", 1.0, 2.0, "neu")]})
    (path,) = root.rglob("transcriptions/*.txt")
    content = re.sub(rb": .*", f": {RUSSIAN}".encode("cp1251"), path.read_bytes())
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"Ses01F_impro01\.txt, row 1: .*ingestion\.encoding"):
        iemocap.read(tmp_path)
    path.write_bytes(content.decode("cp1251").encode("utf-16"))
    assert texts(iemocap.read(tmp_path)) == [RUSSIAN]


def test_what_another_program_lost_is_listed(tmp_path: Path) -> None:
    corpus = manifest.read(write(tmp_path, "d,0,a,d\ufffdj\ufffd vu,l,train", "d,1,a,\u4f60,l,train"))
    assert corpus.irregularities.to_numpy().tolist() == [["lost_characters", "d_0", "2 characters"]]


# Lines.


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_only_line_ends_end_lines(tmp_path: Path, end: str) -> None:
    odd = "a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i"
    path = write(tmp_path, f"d,0,a,{odd},l,train", "d,1,a,two,l,train", "d,x,a,three,l,train", end=end)
    with pytest.raises(CorpusError, match="row 4, column position"):
        manifest.read(path)
    assert texts(manifest.read(write(tmp_path, f"d,0,a,{odd},l,train", end=end))) == [odd]


def test_a_very_long_cell_is_read(tmp_path: Path) -> None:
    long = "word " * 60_000 + "end"
    assert texts(manifest.read(write(tmp_path, f"d,0,a,{long},l,train"))) == [long]


def test_nul_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="row 3: control characters that no text has"):
        manifest.read(write(tmp_path, "d,0,a,one,l,train", "d,1,a,t\0wo,l,train"))


# Missing values.


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


# Names.


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


# Parquet.


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


# All of it at once.

TEXTS = (
    *(
        "plain",
        "Well, yes, no",
        'She said "no"',
        '"Quoted"',
        "two\nlines",
        "well,\r\nyes, no, so, and, more, 7",
    ),
    *("ends in \\", r"a\b \_(", "a;b\tc|d", '5" tall', "\x0c\x85\u2028", "¿qué?", CHINESE, "NA", "None", ""),
    *(
        "blank\n\n\nlines",
        "x" * 300,
        "'single'",
        "=1+2",
        '"',
        '""',
        ",",
        ",,,,,,,,",
        "# no comment",
        "“curly, yes”",
    ),
)
FAULTS = ("extra", "missing", "opens", "opens and closes", "never closes", "byte", "nul", "position")
WRONG_BYTE = "\ue000"


def generate(draw: random.Random) -> tuple[bytes, str | None, list[dict[str, str]], set[int], dict[str, int]]:
    """A table with irregularities at random.

    Returns:
        its bytes, the encoding to say, the rows as they are meant, the lines that are wrong, and its lines by
        kind.
    """
    names = HEADER.split(",") + ["notes"] * draw.choice([0, 1])
    draw.shuffle(names)
    delimiter = draw.choice(",,,;\t|")
    end = draw.choice(["\n", "\r\n", "\r"])
    encodings = {"utf-8": None, "utf-8-sig": None, "utf-16": None, "utf-32": None, "gb18030": "gb18030"}
    encoding = draw.choice(list(encodings))
    every = {"quoting": csv.QUOTE_ALL}
    style = draw.choice([{}, every, {**every, "doublequote": False, "escapechar": "\\"}])
    trailing = delimiter * draw.choice([0, 0, 0, 2])

    def joined(cells: list[str]) -> str:
        file = io.StringIO(newline="")
        csv.writer(file, delimiter=delimiter, lineterminator="\r\n", **style).writerow(cells)
        return file.getvalue().removesuffix("\r\n")

    rows = [
        {
            "dialogue_id": f"d{number // 4}",
            "position": str(number % 4),
            # Without a quote, nothing tells whether a backslash is written twice.
            "speaker": draw.choice(["Ann", "Bo, Dr.", 'C "Cy" D']) if number else 'C "Cy" D',
            "text": draw.choice(TEXTS),
            "label": draw.choice(["glad", "sad", "a|b", "", "NA"]),
            "split": "train",
            "notes": draw.choice(TEXTS),
        }
        for number in range(draw.randint(2, 12))
    ]
    wrong: set[int] = set()
    counts = dict.fromkeys(("lines", "header", "rows", "continued", "blank"), 0)
    lines = [f"sep={delimiter}"] * draw.choice([0, 0, 0, 1])
    lines.append(joined([draw.choice([name, f" {name.upper()} "]) for name in names]) + trailing)
    counts["header"] = len(lines)
    opened = False
    for row in rows:
        while draw.random() < 0.1:
            counts["blank"] += 1
            lines.append(draw.choice(["", "  ", delimiter * (len(names) - 1) + trailing]))
        cells = [row[name] for name in names]
        # As somebody writes who does not know of quotes.
        alone = [joined([cell]) if cell else "" for cell in cells]
        at = names.index("text")
        fault = draw.choice(FAULTS) if draw.random() < 0.05 else None
        line = joined(cells)
        if opened:
            fault, line = "closes", delimiter.join([*alone[:at], 'no"', *alone[at + 1 :]])
        elif fault == "extra":
            line += f"{delimiter}more"
        elif fault == "missing":
            line = joined(cells[:-1])
        elif fault == "position":
            line = joined(["x" if name == "position" else row[name] for name in names])
        elif fault == "opens":
            at = draw.randrange(len(cells))
            said = " ".join(cells[at].split()).rstrip('"')
            line = delimiter.join([*alone[:at], f'"oh {said}', *alone[at + 1 :]])
        elif fault == "opens and closes":
            line = delimiter.join([*alone[:at], '"oh', *alone[at + 1 :]])
        elif fault == "never closes":
            line = f'{joined(cells[:-1])}{delimiter}"never'
        elif fault == "nul":
            line += "\0"
        elif fault == "byte" and encoding.startswith("utf-8"):
            line = WRONG_BYTE + line
        elif fault == "byte":
            fault = None
        opened = fault == "opens and closes"
        start, own = sum(counts.values()) + 1, len(list(io.StringIO(line, newline="")))
        counts["rows"] += 1
        counts["continued"] += own - 1
        lines.append(line + trailing)
        wrong |= set(range(start, start + own)) if fault else set()
    counts["lines"] = sum(counts.values())
    content = end.join([*lines, ""]).encode(encoding)
    return content.replace(WRONG_BYTE.encode(), b"\xff"), encodings[encoding], rows, wrong, counts


@pytest.mark.parametrize("seed", range(200))
def test_each_row_and_cell_is_found_again_or_a_bad_line_is_named(tmp_path: Path, seed: int) -> None:
    content, said, rows, wrong, counts = generate(random.Random(seed))
    path = save(tmp_path, content)
    if wrong:
        with pytest.raises(CorpusError) as refused:
            manifest.read(path, said)
        assert int(re.search(r"row (\d+)", str(refused.value))[1]) in wrong
        return
    corpus = manifest.read(path, said)
    assert corpus.facts["tables"] == {"own.csv": counts}
    table = corpus.utterances.set_index("utterance_id")
    assert len(table) == len(rows)
    listed = corpus.irregularities.set_index("kind")["detail"]
    gone = 0
    for row in rows:
        read = table.loc[f"{row['dialogue_id']}_{row['position']}"]
        for column in ("dialogue_id", "speaker", "text", "label", "split"):
            meant = row[column].strip()
            if meant in MISSING and not (column == "text" and meant in SAID):
                gone += 1
                meant = ""
            assert (read[column] if isinstance(read[column], str) else "") == meant
    assert gone == sum(
        int(re.search(r"in (\d+) rows", detail)[1]) for detail in listed.get(["missing_value"], [])
    )
    if any("notes" in cells for _, cells in csv_rows(path, HEADER.split(","), "position", said).rows):
        assert "unused_column" in listed.index
