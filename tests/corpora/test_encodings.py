"""Texts in the encodings of the world: read as they are said to be, else refused by line."""

import re
from pathlib import Path

import pytest

from erc_kedro.corpora import CorpusError, iemocap, manifest, meld
from tests.corpora.releases import MELD_HEADER, found, meld_row, rows_of, write_iemocap, write_meld
from tests.corpora.written import CHINESE, HEADER, JAPANESE, RUSSIAN, save, texts, write


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
