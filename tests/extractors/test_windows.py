"""What an encoder is shown: the words around, the utterance, and a question that ends in a mask."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
from transformers import AutoModel, AutoTokenizer

from erc_kedro.extractors.base import Line
from erc_kedro.extractors.text import Transformer
from erc_kedro.extractors.windows import Windows
from tests import tiny
from tests.defaults import FinetuneParameters, TextParameters

KINDS = ["bert", "roberta", "mpnet", "deberta", "modernbert"]
QUESTION = "Now {speaker} feels {mask} ."
SHOWN = {"speaker_names": True, "template": "{speaker} : {text}", "question": QUESTION}
LINE = Line("i love it", "ada", (("ada", "what is this"), ("ben", "oh no")), (("ben", "yes"),))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {kind: tiny.masked(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}
    for folder in made.values():
        model = AutoModel.from_pretrained(folder)
        for name, weight in model.named_parameters():
            # As random weights are, a vector hardly depends on its neighbours.
            weight.data *= 10 if weight.ndim > 1 and "norm" not in name.lower() else 1
        model.save_pretrained(folder)
    return made


def windows(folder, limit=64, **changes):
    return Windows(AutoTokenizer.from_pretrained(folder), limit, TextParameters(**(SHOWN | changes)))


def window(made, line):
    before, after = ([made.tokens(*said) for said in side] for side in (line.before, line.after))
    own, asked = made.tokens(line.speaker, line.text), made.question(line.speaker)
    return made.window(before, [own], after, [asked])


@pytest.mark.parametrize("kind", KINDS)
def test_the_question_follows_the_utterance_and_the_mask_is_where_the_window_says(kind, folders):
    made = windows(folders[kind])
    tokenizer = AutoTokenizer.from_pretrained(folders[kind])
    shown = window(made, LINE)
    ((start, count),), (mask,) = shown.spans, shown.masks
    assert shown.ids[0] == tokenizer.cls_token_id
    assert shown.ids[mask] == tokenizer.mask_token_id
    assert shown.ids.count(tokenizer.mask_token_id) == 1
    assert shown.ids[start : start + count] == made.tokens("ada", "i love it")
    # The closing of the utterance, the question, and its own closing; then what follows.
    question = made.question("ada")
    after = start + count
    assert shown.ids[after] == tokenizer.sep_token_id
    assert shown.ids[after + 1 : after + 1 + len(question)] == question
    assert shown.ids[after + 1 + len(question) :] == [
        tokenizer.sep_token_id,
        *made.tokens("ben", "yes"),
        tokenizer.sep_token_id,
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_depends_on_its_own_window_and_on_every_part_of_it(kind, folders):
    asked = {"encoder": str(folders[kind]), "context": 2, "following": 1, "pooling": "mask", **SHOWN}
    encoder = Transformer(TextParameters(**asked))
    neighbour = Line("hate " * 20, "ben", LINE.before)
    alone = encoder([LINE])[0]
    np.testing.assert_allclose(encoder([neighbour, LINE])[1], alone, atol=1e-5)
    changes = [
        Line("i hate it", LINE.speaker, LINE.before, LINE.after),
        Line(LINE.text, "ben", LINE.before, LINE.after),
        Line(LINE.text, LINE.speaker, LINE.before[:1], LINE.after),
        Line(LINE.text, LINE.speaker, LINE.before, ()),
    ]
    for other in changes:
        assert np.abs(encoder([other])[0] - alone).max() > 1e-3
    rephrased = Transformer(TextParameters(**asked | {"question": "{speaker} is {mask}"}))
    assert np.abs(rephrased([LINE])[0] - alone).max() > 1e-3
    assert rephrased.metadata.version != encoder.metadata.version


def test_the_vector_is_the_state_at_the_mask_and_several_stand_beside_each_other(folders):
    asked = {"encoder": str(folders["bert"]), "context": 2, **SHOWN}
    one = Transformer(TextParameters(**asked, pooling="mask"))([LINE])
    both = Transformer(TextParameters(**asked, pooling=["own", "mask"]))
    own = Transformer(TextParameters(**asked, pooling="own"))([LINE])
    assert both.metadata.dimension == 32
    np.testing.assert_allclose(both([LINE]), np.concatenate([own, one], axis=1), atol=1e-6)
    assert np.abs(own - one).max() > 1e-3


@pytest.mark.parametrize("limit", [20, 24, 40])
def test_what_does_not_fit_costs_the_farthest_words_and_never_the_question(limit, folders):
    made = windows(folders["bert"], limit)
    before = tuple(("ben", f"{word} no") for word in ("what", "hate", "love", "yes"))
    shown = window(made, Line("i love it", "ada", before))
    question = made.question("ada")
    assert len(shown.ids) <= limit
    assert shown.ids[-1 - len(question) : -1] == question
    ((start, count),) = shown.spans
    assert count == len(made.tokens("ada", "i love it"))
    whole = window(windows(folders["bert"], 128), Line("i love it", "ada", before))
    # What is shown of the context are its last words.
    assert shown.ids[1:] == whole.ids[len(whole.ids) - len(shown.ids) + 1 :]
    assert start == len(shown.ids) - 2 - len(question) - count
    long = window(made, Line("love " * 300, "ada", before))
    assert len(long.ids) == limit
    assert long.ids[-1 - len(question) : -1] == question


@pytest.mark.parametrize("name", ["[MASK]", "oh [MASK] no", "ada " * 200, "{speaker}", "{text} {0} %s", ""])
def test_nobody_s_name_breaks_the_question(name, folders):
    made = windows(folders["bert"], 32)
    mask = AutoTokenizer.from_pretrained(folders["bert"]).mask_token_id
    shown = window(made, Line("i love {it} {speaker}", name))
    assert shown.ids[shown.masks[0]] == mask
    assert len(shown.ids) <= 32
    assert shown.masks[0] > sum(shown.spans[0])


def test_braces_of_a_question_are_shown_as_those_of_a_template_are(folders):
    made = windows(folders["bert"], question="{{ {speaker} }} is {{mask}} {mask}")
    tokenizer = AutoTokenizer.from_pretrained(folders["bert"])
    shown = tokenizer("{ ada } is {mask}", add_special_tokens=False)["input_ids"]
    assert made.question("ada") == [*shown, tokenizer.mask_token_id]


@pytest.mark.parametrize("kind", [*KINDS, "decoder"])
def test_a_window_is_no_longer_than_the_encoder_has_places_for(kind, folders, tmp_path):
    """A tokenizer need not name a length."""
    folder = tmp_path / kind
    if kind == "decoder":
        tiny.without_mask(folder)
    else:
        shutil.copytree(folders[kind], folder)
    settings = folder / "tokenizer_config.json"
    facts = json.loads(settings.read_text())
    facts.pop("model_max_length", None)
    settings.write_text(json.dumps(facts))
    asked = {} if kind == "decoder" else {"pooling": "mask", **SHOWN}
    encoder = Transformer(TextParameters(encoder=str(folder), context=1, max_tokens=600, **asked))
    [vector] = encoder([Line("love " * 700, "ada", (("ben", "oh " * 700),))])
    assert np.isfinite(vector).all()
    # Of 130 rows, RoBERTa and MPNet begin to count at the third; DeBERTa's and ModernBERT's are relative.
    places = {"bert": 512, "roberta": 128, "mpnet": 128, "decoder": 128}
    assert encoder._limit == places.get(kind, 600)


def test_an_encoder_without_a_mask_is_refused_by_name_and_one_that_is_not_asked_is_not(tmp_path):
    folder = tiny.without_mask(tmp_path / "decoder")
    with pytest.raises(ValueError, match="decoder has no mask token"):
        Transformer(TextParameters(encoder=str(folder), pooling="mask", **SHOWN))
    Transformer(TextParameters(encoder=str(folder), pooling="own"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": "{speaker}"}, "template: .* must hold {text} once"),
        ({"template": "{text} {text}"}, "must hold {text} once"),
        ({"template": "{text.__class__}"}, "nothing else"),
        ({"template": "{text!r}"}, "nothing else"),
        ({"template": "{text"}, "is no template"),
        ({"question": "How is {speaker}?"}, "question: .* must hold {mask} once"),
        ({"question": "{mask} {mask}"}, "must hold {mask} once"),
        ({"question": "{name} is {mask}"}, "nothing else"),
        ({"speaker_names": False}, "names the speaker, but speaker_names is false"),
    ],
)
@pytest.mark.parametrize("parameters", [TextParameters, partial(FinetuneParameters, read="mask")])
def test_what_cannot_be_asked_is_refused_before_anything_is_loaded(parameters, change, message):
    with pytest.raises(ValueError, match=message):
        parameters(**(SHOWN | change))


def test_a_question_that_takes_half_of_a_window_is_refused_with_what_would_do(folders):
    with pytest.raises(ValueError, match=r"takes \d+ tokens.*max_tokens: \d+ or more"):
        windows(folders["bert"], 12, question="oh no oh no oh no {speaker} {mask}")
