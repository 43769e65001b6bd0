"""Which columns of a table are features."""

from pathlib import Path

import pandas as pd
import pytest

from erc_kedro.corpora import CorpusError, published
from tests.corpora.vectors import MEASURED, wide


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


def test_classes_of_any_language_are_no_features(tmp_path: Path, talk: pd.DataFrame) -> None:
    table = talk.assign(label=["радость", "грусть", *["покой"] * (len(talk) - 2)])
    path = wide(tmp_path, table, "громкость", "p_Радость")
    assert published.read(path, talk, "audio").attrs["columns"] == ["громкость", "p_Радость"]
    with pytest.raises(CorpusError, match="of the corpus or its labels: p_Радость"):
        published.read(path, table, "audio")
