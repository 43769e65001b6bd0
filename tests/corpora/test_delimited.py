"""Tables as the world writes them: each line and cell is found again, or the line that cannot be is named."""

import csv
import io
import random
import re
from pathlib import Path

import pytest

from erc_kedro.corpora import CorpusError, manifest, meld
from erc_kedro.corpora.delimited import csv_rows
from erc_kedro.corpora.tables import MISSING, SAID
from tests.corpora.releases import meld_row, write_csv, write_meld
from tests.corpora.written import CHINESE, HEADER, save, texts, write


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
