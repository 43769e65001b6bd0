"""Feed-forward and recurrent baselines: what every network must keep, and that each is its paper's."""

from dataclasses import replace

import pytest
import torch

from erc_kedro.models.architectures import build
from tests.defaults import LossParameters, ModelParameters
from tests.models.test_network import CLASSES, DIMENSIONS, batch, pick, probabilities

CONTEXT = {"concat_mlp": False, "late_fusion": False, "bc_lstm": True, "dialogue_rnn": True}
SHAPES = [ModelParameters(architecture=name, hidden=16, attention_heads=2) for name in CONTEXT]
SHAPES += [shape.model_copy(update={"layers": 2}) for shape in SHAPES[:3]]


def network(parameters, seed=0):
    torch.manual_seed(seed)
    return build(parameters, DIMENSIONS, CLASSES).eval()


def double(b):
    return replace(b, features=[x.double() for x in b.features])


def shapes(parameters=SHAPES):
    return pytest.mark.parametrize(
        "parameters", parameters, ids=lambda p: f"{p.architecture}-{p.layers}-{len(p.modalities)}"
    )


@shapes()
def test_padding_neighbours_and_order_change_nothing(parameters):
    net, b = network(parameters), batch([5, 1, 3, 4])
    whole = probabilities(net, b)
    for dialogues, length in (([2], 3), ([3, 2], 9), ([1], 1), ([2, 0, 1, 3], 5)):
        part = probabilities(net, pick(b, dialogues, length))
        for at, dialogue in enumerate(dialogues):
            n = int(b.valid[dialogue].sum())
            torch.testing.assert_close(part[:, at, :n], whole[:, dialogue, :n], atol=1e-5, rtol=0)


@shapes()
def test_more_speakers_elsewhere_change_nothing(parameters):
    net, b = network(parameters), batch([6, 4], speakers=9)
    b.speaker[0] %= 2
    assert b.speaker[1].max() > 2
    alone = probabilities(net, pick(b, [0], 6))
    torch.testing.assert_close(probabilities(net, b)[:, :1], alone, atol=1e-5, rtol=0)


@shapes()
def test_numbers_of_an_absent_modality_cannot_matter(parameters):
    net, b = network(parameters), batch([5, 3])
    poisoned = replace(
        b,
        features=[torch.where(b.present[..., m : m + 1], x, float("nan")) for m, x in enumerate(b.features)],
    )
    assert torch.equal(probabilities(net, poisoned), probabilities(net, b))


@shapes([shape.model_copy(update={"modalities": ("visual", "text")}) for shape in SHAPES])
def test_a_withheld_modality_is_as_absent(parameters):
    net, b = network(parameters), batch([5, 2])
    absent = replace(b, present=b.present & torch.tensor([True, False, True]))
    assert torch.equal(probabilities(net, b), probabilities(net, absent))
    ordered = network(parameters.model_copy(update={"modalities": ("text", "visual")}))
    ordered.load_state_dict(net.state_dict())
    assert torch.equal(probabilities(net, b), probabilities(ordered, b))


@shapes()
def test_odd_dialogues_give_probabilities(parameters):
    net, b = network(parameters), batch([110, 1, 0], speakers=9)
    b.present[1] = False
    p = probabilities(net, b)
    # Padding too: a loss that weighs it by nought would still be NaN.
    assert torch.isfinite(p).all()
    torch.testing.assert_close(p.sum(-1), torch.ones_like(p[..., 0]))


@shapes()
def test_gradients_are_finite_and_reach_every_weight(parameters):
    net, b = network(parameters), batch([6, 4, 5])
    b.present[:] = b.valid[..., None]
    loss, terms = net.loss(net(b), b, LossParameters())
    loss.backward()
    assert list(terms) == [f"label_{head}" for head in net.heads]
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.any(), name


@shapes()
def test_gradients_are_finite_where_nothing_is_present(parameters):
    net, b = network(parameters), batch([4, 3, 0])
    b.present[1] = False
    net.loss(net(b), b, LossParameters())[0].backward()
    assert all(torch.isfinite(weight.grad).all() for weight in net.parameters())


@shapes()
def test_context_is_used_by_those_that_have_one(parameters):
    # In double precision, since untrained stacked LSTMs carry a change only faintly.
    net, b = network(parameters).double(), double(batch([6]))
    b.present[:] = True
    changed = [x.clone() for x in b.features]
    for x in changed:
        x[:, 2] += 5
    change = (probabilities(net, replace(b, features=changed)) - probabilities(net, b)).abs().amax((0, 1, 3))
    reached = [step for step in range(6) if change[step] > 1e-10]
    assert reached == (list(range(6)) if CONTEXT[parameters.architecture] else [2])


