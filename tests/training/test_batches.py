"""Tables become tensors without mixing dialogues, splits or speakers."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from erc_kedro.training.batches import assemble, batch_of, dialogue_batches
from erc_kedro.training.checkpoint import effective
from tests.conftest import CLASSES, make_corpus
from tests.defaults import TrainParameters


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), size=st.integers(1, 40), shuffled=st.booleans())
def test_every_utterance_is_in_exactly_one_batch_in_its_place(seed, size, shuffled):
    utterances, features = make_corpus(9, seed)
    data = assemble(utterances, features, CLASSES, dict.fromkeys(features, "none"))
    seen = []
    for which in dialogue_batches(data, None, size, np.random.default_rng(seed) if shuffled else None):
        batch = batch_of(data, which)
        assert len(which) == 1 or batch.valid.numel() <= size
        for place in batch.valid.nonzero().tolist():
            row = int(batch.row[tuple(place)])
            utterance = utterances.set_index("utterance_id").loc[data.utterance_id[row]]
            assert utterance["position"] == place[1]
            assert CLASSES[int(batch.label[tuple(place)])] == utterance["label"]
            text = features["text"].set_index("utterance_id").loc[data.utterance_id[row], "vector"]
            assert batch.features[0][tuple(place)].numpy() == pytest.approx(text)
            seen.append(data.utterance_id[row])
        assert not batch.present[~batch.valid].any()
    assert sorted(seen) == sorted(utterances["utterance_id"])


def test_a_split_s_batches_hold_that_split_alone(corpus):
    data = assemble(*corpus, CLASSES)
    test = {i for which in dialogue_batches(data, "test", 64) for i in which}
    assert set(data.split[sorted(test)]) == {"test"}
    assert len(test) == (data.split == "test").sum()


def test_scaling_is_fitted_on_training_utterances_alone(corpus):
    utterances, features = corpus
    data = assemble(utterances, features, CLASSES)
    train = data.features[0][data.rows("train")]
    torch.testing.assert_close(train.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    loud = features["text"].copy()
    test = (utterances["split"] == "test").to_numpy()
    loud["vector"] = [v * 100 if t else v for v, t in zip(loud["vector"], test, strict=True)]
    other = assemble(utterances, {**features, "text": loud}, CLASSES)
    assert torch.equal(other.features[0][data.rows("train")], train)


def test_a_modality_that_test_alone_has_is_none(corpus):
    """Its encoder would be as it was drawn, and its head scored."""
    utterances, features = corpus
    visual = features["visual"].assign(present=(utterances["split"] == "test").to_numpy())
    data = assemble(utterances, {**features, "visual": visual}, CLASSES)
    assert data.modalities == ["text", "audio"]
    used = effective(TrainParameters(withhold=["visual"]), data)
    assert used.model.modalities == ("text", "audio")
    assert not used.withhold
    assert not data.only(used.model.modalities).present[:, 2].any()


def test_scaling_by_speaker_never_crosses_splits():
    utterances, features = make_corpus(40)
    how = {"text": "speaker"}
    data = assemble(utterances, features, CLASSES, how)
    loud = features["text"].copy()
    test = (utterances["split"] == "test").to_numpy()
    loud["vector"] = [v * 3 + 1 if t else v for v, t in zip(loud["vector"], test, strict=True)]
    other = assemble(utterances, {**features, "text": loud}, CLASSES, how)
    for split in ("train", "val", "test"):
        rows = data.rows(split)
        # Each speaker has its own mean and deviation, so that a louder recording changes nothing.
        torch.testing.assert_close(other.features[0][rows], data.features[0][rows], atol=1e-4, rtol=0)


def test_absent_numbers_never_enter(corpus):
    utterances, features = corpus
    absent = features["audio"].copy()
    absent.loc[::2, "present"] = False
    absent["vector"] = [
        v if p else np.full_like(v, np.nan) for v, p in zip(absent["vector"], absent["present"], strict=True)
    ]
    data = assemble(utterances, {**features, "audio": absent}, CLASSES)
    assert torch.isfinite(data.features[1]).all()
    assert int(data.present[:, 1].sum()) == int(absent["present"].sum())


def test_speakers_are_numbered_by_first_appearance(corpus):
    utterances, features = corpus
    renamed = utterances.assign(speaker=utterances["speaker"].map(lambda s: f"zz{9 - int(s[1:])}"))
    a, b = assemble(utterances, features, CLASSES), assemble(renamed, features, CLASSES)
    assert torch.equal(a.speaker, b.speaker)
    assert (a.speaker[:-1][a.start] == 0).all()


def test_missing_features_are_refused_by_name(corpus):
    utterances, features = corpus
    short = {**features, "visual": features["visual"].iloc[1:]}
    with pytest.raises(ValueError, match=r"visual features lack 1 utterances.*--pipeline=features"):
        assemble(utterances, short, CLASSES)


def test_the_fingerprint_follows_the_content(corpus):
    utterances, features = corpus
    first = assemble(utterances, features, CLASSES).fingerprint
    assert assemble(utterances.sample(frac=1, random_state=0), features, CLASSES).fingerprint == first
    other = utterances.copy()
    other.loc[0, "label"] = pd.NA
    assert assemble(other, features, CLASSES).fingerprint != first


@pytest.mark.parametrize("how", ["train", "speaker", "speaker_past"])
def test_numbers_are_scaled_whatever_their_size(how):
    utterances, features = make_corpus(40)
    tiny = features["text"].assign(vector=[v * 1e-9 for v in features["text"]["vector"]])
    plain = assemble(utterances, features, CLASSES, {"text": how})
    scaled = assemble(utterances, {**features, "text": tiny}, CLASSES, {"text": how})
    torch.testing.assert_close(scaled.features[0], plain.features[0], atol=1e-3, rtol=0)


def test_a_number_that_only_rounding_moves_says_nothing(corpus):
    utterances, features = corpus
    constant = np.float32(1234.567)
    vectors = [
        np.append(v, np.nextafter(constant, np.float32(9999)) if i % 3 else constant)
        for i, v in enumerate(features["text"]["vector"])
    ]
    data = assemble(utterances, {**features, "text": features["text"].assign(vector=vectors)}, CLASSES)
    assert not data.features[0][:, -1].any()


@pytest.mark.parametrize("how", ["train", "speaker", "speaker_past"])
def test_a_number_that_training_holds_constant_says_nothing_elsewhere(corpus, how):
    utterances, features = corpus
    train = (utterances["split"] == "train").to_numpy()
    vectors = [
        np.append(v, 0.5 if known else i)
        for i, (v, known) in enumerate(zip(features["text"]["vector"], train, strict=True))
    ]
    text = features["text"].assign(vector=vectors)
    data = assemble(utterances, {**features, "text": text}, CLASSES, {"text": how})
    assert not data.features[0][:, -1].any()


def test_a_speaker_s_past_is_scaled_by_training_first_and_by_itself_in_the_end():
    """Against the definition in plain loops: thirty utterances as training has them, and the past."""
    utterances, features = make_corpus(30)
    data = assemble(utterances, features, CLASSES, {"text": "speaker_past"})
    x = np.stack(features["text"]["vector"].to_list()).astype(float)
    known = x[(utterances["split"] == "train").to_numpy()]
    place = dict(zip(utterances["utterance_id"], range(len(utterances)), strict=True))
    for row, name in enumerate(data.utterance_id):
        own = utterances.iloc[place[name]]
        past = utterances[
            (utterances["dialogue_id"] == own["dialogue_id"])
            & (utterances["speaker"] == own["speaker"])
            & (utterances["position"] <= own["position"])
        ]
        said = x[[place[one] for one in past["utterance_id"]]]
        weight = 30 + len(said)
        mean = (30 * known.mean(0) + said.sum(0)) / weight
        square = (30 * (known.var(0) + known.mean(0) ** 2) + np.square(said).sum(0)) / weight
        expected = (x[place[name]] - mean) / np.sqrt(square - mean**2)
        np.testing.assert_allclose(data.features[0][row], expected, atol=1e-4)
