"""Published vectors in pickles: every layout is read, and nothing is run."""

import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erc_kedro.corpora import CorpusError, iemocap, published
from tests.corpora.releases import write_iemocap
from tests.corpora.vectors import BY_NUMBER, EXPECTED, community, dump, vectors


@pytest.mark.parametrize(
    "kind", ["MMGCN", "MMGCN MELD", "DialogueRNN MELD", "SDT", "SDT MELD", "COSMIC", "COSMIC MELD"]
)
@pytest.mark.parametrize("modality", ["text", "audio", "visual"])
def test_community_layouts(tmp_path: Path, talk: pd.DataFrame, kind: str, modality: str) -> None:
    parts = {
        name: {key: [[*turn, number] for turn in turns] for key, turns in BY_NUMBER.items()}
        for number, name in enumerate(("text", "audio", "visual"))
    }
    content = community(**parts)[kind]
    path = dump(tmp_path / "f.pkl", tuple(content))
    absent = (kind.startswith("COSMIC") and modality != "text") or (
        kind == "DialogueRNN MELD" and modality == "visual"
    )
    if absent:
        with pytest.raises(
            CorpusError, match=rf"holds {modality} is not known; it has 0: dict of .*Name one"
        ):
            published.read(path, talk, modality)
        return
    number = ("text", "audio", "visual").index(modality)
    assert vectors(published.read(path, talk, modality)) == {
        name: [*vector, number] for name, vector in EXPECTED.items()
    }


def test_field_names_another_element(tmp_path: Path, talk: pd.DataFrame) -> None:
    content = ["unused", {"roberta": BY_NUMBER}]
    path = dump(tmp_path / "f.pkl", {"roberta": BY_NUMBER, "text": "none"})
    assert vectors(published.read(path, talk, "text", "roberta")) == EXPECTED
    with pytest.raises(CorpusError, match=r"no field 'bert'; it has 'roberta': dict of 5 list"):
        published.read(path, talk, "text", "bert")
    with pytest.raises(CorpusError, match=r"field 0 is a str of 6, not a dict of vectors"):
        published.read(dump(path, content), talk, "text", 0)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda items: defaultdict(list, items)])
def test_arrays_of_every_pickle_protocol(
    tmp_path: Path, talk: pd.DataFrame, protocol: int, kind: Any
) -> None:
    content = kind({np.int64(key): np.array(turns, np.float64) for key, turns in BY_NUMBER.items()})
    path = dump(tmp_path / "f.pkl", content, protocol)
    assert vectors(published.read(path, talk, "audio")) == EXPECTED


def test_arrays_of_objects_are_read_through_the_same_gate(tmp_path: Path, talk: pd.DataFrame) -> None:
    ragged = {key: np.array([*map(np.float32, turns), None], object)[:-1] for key, turns in BY_NUMBER.items()}
    assert vectors(published.read(dump(tmp_path / "f.pkl", ragged), talk, "audio")) == EXPECTED
    bad = {0: np.array([Path("x"), None], object)}
    with pytest.raises(CorpusError, match=r"pathlib\."):
        published.read(dump(tmp_path / "f.pkl", bad), talk, "audio")


def test_pickles_with_ids(tmp_path: Path, talk: pd.DataFrame) -> None:
    assert vectors(published.read(dump(tmp_path / "f.pkl", EXPECTED), talk, "text")) == EXPECTED
    nested = {"a": {"train_dia0_utt0": [1, 1]}, "b": {"test_dia1_utt1": [7, 7], "other": [0, 0]}}
    table = published.read(dump(tmp_path / "g.pkl", nested), talk, "text")
    assert vectors(table) == {"train_dia0_utt0": [1, 1], "test_dia1_utt1": [7, 7]}
    assert set(table["reason"]) == {"ok", "not_in_file"}
    by_position = {key: dict(enumerate(turns)) for key, turns in BY_NUMBER.items()}
    assert vectors(published.read(dump(tmp_path / "h.pkl", by_position), talk, "text")) == EXPECTED


