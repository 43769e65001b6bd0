import pickle
import threading
import time
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erc_kedro import schemas
from erc_kedro.corpora import CorpusError, iemocap, meld, published
from erc_kedro.corpora.published import apart, limits
from tests.corpora.releases import meld_row, write_iemocap, write_meld


@pytest.fixture
def talk(tmp_path: Path) -> pd.DataFrame:
    """MELD dialogues: train 0 (2 utterances) and 2 (1), dev 0 (2), test 1 (2)."""
    rows = {
        "train": [meld_row(0, 0), meld_row(0, 3), meld_row(2, 0)],
        "test": [meld_row(1, 0), meld_row(1, 1)],
    }
    return meld.read(write_meld(tmp_path / "meld", **rows)).utterances


def vectors(table: pd.DataFrame) -> dict[str, list[float]]:
    schemas.features.validate(table)
    assert table["present"].tolist() == (table["reason"] == "ok").tolist()
    assert {(vector.dtype, vector.shape) for vector in table["vector"]} == {
        (np.dtype("float32"), table["vector"].iloc[0].shape)
    }
    return {row.utterance_id: row.vector.tolist() for row in table.itertuples() if row.present}


def dump(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


# MELD's running numbers: train d, dev 1039 + d, test 1153 + d.
BY_NUMBER = {0: [[1, 1], [2, 2]], 2: [[3, 3]], 1039: [[4, 4], [5, 5]], 1154: [[6, 6], [7, 7]], 999: [[9, 9]]}
EXPECTED = {
    "train_dia0_utt0": [1, 1],
    "train_dia0_utt3": [2, 2],
    "train_dia2_utt0": [3, 3],
    "dev_dia0_utt0": [4, 4],
    "dev_dia0_utt1": [5, 5],
    "test_dia1_utt0": [6, 6],
    "test_dia1_utt1": [7, 7],
}


def community(text: dict, audio: dict, visual: dict) -> dict[str, list[Any]]:
    """The layouts of the module, by kind."""
    labels = {key: [0] * len(turns) for key, turns in text.items()}
    ids = {key: list(range(len(turns))) for key, turns in text.items()}
    speakers = {key: [[1, 0, 0]] * len(turns) for key, turns in text.items()}
    said = {key: ["made up"] * len(turns) for key, turns in text.items()}
    other = {key: [[0, 0]] * len(turns) for key, turns in text.items()}
    train, test = [0], [1154]
    return {
        "MMGCN": [ids, speakers, labels, text, audio, visual, said, train, test],
        "MMGCN MELD": [ids, speakers, labels, text, audio, visual, said, train, test, labels],
        "DialogueRNN MELD": [ids, speakers, labels, text, audio, said, train, test, labels],
        "SDT": [ids, speakers, labels, text, other, other, other, audio, visual, said, train, test],
        "SDT MELD": [ids, speakers, labels, text, other, other, other, audio, visual, said, train, test, 0],
        "COSMIC": [speakers, labels, text, other, other, other, said, train, test, []],
        "COSMIC MELD": [ids, speakers, labels, text, other, other, other, said, train, test, []],
    }


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


# Column names of openSMILE, OpenFace and others, and such as a program gives.
MEASURED = (
    *("F0semitoneFrom27.5Hz_sma3nz_amean", "loudness_sma3_stddevNorm", "audSpec_Rfilt_sma[0]_upleveltime90"),
    *(
        "MeanVoicedSegmentLengthSec",
        "AU01_r",
        "gaze_0_x",
        "pose_Tx",
        "p_rx",
        "p_0",
        "x_12",
        "y_12",
        "confidence",
    ),
    *("clip_5", "text_3", "emotion2vec_12", "feat_3", "17", "0", "mouth_position", "attack_time", "n_words"),
)


def wide(path: Path, talk: pd.DataFrame, *names: str) -> Path:
    """A table whose columns of numbers have these names; column n is n + row / 10."""
    table = talk[["utterance_id"]].assign(said=talk["text"])
    for number, name in enumerate(names):
        table[name] = number + np.arange(len(talk)) / 10
    table.to_parquet(path / "f.parquet")
    return path / "f.parquet"


@pytest.mark.parametrize(
    "name",
    [
        *("label", "Emotion_ID", "sentiment", "emo_code", "y", "y_true", "gold label", "target"),
        *("label_0", "class_1", "one_hot_joy", "is_joy", "joy", "p_joy", "prob_3", "prediction", "Sadness"),
        *("split", "fold", "speaker_id", "Gender", "age", "turn", "utteranceNo", "Sr No.", "session"),
        *("start_s", "EndTime", "timestamp", "frame", "face_id", "__index_level_0__", "Unnamed: 0", "index"),
        *("valence", "arousal_mean", "EmoDom", "ground_truth", "gt", "int_label", "perceived_emotion"),
        *("dia_id", "file_id", "majority_vote", "onehot_1_joy"),
    ],
)
def test_a_column_that_is_no_feature_by_its_name_is_refused(
    tmp_path: Path, talk: pd.DataFrame, name: str
) -> None:
    path = wide(tmp_path, talk.assign(label="joy"), "mfcc_0", name, "mfcc_1")
    with pytest.raises(CorpusError) as refused:
        published.read(path, talk.assign(label="joy"), "audio")
    assert f"f.parquet: no features by their names, but of the corpus or its labels: {name}." in str(
        refused.value
    )
    assert "features.audio.field, such as [mfcc_0, mfcc_1]" in str(refused.value)
    read = published.read(path, talk, "audio", ["mfcc_*"])
    assert read.attrs["columns"] == ["mfcc_0", "mfcc_1"]
    assert read.attrs["left_out"] == ["said", name]
    assert read["vector"].iloc[3].tolist() == pytest.approx([0.3, 2.3])
    # Whoever writes the very name means it.
    assert published.read(path, talk, "audio", [name, "mfcc_1"]).attrs["columns"] == [name, "mfcc_1"]
    with pytest.raises(CorpusError, match="no features by their names"):
        published.read(path, talk, "audio", "*")


def test_measurements_are_taken_whatever_they_are_called(tmp_path: Path, talk: pd.DataFrame) -> None:
    read = published.read(wide(tmp_path, talk, *MEASURED), talk, "visual")
    assert read.attrs["columns"] == list(MEASURED)
    assert read.attrs["part"] == f"{len(MEASURED)} columns"
    assert published.read(tmp_path / "f.parquet", talk, "visual", "AU01_r").attrs["columns"] == ["AU01_r"]
    with pytest.raises(
        CorpusError, match=r"no column 'AU9\*' of numbers; it has the columns utterance_id, said"
    ):
        published.read(tmp_path / "f.parquet", talk, "visual", ["AU01_r", "AU9*"])


def test_a_class_of_one_letter_takes_no_measurement_away(tmp_path: Path, talk: pd.DataFrame) -> None:
    table = talk.assign(label=["F", "H", *["X"] * (len(talk) - 2)])
    names = ["F0", "f0_mean", "H1H2", "x_12", "X_0"]
    assert published.read(wide(tmp_path, talk, *names), table, "audio").attrs["columns"] == names
    with pytest.raises(CorpusError, match="of the corpus or its labels: p_F, H"):
        published.read(wide(tmp_path, talk, *names, "p_F", "H"), table, "audio")


def test_keys_in_the_index_of_a_table_count(tmp_path: Path, talk: pd.DataFrame) -> None:
    table = talk[["utterance_id", "dialogue_id", "position"]].assign(mfcc_0=np.arange(7.0))
    for keys in ("utterance_id", ["dialogue_id", "position"]):
        kept = table.set_index(keys)[["mfcc_0"]].sample(frac=1, random_state=1)
        kept.to_parquet(tmp_path / "f.parquet")
        read = published.read(tmp_path / "f.parquet", talk, "audio")
        assert read.attrs["columns"] == ["mfcc_0"]
        assert np.concatenate(read["vector"].tolist()).tolist() == list(range(7))


def test_classes_of_any_language_are_no_features(tmp_path: Path, talk: pd.DataFrame) -> None:
    table = talk.assign(label=["радость", "грусть", *["покой"] * (len(talk) - 2)])
    path = wide(tmp_path, table, "громкость", "p_Радость")
    assert published.read(path, talk, "audio").attrs["columns"] == ["громкость", "p_Радость"]
    with pytest.raises(CorpusError, match="of the corpus or its labels: p_Радость"):
        published.read(path, table, "audio")


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
