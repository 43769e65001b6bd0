"""A transfer's nodes: a target in folds, models that are reused, and what is left out."""

import logging

import pytest

from erc_kedro import schemas
from erc_kedro.errors import PlainError
from erc_kedro.pipelines.transfer.nodes import compare_arms, train_arms
from tests.defaults import TrainParameters, TransferParameters
from tests.transfer.made import EXTRACTOR, LABELS, corpus, in_folds

TINY = TrainParameters(
    seeds=2, epochs=2, patience=2, batch_utterances=64, model={"hidden": 16, "attention_heads": 2}
)
FEW = TransferParameters(dialogues=[2], draws=200)
OTHER = {"extractor": {**EXTRACTOR, "name": "other"}}


def table_of(target):
    """The target's utterances as its own table has them."""
    table = target.utterances.copy()
    for column in ("utterance_id", "dialogue_id"):
        table[column] = table[column].str.removeprefix(f"{target.name}/")
    return table


def test_a_target_in_folds_is_tested_once_a_seed_and_from_one_zero_shot_model(tmp_path):
    target, source = in_folds(corpus("clips", 15), 3), corpus("talks", 12, seed=1)
    models = tmp_path / "talks_to_clips"
    predictions, summary = train_arms(LABELS, FEW, TINY, models, source=source, target=target)
    tested = predictions[predictions["split"] == "test"]
    every = {*target.utterances["utterance_id"]}
    for _, rows in tested.groupby(["experiment", "seed"]):
        assert not rows["utterance_id"].duplicated().any()
        assert {*rows["utterance_id"]} == every
    assert set(tested["experiment"]) == {
        *("target_alone", "target_majority", "zero_shot", "joint", "fine_tuned_2", "alone_2")
    }

    def folders(arm):
        return sorted(
            p.parent.relative_to(models / arm).as_posix() for p in (models / arm).rglob("config.json")
        )

    assert folders("zero_shot") == ["seed0", "seed1"]
    assert len(folders("fine_tuned_2")) == 6
    table, page = compare_arms(predictions, summary, table_of(target), FEW, tmp_path)
    assert schemas.transfer.validate(table)["seeds"].tolist() == [2] * 6
    assert "(" in page


def test_modalities_that_differ_are_left_out_and_said(tmp_path, caplog):
    target, source = corpus("clips", 12), corpus("talks", 12, seed=1, audio=OTHER)
    with caplog.at_level(logging.WARNING):
        _, summary = train_arms(LABELS, FEW, TINY, tmp_path / "one", source=source, target=target)
    assert summary["modalities"] == ["text", "visual"]
    assert "Audio is left out: Talks has it from other and Clips from e" in caplog.text
    only_audio = TrainParameters(**{**TINY.model_dump(), "model": {"modalities": ["audio"]}})
    with pytest.raises(PlainError, match=r"the experiment reads audio alone\. Audio is left out"):
        train_arms(LABELS, FEW, only_audio, tmp_path / "two", source=source, target=target)
    apart = corpus("talks", 12, text=OTHER, audio=OTHER, visual=OTHER)
    with pytest.raises(PlainError, match="no modality has the same features in all corpora"):
        train_arms(LABELS, FEW, TINY, tmp_path / "three", source=apart, target=target)
