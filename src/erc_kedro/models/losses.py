"""The loss with dual supervision by labels and by the trimodal teacher (docs/model.md#loss).

The paper's idea is the distillation under labels and teacher; the equations and weights are ours.
Every mean runs over the real utterances that it concerns: labelled ones for the supervised terms,
and for a student only those in which at least one of its modalities is present.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from erc_kedro.models.batch import Batch, Output
from erc_kedro.models.fusion import FIRST, SECOND, represented
from erc_kedro.parameters import LossParameters

SINGLES = slice(0, 3)
PAIRS = slice(3, 6)
TEACHER = 6


def supervised(
    logits: Tensor, label: Tensor, mask: Tensor, class_weight: Tensor | None, gamma: float, smoothing: float
) -> Tensor:
    """Cross-entropy per head, weighted by class, focal (Lin et al., 2017) or smoothed.

    Args:
        logits: [R, N, C]; label: [N], -1 where there is none; mask: bool [R, N].
        class_weight: [C] or None.
    Returns:
        [R], the weighted mean of each head; 0 where no utterance counts.
    """
    heads, count, classes = logits.shape
    mask = mask & (label >= 0)
    target = label.clamp(min=0)
    loss = F.cross_entropy(
        logits.reshape(-1, classes), target.repeat(heads), reduction="none", label_smoothing=smoothing
    ).view(heads, count)
    if gamma > 0:
        right = logits.softmax(-1).gather(-1, target.expand(heads, count)[..., None])[..., 0]
        # The floor keeps the gradient finite where the right class is certain and gamma below 1.
        loss = (1 - right).clamp(min=1e-7) ** gamma * loss
    weight = mask.to(loss.dtype)
    if class_weight is not None:
        weight = weight * class_weight.to(loss.dtype)[target]
    return _mean(loss, weight)


def distilled(teacher: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """T^2 KL(sg teacher || student) at temperature T (Hinton et al., 2015).

    Args:
        teacher, student: logits [R, N, C]; mask: bool [R, N].
    Returns:
        [R], the mean of each row.
    """
    target = (teacher.detach() / temperature).log_softmax(-1)
    return _divergence(target, student, mask, temperature)


def consistency(projected: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """1 - cos(Pi_r F_r, sg F_tav): projected [R, N, d], target [N, d], mask bool [R, N] -> [R]."""
    distance = 1 - F.cosine_similarity(projected, target.detach().expand_as(projected), dim=-1)
    return _mean(distance, mask.to(distance.dtype))


def redundancy(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Squared norm of the off-diagonal cross-correlation of each pair of modalities, over d.

    Correlations are taken over the batch's utterances in which both modalities are present, as in
    Barlow Twins (Zbontar et al., 2021).

    Args:
        first, second: [P, N, d]; mask: bool [P, N].
    Returns:
        [P]; 0 for a pair with fewer than two such utterances.
    """
    weight = mask.to(first.dtype)[..., None]
    count = weight.sum(1, keepdim=True)

    def standard(x: Tensor) -> Tensor:
        x = (x - (x * weight).sum(1, keepdim=True) / count.clamp(min=1)) * weight
        # The floor keeps the gradient finite where a channel is constant.
        return x / ((x**2).sum(1, keepdim=True) / count.clamp(min=1) + 1e-6).sqrt()

    correlation = standard(first).transpose(1, 2) @ standard(second) / count.clamp(min=1)
    squares = (correlation**2).sum((1, 2)) - (correlation.diagonal(dim1=1, dim2=2) ** 2).sum(1)
    return squares / first.shape[-1] * (count[:, 0, 0] >= 2)


