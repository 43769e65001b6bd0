import pickle
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow
import pyarrow.parquet
import pytest

from erc_kedro.corpora import CorpusError, published
from erc_kedro.corpora.published import apart, limits
from tests.corpora.vectors import BY_NUMBER, EXPECTED, community, dump, vectors, wide


def test_parquet_by_id_with_absent_and_broken_rows(tmp_path: Path, talk: pd.DataFrame) -> None:
    table = pd.DataFrame({"utterance_id": list(EXPECTED)[1:], "vector": list(EXPECTED.values())[1:]})
    table.at[0, "vector"] = [np.nan, 1.0]
    table.at[1, "vector"] = [1e300, 1.0]
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "f.parquet")
    read = published.read(tmp_path / "f.parquet", talk, "audio")
    assert read["utterance_id"].tolist() == talk["utterance_id"].tolist()
    assert read["reason"].tolist()[:3] == ["not_in_file", "not_finite", "not_finite"]
    assert vectors(read) == dict(list(EXPECTED.items())[3:])
    assert all((vector == 0).all() for vector in read.loc[~read["present"], "vector"])


def test_a_row_without_a_vector_is_an_absent_one(tmp_path: Path, talk: pd.DataFrame) -> None:
    """An utterance that shows no face is often written so; it ended the corpus as of another length."""
    table = pd.DataFrame({"utterance_id": list(EXPECTED), "vector": list(EXPECTED.values())})
    table.at[0, "vector"] = None
    table.to_parquet(tmp_path / "f.parquet")
    read = published.read(tmp_path / "f.parquet", talk, "audio")
    assert read["reason"].tolist() == ["not_in_file", *["ok"] * (len(talk) - 1)]
    assert vectors(read) == dict(list(EXPECTED.items())[1:])


def test_parquet_of_columns_by_dialogue_and_position(tmp_path: Path, talk: pd.DataFrame) -> None:
    table = talk[["dialogue_id", "position"]].assign(a=range(7), b=0.5).sample(frac=1, random_state=1)
    table.to_parquet(tmp_path / "f.parquet")
    read = vectors(published.read(tmp_path / "f.parquet", talk, "audio"))
    assert list(read.values()) == [[number, 0.5] for number in range(7)]


def test_keys_in_the_index_of_a_table_count(tmp_path: Path, talk: pd.DataFrame) -> None:
    table = talk[["utterance_id", "dialogue_id", "position"]].assign(mfcc_0=np.arange(7.0))
    for keys in ("utterance_id", ["dialogue_id", "position"]):
        kept = table.set_index(keys)[["mfcc_0"]].sample(frac=1, random_state=1)
        kept.to_parquet(tmp_path / "f.parquet")
        read = published.read(tmp_path / "f.parquet", talk, "audio")
        assert read.attrs["columns"] == ["mfcc_0"]
        assert np.concatenate(read["vector"].tolist()).tolist() == list(range(7))


def test_what_is_taken_of_a_file_is_named(tmp_path: Path, talk: pd.DataFrame) -> None:
    path = wide(tmp_path, talk, "label")
    table = pd.read_parquet(path)
    lists = [[1.0, 2.0]] * len(table)
    table.assign(vector=lists, other=lists).to_parquet(path)
    attrs = published.read(path, talk, "audio").attrs
    assert attrs == {"part": "the column vector", "columns": [], "left_out": ["said", "label", "other"]}
    assert published.read(path, talk, "audio", "other").attrs["part"] == "the column other"
    # Beside lists, numbers are not taken for the features.
    table.assign(embedding=lists).to_parquet(path)
    with pytest.raises(
        CorpusError, match=r"no column vector, but lists in embedding; name it in features\.audio"
    ):
        published.read(path, talk, "audio")
    content = community(BY_NUMBER, BY_NUMBER, BY_NUMBER)["SDT"]
    assert published.read(dump(tmp_path / "f.pkl", content), talk, "audio").attrs["part"] == "the field 7"
    arrays = {"utterance_id": np.array(list(EXPECTED)), "vectors": np.array(list(EXPECTED.values()))}
    np.savez(tmp_path / "f.npz", **arrays, label=np.arange(len(EXPECTED)))
    attrs = published.read(tmp_path / "f.npz", talk, "audio").attrs
    assert (attrs["part"], attrs["left_out"]) == ("the array vectors", ["label"])


