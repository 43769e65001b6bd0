"""A bundle answers as its training did, wherever it lies, or says why it cannot."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from erc_kedro import files, scoring
from erc_kedro.audit.encoders import encoder_errors
from erc_kedro.errors import PlainError
from erc_kedro.extractors import finetuned, runner
from erc_kedro.extractors.base import Metadata
from erc_kedro.scoring import BundleError, bundle
from erc_kedro.scoring.export import _encoder
from tests import tiny
from tests.conftest import CLASSES, make_corpus
from tests.defaults import AudioParameters, VisualParameters
from tests.models.test_own import GOOD as OWN
from tests.scoring.conftest import train


def test_no_bundle_is_made_of_an_encoder_that_was_fitted_anew(trained, monkeypatch):
    """Features of the one before, which training has, are not what this one makes of a recording."""
    facts = {
        "corpus": "calls",
        "encoder": "tiny",
        "val_weighted_f1": 0.6,
        "run": "a",
        "trained_on": {"d0": "1"},
    }
    now = facts | {"val_weighted_f1": 0.7, "run": "b"}
    monkeypatch.setattr(finetuned, "find", lambda *asked: SimpleNamespace(facts=now))
    provenance = {**trained.provenance, "text": {**trained.provenance["text"], "encoder": facts}}
    with pytest.raises(PlainError, match=r"no longer holds the encoder.*pipeline=features"):
        trained.export(provenance=provenance)


def test_an_encoder_in_a_bundle_does_not_say_which_dialogues_it_learned_from(tmp_path):
    fitted = finetuned.Fitted(
        key="k",
        seed=0,
        trained_on={"visit_of_ines": "1a2b"},
        selected_on={"visit_of_omar": "3c4d"},
        history=[{"epoch": 0, "val_weighted_f1": 0.5, "selected": 1}],
    )
    record = finetuned.EncoderRecord(
        **dict.fromkeys(("corpus", "split_fingerprint", "encoder", "licence", "digest"), "x"),
        protocol=None,
        run=None,
        classes=["glad"],
        settings={"question": None, "context": 0, "following": 0},
        parameters={},
        versions={},
        fitted={"": fitted, "fold0": fitted},
    )
    other = record.model_copy(update={"fitted": {"": fitted}})
    record = record.model_copy(update={"beside": {"beside0": other.identity}})
    for name, one in (("", record), ("fold0", None), ("beside0", other)):
        (tmp_path / "own" / name).mkdir(exist_ok=True, parents=True)
        (tmp_path / "own" / name / finetuned.FIT).write_text(finetuned.Outcome(fitted, "d", "l", "done").text)
        if one is not None:
            (tmp_path / "own" / name / finetuned.RECORD).write_text(one.model_dump_json())
    found = finetuned.find(str(tmp_path / "own"), tmp_path / "own")
    places, texts = _encoder(tmp_path / "own", "in", {**found.facts})
    assert places == {"in": tmp_path / "own", "in/beside0": tmp_path / "own" / "beside0"}
    for name, text in texts.items():
        assert "visit_of" not in text
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    carried = finetuned.find(str(tmp_path / "in"), tmp_path / "in")
    assert [one.record.fitted[""].key for one in carried.every] == ["k", "k"]
    # Whether it knows what it is judged on, nobody could say.
    assert "bundle" in encoder_errors(carried.facts, make_corpus(4)[0], "y")[0]


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained.bundle, tmp_path / "copied")


def rewrite(folder, change):
    """Changes the card of a bundle, whose other files stay as they are."""
    card = json.loads((folder / bundle.CARD).read_text())
    change(card)
    (folder / bundle.CARD).write_text(json.dumps(card))


def test_it_predicts_what_training_predicted(trained, model):
    utterances = trained.recorded()
    made = model.predictions(utterances, own(trained.features, utterances))
    assert made == pytest.approx(np.stack(trained.expected(utterances)), abs=1e-6)
    shuffled = utterances.sample(frac=1, random_state=0)
    again = model.predictions(shuffled, own(trained.features, shuffled))
    assert again == pytest.approx(np.stack(trained.expected(shuffled)), abs=1e-6)


def own(features, rows):
    return {
        name: table.set_index("utterance_id").loc[rows["utterance_id"]].reset_index()
        for name, table in features.items()
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"hidden": 16, "attention_heads": 2, "causal": True}, "scaling": {"audio": "speaker"}},
        {"model": {"architecture": "bc_lstm", "hidden": 16, "modalities": ["text", "audio"]}},
        {"withhold": ["visual"]},
        {"model": {"architecture": "logistic_regression"}, "scaling": {"visual": "none"}},
    ],
    ids=["causal", "baseline of two modalities", "withheld", "closed form"],
)
def test_so_does_every_kind_of_model(changes, tmp_path):
    made = train(tmp_path, 12, **changes)
    found = scoring.load(made.bundle)
    utterances = made.recorded()
    answered = found.predictions(utterances, own(made.features, utterances))
    assert answered == pytest.approx(np.stack(made.expected(utterances)), abs=1e-6)


def test_a_network_from_elsewhere_runs_with_consent_alone(tmp_path, monkeypatch):
    (tmp_path / "my_scored.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    made = train(tmp_path, 12, model={"architecture": "my_scored:Net", "settings": {"width": 5}})
    assert "my_scored:Net" in (made.bundle / bundle.README).read_text()
    utterances = made.recorded()
    allowed = scoring.load(made.bundle, allow=["my_scored:Net"])
    answered = allowed.predictions(utterances, own(made.features, utterances))
    assert answered == pytest.approx(np.stack(made.expected(utterances)), abs=1e-6)
    # A line of the module would tell that it was imported.
    (tmp_path / "my_scored.py").write_text("raise AssertionError('it ran')")
    monkeypatch.delitem(sys.modules, "my_scored")
    for allow in ([], ["my_scored:Other"]):
        with pytest.raises(BundleError, match=r"its network is my_scored:Net.*allow=\[\"my_scored:Net\"\]"):
            scoring.load(made.bundle, allow=allow)
    # Nor does one that answers otherwise than in training.
    (tmp_path / "my_scored.py").write_text(OWN.replace("self.out(x)", "-self.out(x)"))
    with pytest.raises(BundleError, match=r"answer otherwise here.*and my_scored:Net as it was in training"):
        scoring.load(made.bundle, allow=["my_scored:Net"])
    monkeypatch.delitem(sys.modules, "my_scored")


def test_a_speaker_of_a_recording_is_scaled_by_training(tmp_path):
    made = train(tmp_path, 12, scaling={"audio": "speaker"})
    found = scoring.load(made.bundle)
    utterances = made.recorded()
    assert found.card.scaling["audio"] == "speaker"
    assert found.scaling["audio"] == "train"
    # The corpus knows all that its speakers say in the split, a recording does not.
    answered = found.predictions(utterances, own(made.features, utterances))
    assert np.abs(answered - np.stack(made.expected(utterances))).max() > 1e-3
    # Nor does it matter who is scored beside it, or what is said later.
    first = utterances[utterances["dialogue_id"] == utterances["dialogue_id"].iloc[0]]
    alone = found.predictions(first, own(made.features, first))
    assert alone == pytest.approx(answered[:, : len(first)], abs=1e-6)


def test_text_is_read_by_the_encoder_that_it_carries(trained, model):
    utterances = trained.recorded()
    made = model.features(utterances).tables["text"]
    expected = own(trained.features, utterances)["text"]
    assert np.stack(made["vector"].to_list()) == pytest.approx(
        np.stack(expected["vector"].to_list()), abs=1e-6
    )
    assert set(model.features(utterances).tables["audio"]["reason"]) == {"no_extractor"}


def test_a_moved_bundle_needs_nothing_of_where_it_was_made(tmp_path, monkeypatch):
    made = train(tmp_path / "there", 12)
    moved = shutil.move(made.bundle, tmp_path / "elsewhere")
    table = pd.DataFrame({"dialogue_id": "d", "speaker": ["a", "b"], "text": ["i love it", "oh no"]})
    before = scoring.load(moved).score(table)
    shutil.rmtree(tmp_path / "there")
    monkeypatch.chdir(moved)
    pd.testing.assert_frame_equal(scoring.load(".").score(table), before)


def test_a_detector_of_faces_that_was_a_local_file_is_in_the_bundle(tmp_path):
    made = train(tmp_path, 12)
    network = tmp_path / "faces.onnx"
    network.write_bytes(b"a network")
    settings = VisualParameters(detector="yunet", detector_model=str(network)).model_dump(mode="json")
    seen = {"extractor": {"name": "faces", "version": "1", "settings": settings}, "encoder": None}
    made.export(provenance={**made.provenance, "visual": seen})
    assert (made.bundle / bundle.DETECTOR).read_bytes() == b"a network"
    network.unlink()
    # It is the one that is tried, and refused for what it is.
    with pytest.raises(BundleError, match=r"extractors/detector\.onnx.* is neither a YuNet"):
        scoring.load(made.bundle)


def test_the_card_says_what_it_is(trained):
    card = bundle.read(trained.bundle)
    assert card.name == "calls/full"
    assert (card.labels, card.modalities, card.languages) == (
        list(CLASSES),
        ["text", "audio", "visual"],
        ["en"],
    )
    assert {name: made.kind for name, made in card.extractors.items()} == {
        "text": "extracted",
        "audio": "published",
        "visual": "published",
    }
    assert set(card.files) | {bundle.CARD} == {
        path.relative_to(trained.bundle).as_posix() for path in trained.bundle.rglob("*") if path.is_file()
    }
    said = (trained.bundle / bundle.README).read_text()
    assert "2024/1689" in said
    assert "acted" in said


def test_the_same_training_makes_the_same_bundle(trained):
    before = bundle.read_card(trained.bundle)
    assert trained.export().digest == before.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: card.update(format=1), "format 1"),
        (lambda card: card.pop("labels"), "labels"),
        (lambda card: card.update(surprise=1), "surprise"),
        (lambda card: card["extractors"]["text"].update(version="0"), "text extractor.*another version"),
        (lambda card: card["extractors"]["text"].update(dimension=7), "gives 16 numbers here, and gave 7"),
        (
            lambda card: card["extractors"]["text"]["settings"].update(extractor="mine.words:Reader"),
            r"mine\.words:Reader.*consent.*allow",
        ),
        (lambda card: card["seeds"].reverse(), "answer otherwise"),
        (lambda card: card["seeds"].clear(), "seeds"),
        (lambda card: card["seeds"][0].update(temperature=0.0), r"seeds\.0\.temperature"),
        (lambda card: card["labels"].__setitem__(1, card["labels"][0]), "labels: one of them is there twice"),
        (lambda card: card["parameters"].pop("model"), "cannot be used as it stands.*model"),
    ],
    ids=[
        *("format", "field", "unknown field", "version", "width", "foreign code", "weights"),
        *("no seed", "temperature", "labels", "parameters"),
    ],
)
def test_what_differs_is_refused_by_name(change, said, copy):
    rewrite(copy, change)
    with pytest.raises(BundleError, match=said):
        scoring.load(copy)


def test_foreign_code_runs_only_with_consent(copy, tmp_path, monkeypatch):
    (tmp_path / "mine_words.py").write_text("raise SystemExit('it ran')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "mine_words:Reader"
    rewrite(copy, lambda card: card["extractors"]["text"]["settings"].update(extractor=name))
    with pytest.raises(BundleError, match="consent"):
        scoring.load(copy)
    with pytest.raises(SystemExit, match="it ran"):
        scoring.load(copy, allow=[name])


@pytest.mark.parametrize("name", ["seed1.safetensors", "statistics.safetensors", "extractors/text/vocab.txt"])
def test_a_file_that_changed_or_is_gone_is_named(name, copy):
    content = (copy / name).read_bytes()
    (copy / name).unlink()
    (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError, match=rf"{name} is not the file"):
        scoring.load(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=rf"{name} is missing"):
        scoring.load(copy)


@pytest.mark.parametrize("name", ["../outside.safetensors", "unlisted.safetensors"])
def test_only_what_was_compared_is_read(name, copy):
    shutil.copy(copy / "seed0.safetensors", copy / name)
    rewrite(copy, lambda card: card["seeds"][0].update(file=name))
    with pytest.raises(BundleError, match=rf"{name} is none of the files that bundle\.json names"):
        scoring.load(copy)


def test_a_file_more_in_an_encoder_s_folder_is_refused_unless_it_is_hidden(copy):
    (copy / "extractors/text/.DS_Store").write_text("a file system's own")
    scoring.load(copy)
    (copy / "extractors/text/added_tokens.json").write_text('{"love": 3}')
    with pytest.raises(BundleError, match=r"added_tokens\.json is none of the files"):
        scoring.load(copy)


@pytest.mark.parametrize(
    ("name", "array", "change"),
    [
        ("statistics", "text.mean", lambda x: x[:3]),
        ("statistics", "text.directions", lambda x: x * np.nan),
        ("statistics", "text.deviation", lambda x: x.astype(np.int64)),
        ("validation", "confidence", lambda x: x[1:]),
        ("probe", "probabilities", lambda x: x[0]),
    ],
)
def test_arrays_of_other_shapes_and_kinds_are_refused(name, array, change, copy):
    path = copy / f"{name}.safetensors"
    arrays = bundle.arrays(copy, path.name)
    path.unlink()
    save_file({**arrays, array: np.ascontiguousarray(change(arrays[array]))}, path)
    rewrite(copy, lambda card: card["files"].update({path.name: files.sha256(path)}))
    with pytest.raises(BundleError, match=r"bundle again|would answer otherwise"):
        scoring.load(copy)


def test_an_encoder_that_lies_as_the_hub_keeps_it_goes_along(tmp_path):
    """The hub's cache has a folder a version, whose files are links into a folder of contents."""
    encoder = tiny.bert(tmp_path / "plain")
    contents, version = tmp_path / "hub" / "blobs", tmp_path / "hub" / "snapshots" / "abc"
    contents.mkdir(parents=True)
    version.mkdir(parents=True)
    for path in encoder.iterdir():
        path.rename(contents / path.name)
        (version / path.name).symlink_to(f"../../blobs/{path.name}")
    moved = Path(shutil.move(train(tmp_path, 12, encoder=version).bundle, tmp_path / "elsewhere"))
    shutil.rmtree(tmp_path / "hub")
    assert not any(path.is_symlink() for path in moved.rglob("*"))
    assert scoring.load(moved).extraction.modalities == ["text"]


def test_clips_are_looked_at_as_long_as_in_training_whatever_text_says(copy, monkeypatch):
    """The longest that is looked at of an utterance, where words have no such limit."""
    asked = {"settings": AudioParameters(extractor="functionals").model_dump(mode="json"), "longest_s": 20.0}
    rewrite(copy, lambda card: card["extractors"]["audio"].update(asked, kind="extracted"))
    settings = []

    def metadata(of):
        settings.append(of)
        return {"audio": Metadata("functionals", 5, "", "1")}

    monkeypatch.setattr(runner, "metadata", metadata)
    assert scoring.load(copy).card.extractors["text"].longest_s == 60
    assert [one.runner.longest_s for one in settings] == [20]


def test_what_is_no_bundle_is_said(tmp_path):
    with pytest.raises(BundleError, match=r"holds no bundle\.json"):
        scoring.load(tmp_path)
    (tmp_path / bundle.CARD).write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        scoring.load(tmp_path)


def test_weights_are_not_there_twice(trained):
    there = (trained.bundle / "seed0.safetensors").stat()
    assert there.st_ino == (trained.models / "seed0" / "model.safetensors").stat().st_ino
