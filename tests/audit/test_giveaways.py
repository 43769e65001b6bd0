"""Numbers that are the label are found whatever they are written as; measured ones are not."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from erc_kedro.audit.giveaways import THRESHOLD, label_agreement, row_numbers

DATA = Path(os.environ.get("ERC_SHARED_DATA") or "absent")


def speakers_scaled(code: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    speaker = draw.integers(8, size=len(code))
    scaled = code.astype(float)
    for own in (speaker == number for number in range(8)):
        scaled[own] = (code[own] - code[own].mean()) / code[own].std()
    return scaled


def shares_of_raters(code: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """How many of ten raters chose class 1, where the class is the one that most chose."""
    votes = np.full((len(code), code.max() + 1), 0)
    votes[np.arange(len(code)), code] = draw.integers(6, 11, size=len(code))
    for row in votes:
        row[draw.permutation(np.flatnonzero(row == 0))[0]] = 10 - row.max()
    return votes[:, 1] / 10


COPIES = {
    "code": lambda y, _: y,
    "scaled": lambda y, _: y * 0.37 + 2,
    "permuted": lambda y, _: np.array([3, 0, 4, 1, 2])[y],
    "finer code": lambda y, draw: y + 5 * draw.integers(2, size=len(y)),
    "noisy": lambda y, draw: y + draw.normal(size=len(y)) * 0.2,
    "one in fifty wrong": lambda y, draw: np.where(draw.random(len(y)) < 0.02, 0, y),
    "one hot": lambda y, _: y == 1,
    "noisy one hot": lambda y, draw: (y == 1) + draw.normal(size=len(y)) * 0.1,
    "smoothed": lambda y, draw: 0.9 * (y == 1) + 0.1 * draw.random(len(y)),
    "raters": shares_of_raters,
    "a bit of the code": lambda y, _: y % 2,
    "polarity": lambda y, _: np.array([-1, -1, 0, 1, 1])[y],
    "scaled by speaker": speakers_scaled,
    "logarithm": lambda y, draw: np.log(0.01 + (y == 1) + 0.001 * draw.random(len(y))),
}


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("count", [144, 6000])
def test_a_copy_of_the_label_is_found_among_other_features(kind: str, count: int) -> None:
    draw = np.random.default_rng(0)
    code = draw.choice(5, p=[0.4, 0.2, 0.2, 0.1, 0.1], size=count)
    matrix = draw.normal(size=(count, 600)).astype(np.float32)
    matrix[:, 550] = COPIES[kind](code, draw)
    labels = pd.Series(np.array(["calm", "glad", "cross", "afraid", "sad"])[code])
    told = label_agreement(matrix, labels.where(draw.random(count) < 0.9))
    assert np.flatnonzero(told >= THRESHOLD).tolist() == [550]


@pytest.mark.parametrize("sizes", [(34, 14), (20, 10), (9, 7, 6), (12, 11)])
def test_a_code_is_found_in_a_corpus_of_a_few_dialogues(sizes: tuple[int, ...]) -> None:
    draw = np.random.default_rng(4)
    code = draw.permutation(np.repeat(np.arange(len(sizes)), sizes))
    matrix = draw.normal(size=(len(code), 600)).astype(np.float32)
    matrix[:, 300:500] = matrix[:, 300:500] > 0
    matrix[:, 550] = 7 - 3 * code
    told = label_agreement(matrix, pd.Series(code.astype(str)))
    assert np.flatnonzero(told >= THRESHOLD).tolist() == [550]


@pytest.mark.parametrize("count", [2, 12, 24, 30, 45, 60, 100])
def test_of_thousands_of_features_none_gives_the_label_of_few_utterances_by_chance(count: int) -> None:
    draw = np.random.default_rng(1)
    measured = draw.normal(size=(count, 6373)).astype(np.float32)
    for classes in (1, 2, 3, 7, 12):
        skewed = np.r_[0.6, np.full(classes - 1, 0.4 / max(classes - 1, 1))]
        for chances in (np.full(classes, 1 / classes), skewed / skewed.sum()):
            labels = pd.Series(draw.choice(classes, p=chances, size=count).astype(str))
            for matrix in (measured, (measured > 0).astype(np.float32), np.zeros_like(measured)):
                assert label_agreement(matrix, labels).max() < THRESHOLD


def test_very_many_classes_cost_no_time_and_hide_no_copy() -> None:
    draw = np.random.default_rng(3)
    code = np.r_[draw.integers(25, size=3000), np.arange(25, 3000)]
    matrix = draw.normal(size=(len(code), 40)).astype(np.float32)
    matrix[:, 7] = code
    assert np.flatnonzero(label_agreement(matrix, pd.Series(code.astype(str))) >= THRESHOLD).tolist() == [7]
    assert label_agreement(matrix, pd.Series(np.arange(len(code)).astype(str))).max() == 0


def test_turns_that_resemble_their_neighbours_give_nothing_away() -> None:
    """Equal values stand in no order: labels of one dialogue resemble each other."""
    labels = pd.Series(np.repeat(["calm", "glad"], 500))
    assert label_agreement(np.zeros((1000, 1), np.float32), labels)[0] < 0.2
    assert label_agreement(np.zeros((1000, 1), np.float32), labels.where(labels == "sad"))[0] == 0


@pytest.mark.skipif(not (DATA / "iemocap").is_dir(), reason="ERC_SHARED_DATA names no annotations")
def test_published_acoustics_are_far_from_telling_the_label() -> None:
    from erc_kedro.corpora import iemocap, published

    utterances = iemocap.read(DATA / "iemocap").utterances
    table = published.read(DATA / "iemocap_published" / "audio_gemaps47.parquet", utterances, "audio")
    assert len(table.attrs["columns"]) == 47
    told = label_agreement(np.stack(table["vector"].tolist()), utterances["label"])
    assert 0 < told.max() < THRESHOLD / 2


def test_row_numbers_are_told_from_counts_and_measurements() -> None:
    draw = np.random.default_rng(2)
    count = 200
    columns = {
        "row": np.arange(count),
        "shuffled": draw.permutation(count),
        "of a larger table": np.sort(draw.permutation(300)[:count]),
        "dialogue and turn": 1000 * (np.arange(count) // 7) + np.arange(count) % 7,
        "count": draw.integers(30, size=count),
        "samples": draw.permutation(100_000)[:count],
        "rising": np.sort(draw.normal(size=count)),
        "constant": np.ones(count),
    }
    found = row_numbers(np.stack(list(columns.values()), axis=1).astype(np.float32))
    named = [name for name, yes in zip(columns, found, strict=True) if yes]
    assert named == ["row", "shuffled", "of a larger table", "dialogue and turn"]
    assert not row_numbers(np.arange(10, dtype=np.float32)[:, None]).any()