def test_npz_of_both_kinds(tmp_path: Path, talk: pd.DataFrame) -> None:
    np.savez(tmp_path / "a.npz", **{name: np.array(vector) for name, vector in EXPECTED.items()})
    assert vectors(published.read(tmp_path / "a.npz", talk, "visual")) == EXPECTED
    arrays = {"utterance_id": np.array(list(EXPECTED)), "vectors": np.array(list(EXPECTED.values()))}
    np.savez(tmp_path / "b.npz", **arrays)
    assert vectors(published.read(tmp_path / "b.npz", talk, "visual")) == EXPECTED
    np.savez(tmp_path / "c.npz", **{**arrays, "vectors": arrays["vectors"].astype(object)})
    with pytest.raises(CorpusError, match="cannot be read as an npz of plain arrays"):
        published.read(tmp_path / "c.npz", talk, "visual")


def npy(shape: str, content: bytes, kind: str = "<f8") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


TOO_MUCH = r"it says that it holds [\d,]+ bytes, and [\d,]+ are allowed for a file of [\d,]+\. Write it again"


@pytest.mark.parametrize(
    ("array", "packed", "message"),
    [
        (npy("(10000000000,)", b"abc"), zipfile.ZIP_STORED, r"shape \(10000000000\) has 3 bytes"),
        (npy("(1000000000, 0)", b""), zipfile.ZIP_STORED, r"shape \(1000000000, 0\) has 0 bytes"),
        (npy("(-1,)", bytes(8)), zipfile.ZIP_STORED, "is not an array of numbers"),
        (npy("(1,)", bytes(8), "|O"), zipfile.ZIP_STORED, "an array of the type"),
        (npy("(1,)", bytes(8), "<c8"), zipfile.ZIP_STORED, "an array of the type"),
        (npy("(1,)", bytes(8)), zipfile.ZIP_LZMA, "packed in a way that NumPy does not write"),
        (pickle.dumps([1.0]), zipfile.ZIP_STORED, "is not an array of numbers"),
    ],
)
def test_a_hostile_npz_is_refused(
    tmp_path: Path, talk: pd.DataFrame, array: bytes, packed: int, message: str
) -> None:
    with zipfile.ZipFile(tmp_path / "f.npz", "w", packed) as archive:
        archive.writestr("train_dia0_utt0.npy", array)
    with pytest.raises(CorpusError, match=rf"f\.npz: .*{message}"):
        published.read(tmp_path / "f.npz", talk, "audio")


def test_an_npz_that_says_that_it_is_large_is_refused(tmp_path: Path, talk: pd.DataFrame) -> None:
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        archive.writestr("train_dia0_utt0.npy", npy("(1,)", bytes(8)))
        archive.infolist()[0].file_size = 2**40
    with pytest.raises(CorpusError, match=rf"f\.npz: {TOO_MUCH}"):
        published.read(tmp_path / "f.npz", talk, "audio")


def test_names_in_an_npz_are_names_only(tmp_path: Path, talk: pd.DataFrame) -> None:
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        for name in ("../train_dia0_utt0", "/train_dia0_utt0", "train_dia0_utt3"):
            archive.writestr(f"{name}.npy", npy("(1,)", bytes(8)))
    assert vectors(published.read(tmp_path / "f.npz", talk, "audio")) == {"train_dia0_utt3": [0]}
    assert [*tmp_path.parent.glob("*.npy")] == []
    with zipfile.ZipFile(tmp_path / "f.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("train_dia0_utt3.npy", npy("(1,)", bytes(8)))
    with pytest.raises(CorpusError, match=r"train_dia0_utt3\.npy is there twice"):
        published.read(tmp_path / "f.npz", talk, "audio")


MANY = 2**20


def repeated(text: str, times: int) -> pyarrow.DictionaryArray:
    return pyarrow.DictionaryArray.from_arrays(np.zeros(times, "i4"), [text])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"utterance_id": repeated("a", 2**17)} | {f"m{n}": np.zeros(2**17) for n in range(9)}, TOO_MUCH),
        (
            {"utterance_id": ["a"], "vector": pyarrow.ListArray.from_arrays([0, MANY], np.zeros(MANY, "i1"))},
            TOO_MUCH,
        ),
        (
            {"utterance_id": repeated("a" * 2**20, 1000), "m": np.zeros(1000)},
            "utterance_id has a value of 1,048,576 bytes, and 1,000 are allowed",
        ),
        ({"utterance_id": [b"a"], "m": [1.0]}, "utterance_id is neither text nor a number, but binary"),
        ({"utterance_id": ["a"], "vector": [{"a": 1}]}, "the column vector is not a vector of numbers"),
    ],
)
def test_a_hostile_parquet_is_refused(
    tmp_path: Path, talk: pd.DataFrame, columns: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_MOST_BYTES_OF_A_SMALL_FILE", 2**20)
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "f.parquet", compression="zstd")
    with pytest.raises(CorpusError, match=rf"f\.parquet: .*{message}"):
        published.read(tmp_path / "f.parquet", talk, "audio")


