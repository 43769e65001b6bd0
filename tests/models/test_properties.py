"""What docs/model.md promises of the network, over random switches, sizes and dialogues."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from erc_kedro.models.batch import Batch
from erc_kedro.models.network import GatedFusionNetwork
from erc_kedro.parameters.train import LossWeights
from erc_kedro.schemas import MODALITIES
from tests.conftest import examples
from tests.defaults import LossParameters, ModelParameters
from tests.models.test_network import CLASSES, DIMENSIONS, pick, probabilities

repeatable = settings(max_examples=examples(40), deadline=None, derandomize=True)
seeds = st.integers(0, 99)


def shapes(causal=None, **others):
    return st.builds(
        ModelParameters,
        layers=st.integers(1, 2),
        context_encoder=st.sampled_from(["transformer", "gru"]),
        causal=st.booleans() if causal is None else st.just(causal),
        speaker_track=st.booleans(),
        gates=st.booleans(),
        guide=st.booleans(),
        fusion=st.sampled_from(["gated", "concat"]),
        linear_path=st.booleans(),
        modalities=st.lists(st.sampled_from(MODALITIES), min_size=1, unique=True),
        **{name: st.just(value) for name, value in {"hidden": 16, "attention_heads": 2, **others}.items()},
    )


def trained(parameters, seed):
    """A network with weights far from their small initial values, as training leaves them."""
    torch.manual_seed(seed)
    net = GatedFusionNetwork(parameters, DIMENSIONS, CLASSES).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight += 0.2 * torch.randn_like(weight)
    return net


@st.composite
def dialogues(draw, most=12, speakers=9):
    lengths = draw(st.lists(st.integers(0, most), min_size=1, max_size=4))
    return make_batch(
        lengths,
        speakers=draw(st.integers(1, speakers)),
        rate=draw(st.sampled_from([0.7, 0.0, 0.2, 1.0])),
        without=[draw(st.sets(st.integers(0, 2), max_size=3)) for _ in lengths],
        labelled=draw(st.sampled_from([0.7, 0.0, 0.2, 1.0])),
        seed=draw(seeds),
    )


def make_batch(lengths, speakers=3, rate=0.7, without=(), labelled=0.7, seed=0):
    """Dialogues of these lengths; ``without``: for each, the modalities that it lacks altogether."""
    noise = torch.Generator().manual_seed(seed)
    count, longest = len(lengths), max(*lengths, 1)
    valid = torch.arange(longest) < torch.tensor(lengths)[:, None]
    present = (torch.rand(count, longest, 3, generator=noise) < rate) & valid[..., None]
    for dialogue, lacks in enumerate(without):
        present[dialogue, :, sorted(lacks)] = False
    label = torch.randint(0, CLASSES, (count, longest), generator=noise)
    known = valid & (torch.rand(count, longest, generator=noise) < labelled)
    return Batch(
        features=[3 * torch.randn(count, longest, size, generator=noise) for size in DIMENSIONS],
        present=present,
        valid=valid,
        speaker=torch.randint(0, speakers, (count, longest), generator=noise) * valid,
        label=torch.where(known, label, -1),
        row=torch.where(valid, torch.arange(count * longest).view(count, longest), -1),
    )


@repeatable
@given(shapes(), seeds, dialogues(), st.data())
def test_padding_neighbours_and_order_change_no_probability(shape, seed, b, data):
    net = trained(shape, seed)
    whole = probabilities(net, b)
    assert torch.isfinite(whole).all()
    chosen = data.draw(st.permutations(range(len(b.valid))))[: data.draw(st.integers(1, len(b.valid)))]
    lengths = b.valid.sum(1)
    length = max(int(lengths[chosen].max()), 1) + data.draw(st.integers(0, 6))
    part = probabilities(net, pick(b, chosen, length))
    for at, dialogue in enumerate(chosen):
        n = int(lengths[dialogue])
        torch.testing.assert_close(part[:, at, :n], whole[:, dialogue, :n], atol=1e-5, rtol=0)


@repeatable
@given(shapes(), seeds, dialogues(), st.sampled_from([float("nan"), float("inf"), -float("inf"), 3e38]))
def test_numbers_of_what_is_absent_reach_no_output(shape, seed, b, poison):
    net, seen = trained(shape, seed), b.seen(shape.modalities)
    features = [torch.where(seen[..., m : m + 1], x, poison) for m, x in enumerate(b.features)]
    with torch.no_grad():
        clean, poisoned = net(b), net(replace(b, features=features))
    for field in fields(clean):
        one, other = getattr(clean, field.name), getattr(poisoned, field.name)
        if one is not None:
            assert torch.equal(other[:, b.valid], one[:, b.valid]), field.name


@repeatable
@given(shapes(), seeds, dialogues())
def test_a_withheld_modality_is_as_absent(shape, seed, b):
    net = trained(shape, seed)
    absent = replace(b, present=b.present & torch.tensor([name in shape.modalities for name in MODALITIES]))
    assert torch.equal(probabilities(net, b)[:, b.valid], probabilities(net, absent)[:, b.valid])


@repeatable
@given(shapes(causal=True), seeds, dialogues(), st.integers(0, 11))
def test_causal_nothing_that_comes_later_changes_what_was_said_before(shape, seed, b, i):
    net = trained(shape, seed)
    other = make_batch(b.valid.sum(1).tolist(), speakers=9, rate=0.5, seed=1000 + seed)
    later = torch.arange(b.valid.shape[1]) > i

    def changed(one, two):
        return torch.where(later.view(-1, *[1] * (one.dim() - 2)), two, one)

    future = replace(
        b,
        features=[changed(x, y) for x, y in zip(b.features, other.features, strict=True)],
        speaker=changed(b.speaker, other.speaker),
        present=changed(b.present, other.present),
    )
    before, after = probabilities(net, b)[:, :, : i + 1], probabilities(net, future)[:, :, : i + 1]
    said = b.valid[:, : i + 1]
    torch.testing.assert_close(after[:, said], before[:, said], atol=1e-6, rtol=0)


@repeatable
@given(shapes(causal=True), seeds, dialogues(), st.integers(1, 12))
def test_causal_a_dialogue_so_far_is_predicted_as_in_the_whole(shape, seed, b, so_far):
    net = trained(shape, seed)
    live = pick(b, list(range(len(b.valid))), min(so_far, b.valid.shape[1]))
    now, later = probabilities(net, live), probabilities(net, b)[:, :, : live.valid.shape[1]]
    torch.testing.assert_close(now[:, live.valid], later[:, live.valid], atol=1e-5, rtol=0)


ODD = {
    "of no utterance": make_batch([0]),
    "of one utterance": make_batch([1, 1], rate=1.0),
    "without any modality": make_batch([4, 1], rate=0.0),
    "with an utterance of no modality": make_batch([5, 3], rate=0.2),
    "of 110 utterances and 9 speakers": make_batch([110, 1, 0], speakers=9),
    "of more speakers than have an embedding": make_batch([40, 2], speakers=30),
}


@pytest.mark.parametrize("odd", ODD)
@settings(repeatable, max_examples=20)
@given(shape=shapes(), seed=seeds)
def test_odd_dialogues_give_probabilities(odd, shape, seed):
    p = probabilities(trained(shape, seed), ODD[odd])[:, ODD[odd].valid]
    assert torch.isfinite(p).all()
    torch.testing.assert_close(p.sum(-1), torch.ones_like(p[..., 0]), atol=1e-5, rtol=0)


@st.composite
def losses(draw, weights):
    return LossParameters(
        weights={name: draw(weights) for name in LossWeights.model_fields},
        temperature=draw(st.sampled_from([2.0, 0.5, 8.0])),
        supervision=draw(st.sampled_from(["teacher", "mutual"])),
        focal_gamma=draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])),
        label_smoothing=draw(st.sampled_from([0.0, 0.3])),
    )


class_weights = st.none() | st.lists(
    st.sampled_from([1.0, 0.0, 0.3, 20.0]), min_size=CLASSES, max_size=CLASSES
).map(torch.tensor)


@repeatable
@given(
    shape=shapes(dropout=0.3, guide_dropout=0.5),
    seed=seeds,
    b=dialogues(),
    parameters=losses(st.sampled_from([0.5, 0.0])),
    class_weight=class_weights,
    confidence=st.sampled_from([1.0, 100.0]),
)
def test_loss_and_gradients_are_finite(shape, seed, b, parameters, class_weight, confidence):
    net, seen = trained(shape, seed).train(), b.seen(shape.modalities)
    with torch.no_grad():
        net.classifiers.weight *= confidence
    poisoned = [torch.where(seen[..., m : m + 1], x, float("nan")) for m, x in enumerate(b.features)]
    b = replace(b, features=poisoned)
    loss, terms = net.loss(net(b), b, parameters, class_weight)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(term) for term in terms.values())
    for name, weight in net.named_parameters():
        assert weight.grad is None or torch.isfinite(weight.grad).all(), name


@repeatable
@given(
    shape=shapes(),
    seed=seeds,
    b=dialogues(),
    parameters=losses(st.sampled_from([0.5, 2.0])),
    class_weight=class_weights,
    off=st.sets(st.sampled_from(sorted(LossWeights.model_fields)), min_size=1),
)
def test_a_term_switched_off_is_gone_and_leaves_the_others_as_they_were(
    shape, seed, b, parameters, class_weight, off
):
    net = trained(shape, seed)
    with torch.no_grad():
        output = net(b)
        _, every = net.loss(output, b, parameters, class_weight)
        weights = parameters.weights.model_copy(update=dict.fromkeys(off, 0.0))
        fewer = parameters.model_copy(update={"weights": weights})
        loss, left = net.loss(output, b, fewer, class_weight)
    assert ("student_to_teacher" in every) == (parameters.supervision == "mutual")
    assert set(left) == set(every) - off
    assert all(torch.equal(left[name], every[name]) for name in left)
    assert loss.item() == pytest.approx(sum(term.item() for term in left.values()), rel=1e-5, abs=1e-6)
