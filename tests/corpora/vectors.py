"""Published vectors of MELD, as the community numbers its dialogues."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro import schemas

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
