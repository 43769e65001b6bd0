import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases import meld_row, write_iemocap, write_meld

from erc_kedro import schemas
from erc_kedro.corpora import CorpusError, iemocap, meld, published


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


@given(st.binary(max_size=200))
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
            "dev_dia0_utt0 has 1 numbers and dev_dia0_utt1 2",
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
