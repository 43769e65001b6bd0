"""Whole fits of tiny encoders: they learn, resume, see no test split, and come back as extractors."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import f1_score

from erc_kedro import schemas
from erc_kedro.extractors import finetuned, text
from erc_kedro.extractors.base import ExtractionError
from erc_kedro.finetuning import encoders, loop
from erc_kedro.finetuning.encoders import finetune
from erc_kedro.parameters import TextParameters
from tests import tiny
from tests.finetuning.corpus import CARD, CLASSES, parameters, toy


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.bert(tmp_path_factory.mktemp("base") / "bert", layers=2, dropout=0.0)


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    """A finished folder with two folds, and the corpus. Look, do not touch."""
    table = toy()
    folder = tmp_path_factory.mktemp("tuned") / "toy"
    asked = parameters(base, folds=2, context=1, following=1, targets=2, epochs=6)
    finetune(table, CARD, "toy", asked, folder)
    return finetuned.find("finetuned", folder), table


def weights(folder):
    return load_file(folder / "model.safetensors") | load_file(folder / "head.safetensors")


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def vectors(tuned, table, tmp_path):
    return text.extract(table, TextParameters(), tmp_path, tuned)


def test_it_learns_what_the_words_say(tuned, tmp_path):
    found, table = tuned
    assert found.card.fitted[""].weighted_f1 > 0.9
    made, _ = vectors(found, table, tmp_path)
    predictions = found.predictions(table, made)
    schemas.predictions.validate(predictions)
    test = predictions[predictions["split"] == "test"]
    guess = test[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)
    assert f1_score(test["label"].map(CLASSES.index), guess, average="weighted") > 0.9


def test_it_learns_what_only_the_context_says(base, tmp_path):
    table = toy(60, from_before=True)
    asked = parameters(base, context=1, following=0, targets=1, epochs=8)
    seen = finetune(table, CARD, "toy", asked, tmp_path / "seen").fitted[""]
    blind = finetune(table, CARD, "toy", asked.model_copy(update={"context": 0}), tmp_path / "blind").fitted[
        ""
    ]
    assert seen.weighted_f1 > 0.9
    assert blind.weighted_f1 < 0.6


def test_extraction_shows_utterances_as_validation_did(tuned, tmp_path):
    found, table = tuned
    made, card = vectors(found, table, tmp_path)
    assert made.shape == (len(table), 16)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert card.name == f"{found.card.encoder} fine-tuned on toy"
    predictions = found.predictions(table, made)
    val = predictions[predictions["split"] == "val"]
    guess = val[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)
    score = f1_score(val["label"].map(CLASSES.index), guess, average="weighted", zero_division=0)
    assert score == pytest.approx(found.card.fitted[""].weighted_f1, abs=1e-6)


def test_training_vectors_come_from_an_encoder_that_did_not_see_their_dialogue(tuned, tmp_path):
    found, table = tuned
    shares = found.shares(table)
    assert np.sum([own for _, own in shares], axis=0).tolist() == [1] * len(table)
    made, _ = vectors(found, table, tmp_path / "a")
    for folder, own in shares:
        name = "" if folder == found.folder else folder.name
        dialogues = set(table["dialogue_id"][own])
        fitted = found.card.fitted[name]
        if name:
            assert not dialogues & set(fitted.trained_on)
        else:
            assert not (table["split"][own] == "train").any()
        # The vectors are those that this encoder alone would make.
        alone = found.settings(TextParameters(), folder)
        expected = text.Transformer(alone)(text.lines(table, alone))
        np.testing.assert_allclose(made[own], expected[own], atol=1e-5)
    training = set(table.loc[table["split"] == "train", "dialogue_id"])
    held_out = [training - set(fitted.trained_on) for name, fitted in found.card.fitted.items() if name]
    assert len(held_out) == 2
    assert set.union(*held_out) == training
    assert not set.intersection(*held_out)


def test_without_folds_one_encoder_makes_all(base, tmp_path):
    table = toy(10)
    finetune(table, CARD, "toy", parameters(base, epochs=1), tmp_path)
    assert [folder for folder, _ in finetuned.find("finetuned", tmp_path).shares(table)] == [tmp_path]


def test_the_card_says_what_it_learned_from(tuned):
    found, table = tuned
    card = found.card
    train, val = (set(table.loc[table["split"] == split, "dialogue_id"]) for split in ("train", "val"))
    assert set(card.fitted[""].trained_on) == train
    assert all(set(fitted.selected_on) == val for fitted in card.fitted.values())
    assert card.corpus == "toy"
    assert len(card.split_fingerprint) == 64
    for fitted in card.fitted.values():
        assert [row["epoch"] for row in fitted.history] == list(range(6))
        chosen = [row for row in fitted.history if row["selected"]]
        assert [row["val_weighted_f1"] for row in chosen] == [fitted.weighted_f1]


def test_the_test_split_has_no_part_in_it(base, tmp_path):
    table = toy(10)
    other = table.copy()
    test = other["split"] == "test"
    other.loc[test, "text"] = "i hate this"
    other.loc[test, "label"] = None
    asked = parameters(base, epochs=2)
    one = finetune(table, CARD, "toy", asked, tmp_path / "one")
    two = finetune(other, CARD, "toy", asked, tmp_path / "two")
    assert one.fitted[""].key == two.fitted[""].key
    assert same(weights(tmp_path / "one"), weights(tmp_path / "two"))


def test_the_best_epoch_is_kept(base, tmp_path, monkeypatch):
    scores = iter([0.2, 0.9, 0.5])
    states = []

    def scored(network, *_):
        states.append({name: value.clone() for name, value in network.head.state_dict().items()})
        return {"val_loss": 1.0, "val_weighted_f1": next(scores), "val_accuracy": 0.5}

    monkeypatch.setattr(loop, "_validate", scored)
    card = finetune(toy(10), CARD, "toy", parameters(base), tmp_path)
    assert [row["selected"] for row in card.fitted[""].history] == [0, 1, 0]
    assert same(states[1], load_file(tmp_path / "head.safetensors"))
    assert not same(states[2], states[1])


def test_what_is_done_is_not_done_again_and_what_changed_is(base, tmp_path, monkeypatch):
    table, asked = toy(10), parameters(base, epochs=1, folds=2)
    first = finetune(table, CARD, "toy", asked, tmp_path, run="first")
    steps = []
    step = loop._step
    monkeypatch.setattr(loop, "_step", lambda *given: steps.append(1) or step(*given))
    again = finetune(table, CARD, "toy", asked, tmp_path, run="second")
    assert not steps
    assert again == first
    assert encoders.resumed(tmp_path, again) == {"": "done", "fold0": "done", "fold1": "done"}
    # Folds come and go without the others.
    fewer = finetune(table, CARD, "toy", asked.model_copy(update={"folds": 0}), tmp_path, run="third")
    assert not steps
    assert set(fewer.fitted) == {""}
    finetune(table, CARD, "toy", asked.model_copy(update={"learning_rate": 1e-3}), tmp_path)
    assert steps


class Stop(Exception):
    pass


def test_a_fit_that_was_stopped_goes_on_and_ends_the_same(base, tmp_path, monkeypatch):
    table, asked = toy(20), parameters(base, epochs=2)
    finetune(table, CARD, "toy", asked, tmp_path / "whole")
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    step, done = loop._step, []

    def limited(*given):
        if len(done) == 9:
            raise Stop
        done.append(1)
        return step(*given)

    monkeypatch.setattr(loop, "_step", limited)
    # Saving is as rare as it is dear; here it is free.
    monkeypatch.setattr(loop.time, "monotonic", iter(range(10**6)).__next__)
    with pytest.raises(Stop):
        finetune(table, CARD, "toy", asked, tmp_path / "parts")
    with pytest.raises(ExtractionError, match="no finished one"):
        finetuned.find("finetuned", tmp_path / "parts")
    monkeypatch.setattr(loop, "_step", lambda *given: done.append(1) or step(*given))
    card = finetune(table, CARD, "toy", asked, tmp_path / "parts")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert encoders.resumed(tmp_path / "parts", card)[""].startswith("epoch ")
    assert not list(tmp_path.rglob("*checkpoint*"))
    assert not list(tmp_path.rglob(".*"))