def total(
    output: Output,
    batch: Batch,
    parameters: LossParameters,
    to_teacher: Callable[[Tensor], Tensor],
    to_shared: Callable[[Tensor], Tensor],
    class_weight: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The whole loss of a batch.

    Args:
        to_teacher: Pi, [6, N, d] -> [6, N, d]; to_shared: Q, [3, N, d] -> [3, N, d].
        class_weight: [C] for ``class_weighting``, or None.
    Returns:
        The scalar loss and each term that is switched on, weighted and detached, by name.
    """
    p, weights = parameters, parameters.weights
    valid = batch.valid.flatten()
    present = (batch.present & batch.valid[..., None]).flatten(0, 1)[None]
    label = torch.where(valid, batch.label.flatten(), -1)
    logits = output.logits.flatten(1, 2)
    students = represented(present)[:, 0]
    # From the order ta, tv, av, t, a, v to the heads' order t, a, v, ta, tv, av.
    mask = torch.cat([students[3:], students[:3], valid[None]]) & valid
    terms: dict[str, Tensor] = {}

    ce = supervised(logits, label, mask, class_weight, p.focal_gamma, p.label_smoothing)
    terms["label_to_teacher"] = ce[TEACHER]
    if weights.label_to_pair:
        terms["label_to_pair"] = weights.label_to_pair * ce[PAIRS].mean()
    if weights.label_to_single:
        terms["label_to_single"] = weights.label_to_single * ce[SINGLES].mean()

    teacher = logits[TEACHER].expand(3, -1, -1)
    if weights.teacher_to_pair:
        kl = distilled(teacher, logits[PAIRS], mask[PAIRS], p.temperature)
        terms["teacher_to_pair"] = weights.teacher_to_pair * kl.mean()
    if weights.teacher_to_single:
        kl = distilled(teacher, logits[SINGLES], mask[SINGLES], p.temperature)
        terms["teacher_to_single"] = weights.teacher_to_single * kl.mean()
    if weights.pair_to_single:
        pairs, singles = logits[PAIRS].repeat(2, 1, 1), logits[SINGLES][[*FIRST, *SECOND]]
        kl = distilled(pairs, singles, mask[SINGLES][[*FIRST, *SECOND]], p.temperature)
        terms["pair_to_single"] = weights.pair_to_single * kl.mean()
    if p.supervision == "mutual" and weights.student_to_teacher:
        scaled = (logits[:TEACHER].detach() / p.temperature).log_softmax(-1)
        # The students' mean in probability; an absent student has no say.
        votes = mask[:TEACHER].to(scaled.dtype)[..., None]
        mean = (scaled.exp() * votes).sum(0) / votes.sum(0).clamp(min=1)
        heard = mask[TEACHER] & mask[:TEACHER].any(0)
        log_mean = mean.clamp(min=torch.finfo(mean.dtype).tiny).log()
        kl = _divergence(log_mean[None], logits[TEACHER][None], heard[None], p.temperature)
        terms["student_to_teacher"] = weights.student_to_teacher * kl.mean()
    assert output.representations is not None
    representations = output.representations.flatten(1, 2)
    if weights.consistency:
        projected = to_teacher(representations[:TEACHER])
        distance = consistency(projected, representations[TEACHER], mask[:TEACHER])
        terms["consistency"] = weights.consistency * distance.mean()
    if weights.redundancy:
        projected = to_shared(representations[SINGLES])
        here = mask[SINGLES]
        squares = redundancy(
            projected[list(FIRST)], projected[list(SECOND)], here[list(FIRST)] & here[list(SECOND)]
        )
        terms["redundancy"] = weights.redundancy * squares.mean()
    loss = torch.stack(list(terms.values())).sum()
    return loss, {name: term.detach() for name, term in terms.items()}


def _divergence(log_target: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    log_student = (student / temperature).log_softmax(-1)
    divergence = (log_target.exp() * (log_target - log_student)).sum(-1)
    return temperature**2 * _mean(divergence, mask.to(divergence.dtype))


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over the last axis; 0 where the weights are all 0."""
    total = weight.sum(-1)
    return (x * weight).sum(-1) / torch.where(total > 0, total, 1)