def test_iemocap_joins_by_the_ids_in_the_file(tmp_path: Path) -> None:
    turns = [("F000", 1, 2, "neu"), ("M000", 3, 4, "ang")]
    table = iemocap.read(write_iemocap(tmp_path, {"Ses01F_impro01": turns})).utterances
    name = "Ses01F_impro01"
    ids = {name: [f"{name}_M000", f"{name}_F000", f"{name}_F099"]}
    text = {name: [[2, 2], [1, 1], [9, 9]]}
    content = (ids, {name: "MFF"}, {name: [3, 2, 0]}, text, text, text, {name: ["a", "b", "c"]}, [name], [])
    read = published.read(dump(tmp_path / "IEMOCAP_features.pkl", content), table, "audio")
    assert vectors(read) == {f"{name}_F000": [1, 1], f"{name}_M000": [2, 2]}


def test_iemocap_without_ids_follows_the_community_order(tmp_path: Path) -> None:
    """In 62 dialogues the feature files are not in the order of start times."""
    name = "Ses01F_impro05"
    order = iemocap.community()["order"][name].split()
    by_name = sorted(order)
    clock = {turn: 10.0 * number for number, turn in enumerate(by_name)}
    turns = [(turn, clock[turn], clock[turn] + 5, "neu") for turn in by_name]
    table = iemocap.read(write_iemocap(tmp_path, {name: turns})).utterances
    path = dump(tmp_path / "f.pkl", {name: [[number] for number in range(len(order))]})
    assert vectors(published.read(path, table, "text")) == {
        f"{name}_{turn}": [number] for number, turn in enumerate(order)
    }


def test_another_length_is_refused(tmp_path: Path, talk: pd.DataFrame) -> None:
    path = dump(tmp_path / "f.pkl", BY_NUMBER | {1039: [[4, 4]]})
    with pytest.raises(CorpusError, match=r"dialogue dev_dia0 has 1 utterances in it and 2 in the corpus"):
        published.read(path, talk, "text")


class Danger:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("danger", "name"),
    [
        (Danger(eval, "open('{}', 'w')"), "builtins.eval"),
        (Danger(getattr, {}, "keys"), "builtins.getattr"),
        (Danger(__import__, "os"), "builtins.__import__"),
        (Danger(open, "{}", "w"), r"(_?io|builtins)\.open"),
        (Danger(np.load, "{}"), "numpy.*load"),
        (pd.Series([1]), "pandas"),
        (Path("x"), "pathlib"),
    ],
)
def test_a_pickle_that_could_run_code_is_refused_by_name(
    tmp_path: Path, talk: pd.DataFrame, danger: Any, name: str
) -> None:
    with pytest.raises(CorpusError, match=rf"f.pkl: the pickle asks for {name}.*convert it to Parquet"):
        published.read(dump(tmp_path / "f.pkl", {0: danger}), talk, "text")


def array(dtype: bytes, shape: bytes = b"(I1\nt", content: bytes = bytes(4)) -> bytes:
    """The instructions that ask for an array with a state of one's own."""
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR"
    return empty + b"(I1\n" + shape + dtype + b"I00\nB" + len(content).to_bytes(4, "little") + content + b"tb"


def dtype(name: bytes, state: bytes) -> bytes:
    return b"cnumpy\ndtype\n(V" + name + b"\nI00\nI01\ntR(I3\n" + state + b"tb"