@shapes()
def test_only_dialogue_rnn_listens_to_who_speaks(parameters):
    net, b = network(parameters), batch([6])
    b.present[:] = True
    told = [
        probabilities(net, replace(b, speaker=torch.tensor([who]))) for who in ([0] * 6, [0, 1, 0, 1, 2, 0])
    ]
    assert torch.equal(*told) == (parameters.architecture != "dialogue_rnn")


def test_late_fusion_is_the_mean_of_those_present():
    net, b = network(SHAPES[1]), batch([5])
    b.present[0] = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]])
    p = probabilities(net, b)[:, 0]
    voters = ([0, 1, 2], [0], [1, 2], [2], [0, 1, 2])
    for step, present in enumerate(voters):
        torch.testing.assert_close(p[3, step], p[present, step].mean(0))
    assert not torch.allclose(p[0], p[1], atol=1e-2)


def test_late_fusion_survives_a_probability_of_zero():
    net, b = network(SHAPES[1]), batch([5])
    with torch.no_grad():
        for weight in net.parameters():
            weight *= 100
    output = net(b)
    assert (output.logits[3].detach().exp() == 0).any()
    net.loss(output, b, LossParameters())[0].backward()
    assert torch.isfinite(output.logits).all()
    assert all(torch.isfinite(weight.grad).all() for weight in net.parameters())


def test_dialogue_rnn_is_the_papers_equations():
    net, b = network(SHAPES[3]).double(), double(batch([7, 1, 4], speakers=4))
    with torch.no_grad():
        logits = net(b).logits[0]
        for dialogue, n in enumerate([7, 1, 4]):
            expected = reference(net, b, dialogue, n)
            torch.testing.assert_close(logits[dialogue, :n], expected, atol=1e-8, rtol=0)


def reference(net, b, dialogue, n):
    """Logits [n, C] of one dialogue, an utterance at a time, as the paper writes them."""
    inputs = [
        torch.where(b.present[dialogue, :n, m, None], x[dialogue, :n], 0.0) for m, x in enumerate(b.features)
    ]
    u = torch.cat([project(x) for project, x in zip(net.inputs.maps, inputs, strict=True)], -1)
    said = list(zip(u, b.speaker[dialogue, :n].tolist(), strict=True))
    forth, back = direction(net, 0, said), direction(net, 1, said[::-1])[::-1]
    e = [torch.cat(pair) for pair in zip(forth, back, strict=True)]
    rows = []
    for this in e:
        beta = torch.stack([net.match(this) @ other for other in e]).softmax(0)
        rows.append(net.head(sum(share * other for share, other in zip(beta, e, strict=True))))
    return torch.stack(rows)


def direction(net, k, said):
    """Emotion states of one direction over (u_t, speaker), by GRU cells of concatenated inputs."""
    size = net.parties.size
    maps = {name: (layer.weight[k].T, layer.bias[k, 0]) for name, layer in net.parties.named_children()}
    (w_up, w_ug, w_query), (b_up, b_ug, b_query) = (
        x.split([3 * size, 3 * size, size]) for x in maps["utterance"]
    )
    (w_qp, w_qg), (b_qp, b_qg) = (x.split(3 * size) for x in maps["party"])
    (w_c, b_c), (w_g, b_g) = maps["context"], maps["dialogue"]
    party_gru = torch.cat([w_up, w_c], 1), w_qp, b_up + b_c, b_qp
    global_gru = torch.cat([w_ug, w_qg], 1), w_g, b_ug + b_qg, b_g
    emotion_gru = net.emotions[k].weight_ih_l0, net.emotions[k].weight_hh_l0
    emotion_gru += net.emotions[k].bias_ih_l0, net.emotions[k].bias_hh_l0
    zero = torch.zeros(size, dtype=torch.float64)

    def step(x, state, weights):
        return torch.gru_cell(x[None], state[None], *weights)[0]

    parties, past, emotions = {}, [], [zero]
    for u, speaker in said:
        q = parties.get(speaker, zero)
        c = zero
        if past:
            alpha = torch.stack([(w_query @ u + b_query) @ g for g in past]).softmax(0)
            c = sum(share * g for share, g in zip(alpha, past, strict=True))
        past.append(step(torch.cat([u, q]), past[-1] if past else zero, global_gru))
        parties[speaker] = step(torch.cat([u, c]), q, party_gru)
        emotions.append(step(parties[speaker], emotions[-1], emotion_gru))
    return emotions[1:]
