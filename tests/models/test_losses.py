"""Each term of the loss against a few lines of plain loops, in float64."""

import math

import pytest
import torch

from erc_kedro.models.losses import consistency, distilled, redundancy, supervised
from erc_kedro.models.network import GatedFusionNetwork
from erc_kedro.parameters.train import LossWeights
from tests.defaults import LossParameters, ModelParameters
from tests.models.test_network import CLASSES, DIMENSIONS, batch

R, N, C, D = 3, 7, 4, 5


@pytest.fixture
def numbers():
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(R, N, C, generator=draw, dtype=torch.float64)
    label = torch.tensor([0, 3, -1, 2, 1, 1, 3])
    mask = torch.rand(R, N, generator=draw) < 0.7
    return logits, label, mask


def softmax(row, temperature=1.0):
    powers = [math.exp(x / temperature) for x in row]
    return [p / sum(powers) for p in powers]


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0, 3.0]])
def test_supervised(numbers, gamma, smoothing, weights):
    logits, label, mask = numbers
    class_weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    got = supervised(logits, label, mask, class_weight, gamma, smoothing)
    for r in range(R):
        above = below = 0.0
        for i in range(N):
            if not mask[r, i] or label[i] < 0:
                continue
            y = int(label[i])
            p = softmax(logits[r, i].tolist())
            target = [smoothing / C + (1 - smoothing) * (c == y) for c in range(C)]
            loss = (1 - p[y]) ** gamma * -sum(t * math.log(q) for t, q in zip(target, p, strict=True))
            w = 1.0 if weights is None else weights[y]
            above, below = above + w * loss, below + w
        assert got[r].item() == pytest.approx(above / below, rel=1e-10)


def test_distilled(numbers):
    logits, _, mask = numbers
    student = logits.flip(0).clone().requires_grad_()
    teacher = logits.clone().requires_grad_()
    got = distilled(teacher, student, mask, 2.0)
    for r in range(R):
        values = []
        for i in range(N):
            if mask[r, i]:
                p, q = softmax(logits[r, i].tolist(), 2.0), softmax(student[r, i].tolist(), 2.0)
                values.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
        assert got[r].item() == pytest.approx(4.0 * sum(values) / len(values), rel=1e-10)
    got.sum().backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_consistency():
    draw = torch.Generator().manual_seed(2)
    projected = torch.randn(R, N, D, generator=draw, dtype=torch.float64)
    target = torch.randn(N, D, generator=draw, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(R, N, generator=draw) < 0.6
    got = consistency(projected, target, mask)
    for r in range(R):
        values = []
        for i in range(N):
            if mask[r, i]:
                a, b = projected[r, i].tolist(), target[i].tolist()
                dot = sum(x * y for x, y in zip(a, b, strict=True))
                values.append(1 - dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b)))
        assert got[r].item() == pytest.approx(sum(values) / len(values), rel=1e-9)
    assert not got.requires_grad


def test_redundancy():
    draw = torch.Generator().manual_seed(3)
    first = torch.randn(2, N, D, generator=draw, dtype=torch.float64)
    second = torch.randn(2, N, D, generator=draw, dtype=torch.float64)
    mask = torch.tensor([[True] * N, [True, False, True, True, False, True, True]])
    got = redundancy(first, second, mask)
    for p in range(2):
        rows = [i for i in range(N) if mask[p, i]]

        def standard(x, rows=rows, p=p):
            columns = []
            for j in range(D):
                values = [x[p, i, j].item() for i in rows]
                mean = sum(values) / len(values)
                spread = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values) + 1e-6)
                columns.append([(v - mean) / spread for v in values])
            return columns

        a, b = standard(first), standard(second)
        total_ = 0.0
        for j in range(D):
            for k in range(D):
                if j != k:
                    total_ += (sum(x * y for x, y in zip(a[j], b[k], strict=True)) / len(rows)) ** 2
        assert got[p].item() == pytest.approx(total_ / D, rel=1e-9)


def test_nothing_to_average_is_zero(numbers):
    logits, label, mask = numbers
    none = torch.zeros_like(mask)
    assert supervised(logits, label, none, None, 0.0, 0.0).tolist() == [0.0] * R
    assert distilled(logits, logits.flip(0), none, 2.0).tolist() == [0.0] * R
    assert redundancy(torch.randn(R, N, D), torch.randn(R, N, D), none).tolist() == [0.0] * R


def test_a_weight_of_zero_switches_its_term_off():
    torch.manual_seed(0)
    net = GatedFusionNetwork(ModelParameters(hidden=16, attention_heads=2), DIMENSIONS, CLASSES).eval()
    b = batch([4, 3])
    loss, every = net.loss(net(b), b, LossParameters())
    assert loss.item() == pytest.approx(sum(v.item() for v in every.values()))
    switched_on = set(LossWeights.model_fields) - {"student_to_teacher"}
    assert set(every) == {"label_to_teacher", *switched_on}
    for name in switched_on:
        _, terms = net.loss(net(b), b, LossParameters(weights={name: 0.0}))
        assert set(every) - set(terms) == {name}


def test_students_are_taught_only_where_their_modality_is():
    torch.manual_seed(0)
    net = GatedFusionNetwork(ModelParameters(hidden=16, attention_heads=2), DIMENSIONS, CLASSES)
    b = batch([4, 3])
    b.present[..., 2] = False
    output = net(b)
    output.logits.retain_grad()
    net.loss(output, b, LossParameters())[0].backward()
    assert output.logits.grad[2].abs().sum() == 0
    assert output.logits.grad[0].abs().sum() > 0