PLAIN = b"V<\nNNNI-1\nI-1\nI0\n"
# A field that begins so many bytes behind its element.
BEHIND = b"V|\nN(Va\nt}Va\n(cnumpy\ndtype\n(Vf4\nI00\nI01\ntRI%d\ntsI4\nI1\nI16\n"
DOUBLING = b"2\x86" * 64


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (array(dtype(b"V4", BEHIND % 64)), "asks for an array of a type with fields"),
        (array(dtype(b"V4", BEHIND % 2**30)), "asks for an array of a type with fields"),
        (array(dtype(b"O8", b"V|\nNNNI-1\nI-1\nI63\n"), content=b"A" * 8), "an array of objects has not"),
        (array(dtype(b"f4", PLAIN), content=bytes(5)), r"an array of <f4 and the shape \(1\) has 5 bytes"),
        (array(dtype(b"f4", PLAIN), b"(I1000000000\nI0\nt", b""), r"shape \(1000000000, 0\) has 0 bytes"),
        (array(dtype(b"U1", PLAIN), content=b"\xff" * 4), "text that is no Unicode"),
        (b"})" + b"\x85" * 300_000 + b"Ns", "a key is neither text nor a number"),
        (b"})" + DOUBLING + b"Ns", "a key is neither text nor a number"),
        (b"](K\x01K\x01e" + DOUBLING, "with what is shared in it, it is more than"),
        (b"cbuiltins\nrange\n(L999999999999L\ntR", "it builds more than"),
        (b"\x8b" + (10**6).to_bytes(4, "little") + b"\x7f" * 10**6, "an integer of 1,000,000 bytes"),
        (b"Nr\xff\xff\xff\x7f", "value 2,147,483,647 is remembered"),
        (b"]2a", "a value holds itself"),
        (array(dtype(b"f4", PLAIN), b"K\x01" + DOUBLING), r"an array of the shape \(tuple, tuple\)"),
        (array(dtype(b"f4", PLAIN), b")" + b"\x85" * 300_000), r"an array of the shape \(tuple\)"),
        (
            b"cnumpy.core.numeric\n_frombuffer\n(B\4\0\0\0\0\0\0\0"
            + dtype(b"f4", PLAIN)
            + b"K\1K\1\x86\x8c\1KN"
            + DOUBLING
            + b"N"
            + DOUBLING
            + b"\x86tR",
            "the axes of an array are not those",
        ),
        (b"ccollections\nOrderedDict\n}\x81", "corrupt or truncated pickle"),
        (b"itorch._utils\n_rebuild_tensor_v2\n", r"asks for torch\._utils\._rebuild_tensor_v2"),
        (b"Ptorch\n.", "refers to values outside of it"),
    ],
)
def test_a_hostile_pickle_is_refused(tmp_path: Path, talk: pd.DataFrame, value: bytes, message: str) -> None:
    """Without this, these read foreign memory, crash, hang, or fill the memory."""
    path = tmp_path / "f.pkl"
    path.write_bytes(b"\x80\x03}(Vtrain_dia0_utt0\n" + value + b"u.")
    with pytest.raises(CorpusError, match=rf"f\.pkl: .*{message}"):
        published.read(path, talk, "text")


def test_a_field_of_odd_kinds_is_refused(tmp_path: Path, talk: pd.DataFrame) -> None:
    ids = {key: [f"train_dia0_utt{n}" for n in range(len(turns))] for key, turns in BY_NUMBER.items()}
    for content, message in (
        ({0: {"a": [1], 1: [2]}}, "dialogue 0 has positions of several kinds"),
        ({0: np.array(5.0)}, "0 is a ndarray"),
        ([ids, {0: [[1, 1]], 2: 7}], "2 is a int, not a dialogue's vectors"),
        ([ids | {0: 3}, BY_NUMBER], "dialogue 0 has 2 utterances in it and 0 in its list of ids"),
    ):
        field = 1 if isinstance(content, list) else None
        with pytest.raises(CorpusError, match=message):
            published.read(dump(tmp_path / "f.pkl", content), talk, "text", field)
    # By position beside a list of ids: the vectors are taken, not the positions.
    ids = {key: [f"{key} {n}" for n in range(len(turns))] for key, turns in BY_NUMBER.items()}
    ids[0] = ["train_dia0_utt0", "train_dia0_utt3"]
    by_position = {key: dict(enumerate(turns)) for key, turns in BY_NUMBER.items()}
    read = published.read(dump(tmp_path / "f.pkl", [ids, by_position]), talk, "text", 1)
    assert vectors(read) == {"train_dia0_utt0": [1, 1], "train_dia0_utt3": [2, 2]}


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_do_anything_but_fail(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.pkl"
    path.write_bytes(content)
    table = pd.DataFrame({"utterance_id": ["a"], "dialogue_id": ["d"], "position": [0]})
    with pytest.raises(CorpusError, match=r"noise\.pkl"):
        published.read(path, table, "text")


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_truncated_pickle_is_refused(tmp_path: Path, talk: pd.DataFrame, cut: int) -> None:
    path = tmp_path / "f.pkl"
    path.write_bytes(pickle.dumps({0: np.zeros((2, 50))})[:-cut])
    with pytest.raises(CorpusError, match="corrupt or truncated pickle"):
        published.read(path, talk, "text")
