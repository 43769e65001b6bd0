"""MMGCN and SDT: what every network promises, and each one's own equations."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from erc_kedro.models.architectures import build
from erc_kedro.models.baselines.mmgcn import ALPHA, LAMBDA, GraphConvolution, connect
from erc_kedro.models.encoders import sinusoids
from tests.defaults import LossParameters, ModelParameters
from tests.models.test_network import CLASSES, DIMENSIONS, batch, pick, probabilities

both = pytest.mark.parametrize("name", ["mmgcn", "sdt"])


def network(name, layers=2, **switch):
    torch.manual_seed(0)
    parameters = ModelParameters(architecture=name, hidden=16, attention_heads=2, layers=layers, **switch)
    return build(parameters, DIMENSIONS, CLASSES).eval()


def poisoned(b):
    """NaN wherever a modality is absent."""
    return replace(
        b,
        features=[torch.where(b.present[..., m : m + 1], x, float("nan")) for m, x in enumerate(b.features)],
    )


@both
def test_padding_neighbours_and_order_change_nothing(name):
    net, b = network(name), batch([5, 1, 3, 4])
    whole = probabilities(net, b)
    for dialogues, length in (([2], 3), ([3, 2], 9), ([1], 1), ([2, 0, 1, 3], 5)):
        part = probabilities(net, pick(b, dialogues, length))
        for at, dialogue in enumerate(dialogues):
            n = int(b.valid[dialogue].sum())
            torch.testing.assert_close(part[:, at, :n], whole[:, dialogue, :n], atol=1e-5, rtol=0)


@both
def test_numbers_of_an_absent_modality_cannot_matter(name):
    net, b = network(name), batch([5, 3])
    assert torch.equal(probabilities(net, poisoned(b))[:, b.valid], probabilities(net, b)[:, b.valid])


@both
def test_an_absent_modality_has_no_node_no_key_and_no_say(name):
    net, b = network(name, modalities=("text", "audio")), batch([4, 2])
    b.present[:] = b.valid[..., None]
    net(b).logits[-1][b.valid].pow(2).sum().backward()
    if name == "mmgcn":
        weights = [net.inputs[2].bias.grad, net.classifier.weight.grad.view(CLASSES, 6, -1)[:, [2, 5]]]
        heard = net.inputs[1].bias.grad
    else:
        weights = [net.layers[0].kv.weight.grad[[2, 5, 8]], net.reduce.weight.grad[2]]
        heard = net.layers[0].kv.weight.grad[1]
    assert all((weight == 0).all() for weight in weights)
    assert (heard != 0).any()


@both
def test_more_speakers_elsewhere_change_nothing(name):
    net, b = network(name), batch([5, 4])
    more = replace(b, speaker=b.speaker.clone())
    more.speaker[1, :4] = torch.arange(14, 18)
    before, after = probabilities(net, b), probabilities(net, more)
    torch.testing.assert_close(after[:, 0], before[:, 0], atol=1e-6, rtol=0)
    assert not torch.allclose(after[:, 1], before[:, 1], atol=1e-6)


@both
def test_odd_dialogues_give_probabilities(name):
    net, b = network(name), batch([110, 1, 0], speakers=9)
    b.present[1] = False
    b.present[0, 50] = False
    p = probabilities(net, b)
    assert p.shape == (len(net.heads), 3, 110, CLASSES)
    assert torch.isfinite(p).all()
    torch.testing.assert_close(p.sum(-1), torch.ones_like(p[..., 0]))


@both
@pytest.mark.parametrize("odd", ["absent", "identical"])
def test_gradients_are_finite(name, odd):
    net, b = network(name).train(), batch([5, 1, 0, 3])
    if odd == "absent":
        b.present[3] = False
        b = poisoned(b)
    else:
        b = replace(b, present=b.valid[..., None].expand(-1, -1, 3), speaker=torch.zeros_like(b.speaker))
        for x in b.features:
            x[:] = 1.0
    loss, terms = net.loss(net(b), b, LossParameters())
    loss.backward()
    torch.testing.assert_close(loss.detach(), torch.stack(list(terms.values())).sum())
    for weight_name, weight in net.named_parameters():
        assert torch.isfinite(weight.grad).all(), weight_name


@both
def test_gradients_reach_every_weight(name):
    net, b = network(name).train(), batch([5, 4])
    b.present[:] = b.valid[..., None]
    net.loss(net(b), b, LossParameters())[0].backward()
    for weight_name, weight in net.named_parameters():
        assert weight.grad is not None, weight_name
        assert (weight.grad != 0).any(), weight_name


@both
@pytest.mark.parametrize("modality", [0, 1, 2])
def test_each_modality_of_another_utterance_is_used(name, modality):
    net, b = network(name, layers=1), batch([4])
    b.present[:] = True
    other = replace(b, features=[x.clone() for x in b.features])
    other.features[modality][0, 3] += 3
    assert not torch.allclose(probabilities(net, other)[-1, 0, 0], probabilities(net, b)[-1, 0, 0], atol=1e-4)


def reference(x, here, h, initial, weight, depth):
    """One convolution over one dialogue, node by node: x, h, initial [3, L, d], here [3, L]."""
    length, size = x.shape[1:]
    nodes = [(m, i) for m in range(3) for i in range(length)]
    adjacency = torch.zeros(3 * length, 3 * length, dtype=x.dtype)
    for p, (m, i) in enumerate(nodes):
        for q, (n, j) in enumerate(nodes):
            if (m == n or i == j) and here[m, i] and here[n, j]:
                cosine = float(x[m, i] @ x[n, j] / (x[m, i].norm() * x[n, j].norm()))
                adjacency[p, q] = 1 - math.acos(cosine * 0.99999) / math.pi
    degree = adjacency.sum(1)
    for p in range(3 * length):
        for q in range(3 * length):
            if adjacency[p, q]:
                adjacency[p, q] /= math.sqrt(degree[p] * degree[q])
    mixed = (1 - ALPHA) * adjacency @ h.reshape(-1, size) + ALPHA * initial.reshape(-1, size)
    beta = math.log(LAMBDA / depth + 1)
    return (mixed @ ((1 - beta) * torch.eye(size, dtype=x.dtype) + beta * weight)).view(3, length, size)


def test_graph_convolution_is_that_of_a_dense_loop():
    draw = torch.Generator().manual_seed(0)
    x, h, initial = torch.randn(3, 3, 2, 5, 4, generator=draw, dtype=torch.float64)
    here = torch.rand(3, 2, 5, generator=draw) < 0.7
    here[:, 0, 4] = False
    layer = GraphConvolution(4, depth=3).double()
    with torch.no_grad():
        out = layer(h, initial, *connect(x, here))
        for d in range(2):
            node = (x[:, d], here[:, d], h[:, d], initial[:, d])
            expected = reference(*node, layer.weight.weight.T, depth=3)
            torch.testing.assert_close(out[:, d], expected, atol=1e-8, rtol=0)
    betas = [layer.beta for layer in network("mmgcn", layers=3).layers]
    assert betas == [math.log(LAMBDA / depth + 1) for depth in (1, 2, 3)]


def transformed(layer, group, target, source, seen):
    """One of SDT's nine transformer layers: target, source [L, d]; seen [L], which keys there are."""

    def linear(maps, x):
        return x @ maps.weight[group] + maps.bias[group]

    q, (k, v) = linear(layer.q, target), linear(layer.kv, source).chunk(2, -1)
    heads = []
    for a, b, c in zip(*(x.chunk(layer.attention_heads, -1) for x in (q, k, v)), strict=True):
        scores = (a @ b.T / math.sqrt(a.shape[-1])).masked_fill(~seen, float("-inf"))
        heads.append(scores.softmax(-1) @ c)
    h = target + linear(layer.out, torch.cat(heads, -1))
    normal = F.layer_norm(h, h.shape[-1:]) * layer.norm.weight[group] + layer.norm.bias[group]
    return h + linear(layer.down, F.gelu(linear(layer.up, normal)))