def test_a_process_of_its_own_reads_alike(tmp_path: Path, talk: pd.DataFrame) -> None:
    path = dump(tmp_path / "f.pkl", BY_NUMBER)
    read = published.read_apart(path, talk, "text")
    assert vectors(read) == EXPECTED
    assert read.attrs == published.read(path, talk, "text").attrs
    with pytest.raises(CorpusError, match="no field 'bert'"):
        published.read_apart(path, talk, "text", "bert")


def test_what_stops_the_process_that_reads_is_said(
    tmp_path: Path, talk: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dump(
        tmp_path / "f.pkl", {key: [*np.zeros((len(turns), 1_000_000))] for key, turns in BY_NUMBER.items()}
    )
    monkeypatch.setattr(apart, "_MEMORY", 2**20 - 2 * limits.allowed_bytes(path))
    with pytest.raises(CorpusError, match=r"f\.pkl: reading it takes more than 1,048,576 bytes of memory"):
        published.read_apart(path, talk, "audio")
    # As the kernel, or a library that crashes, would end it.
    others = {child.pid for child in psutil.Process().children()}

    def kill() -> None:
        while not (new := [one for one in psutil.Process().children() if one.pid not in others]):
            time.sleep(0.01)
        for one in new:
            one.kill()

    monkeypatch.setattr(apart, "_MEMORY", 2**29)
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(
        CorpusError, match=r"f\.pkl: the process that read it crashed \(exit code -9\); fetch"
    ):
        published.read_apart(path, talk, "audio")
    killer.join()
    monkeypatch.setattr(apart, "_SECONDS", 0)
    monkeypatch.setattr(apart, "_BYTES_A_SECOND", 2**50)
    with pytest.raises(CorpusError, match=r"f\.pkl: not read within [\d.]+ s; convert it"):
        published.read_apart(path, talk, "audio")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"vector": [[1.0]]}, "no utterance_id, nor dialogue_id and position"),
        ({"utterance_id": ["dev_dia0_utt0"], "text": ["x"]}, "neither a column vector nor numeric"),
        (
            {"utterance_id": ["somebody"], "vector": [[1.0]]},
            "none of the 7 utterances is in it; it has 'somebody'",
        ),
        ({"utterance_id": ["dev_dia0_utt0"] * 2, "vector": [[1.0]] * 2}, "dev_dia0_utt0 is there twice"),
        (
            {"utterance_id": ["dev_dia0_utt0", "dev_dia0_utt1"], "vector": [[1.0], [1.0, 2.0]]},
            "dev_dia0_utt0 has 1 values and dev_dia0_utt1 2",
        ),
        ({"utterance_id": ["dev_dia0_utt0"], "vector": [["x", "y"]]}, "is not a vector of numbers"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, talk: pd.DataFrame, content: dict, message: str) -> None:
    path = tmp_path / "f.parquet"
    pd.DataFrame(content).to_parquet(path)
    with pytest.raises(CorpusError, match=rf"f\.parquet: .*{message}"):
        published.read(path, talk, "audio")


@pytest.mark.parametrize("name", ["f.parquet", "f.npz", "f.pkl", "f.csv"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, talk: pd.DataFrame, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(CorpusError, match="no such file"):
        published.read(path, talk, "audio")
    path.write_bytes(b"not what its name says")
    with pytest.raises(CorpusError, match=name):
        published.read(path, talk, "audio")


def test_fingerprint_follows_the_content(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    prints = [published.fingerprint(tmp_path / name) for name in "abc"]
    assert prints[0] == prints[1] != prints[2]