def test_sdt_is_nine_transformers_and_two_gates():
    net, b = network("sdt", layers=1), batch([5])
    b.present[0] = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0]]).bool()
    with torch.no_grad():
        out = net(b).logits[:, 0]
        codes = sinusoids(5, 16, torch.device("cpu")) + net.speaker[b.speaker[0]]
        features = [x[0] * b.present[0, :, m, None] for m, x in enumerate(b.features)]
        z = [project(x) + codes for project, x in zip(net.inputs, features, strict=True)]
        singles = []
        for m in range(3):
            gated = []
            for n in range(3):
                h = transformed(net.layers[0], 3 * m + n, z[m], z[n], b.present[0, :, n])
                gated.append(torch.sigmoid(h @ net.gate.weight[3 * m + n] + net.gate.bias[3 * m + n]) * h)
            singles.append(torch.cat(gated, -1) @ net.reduce.weight[m] + net.reduce.bias[m])
            student = singles[m].relu() @ net.students.weight[m] + net.students.bias[m]
            torch.testing.assert_close(out[m], student, atol=1e-5, rtol=0)
        for i in range(5):
            there = [m for m in range(3) if b.present[0, i, m]] or [0, 1, 2]
            parts = torch.stack([singles[m][i] for m in there])
            fused = (net.weigh(parts).softmax(0) * parts).sum(0)
            torch.testing.assert_close(out[3, i], net.teacher(fused), atol=1e-5, rtol=0)


def test_sdt_loss_is_that_of_its_parts():
    net, b = network("sdt"), batch([5, 3])
    b.label[0, 1] = -1
    b.present[1, 2] = torch.tensor([True, False, True])
    output = net(b)
    loss, terms = net.loss(output, b, LossParameters(temperature=3.0))
    assert set(terms) == {"label_t", "label_a", "label_v", "label_tav", "teacher_to_single"}
    known = b.valid & (b.label >= 0)
    expected = F.cross_entropy(output.logits[3][known], b.label[known])
    teacher = (output.logits[3] / 3).softmax(-1)
    for m in range(3):
        there = b.present[..., m]
        expected += F.cross_entropy(output.logits[m][known & there], b.label[known & there])
        student = (output.logits[m][there] / 3).log_softmax(-1)
        expected += F.kl_div(student, teacher[there], reduction="batchmean")
    torch.testing.assert_close(loss, expected)


def test_sdt_teacher_does_not_learn_from_its_students():
    net, b = network("sdt"), batch([5, 3])
    b.label[:] = -1
    output = net(b)
    output.logits.retain_grad()
    net.loss(output, b, LossParameters())[0].backward()
    assert (output.logits.grad[3] == 0).all()
    assert (output.logits.grad[:3] != 0).any()
