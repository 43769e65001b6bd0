"""Utterances in their context as one sequence of an encoder's tokens, and the pooling of an utterance's own.

A sequence is: opening, the utterances before, the targets, the utterances after, each closed by the
tokenizer's separator. A target may be followed by a question with a mask (docs/finetuning.md), which is
closed, too. What does not fit is cut off at the far ends of the context, never the question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

import torch
from torch import Tensor

from erc_kedro.parameters import WindowParameters

Said = tuple[str, str]


# So much of a speaker's name is shown, in characters.
NAME = 40


@dataclass(frozen=True)
class Window:
    """A sequence of tokens, and where in it each target's own tokens lie: (start, length).

    Attributes:
        masks: where the mask of each target's question is; empty without questions.
    """

    ids: list[int]
    spans: list[tuple[int, int]]
    masks: list[int] = field(default_factory=list)


class Windows:
    """Makes sequences for one tokenizer.

    Args:
        tokenizer: of ``transformers``.
        limit: tokens in a sequence, at most.
        shown: how utterances read, and what is asked.
    Raises:
        ValueError: a question is asked of a tokenizer without a mask, or is longer than half of a sequence.
    """

    def __init__(self, tokenizer: Any, limit: int, shown: WindowParameters) -> None:
        self._tokenizer, self._limit, self._shown = tokenizer, limit, shown
        self._opening = [i for i in (tokenizer.cls_token_id, tokenizer.bos_token_id) if i is not None][:1]
        self._closing = [i for i in (tokenizer.sep_token_id, tokenizer.eos_token_id) if i is not None][:1]
        if shown.asked is None:
            return
        if tokenizer.mask_token_id is None:
            name = getattr(tokenizer, "name_or_path", "") or "the encoder"
            raise ValueError(
                f"{name} has no mask token to ask at; choose an encoder that was trained to fill masks "
                "(BERT, RoBERTa, MPNet, DeBERTa, ModernBERT), or ask nothing (finetune.read: own, "
                "features.text.question: null)"
            )
        shortest = len(self._asked("")) + len(self._closing)
        if shortest > self.room // 2:
            needed = 2 * shortest + limit - self.room
            raise ValueError(
                f"question: {shown.asked!r} takes {shortest} tokens, more than half of the {limit} of "
                f"max_tokens; write max_tokens: {needed} or more, or ask shorter"
            )

    @property
    def room(self) -> int:
        """Tokens that a lone utterance may have, and its question."""
        return self._limit - len(self._opening) - len(self._closing)

    def tokens(self, speaker: str, text: str) -> list[int]:
        """An utterance's own tokens, with its speaker if there is one (``template``)."""
        # The parameters have checked what the template holds; braces in what was said are no fields.
        said = self._shown.template.format(speaker=speaker[:NAME], text=text) if speaker else text
        return self._ids(said)

    def question(self, speaker: str) -> list[int]:
        """The question's tokens; none where nothing is asked. A name that does not fit is left out."""
        asked = self._asked(speaker[:NAME])
        fits = len(asked) + len(self._closing) <= self.room // 2
        return asked if fits else self._asked("")

    def _asked(self, speaker: str) -> list[int]:
        if self._shown.asked is None:
            return []
        mask = self._tokenizer.mask_token_id
        parts = [""]
        for literal, name, *_ in Formatter().parse(self._shown.asked):
            parts[-1] += literal + (speaker if name == "speaker" else "")
            if name == "mask":
                parts.append("")
        # Somebody may be called "[MASK]".
        before, after = ([i for i in self._ids(part.strip()) if i != mask] for part in parts)
        return [*before, mask, *after]

    def _ids(self, said: str) -> list[int]:
        return (
            list(self._tokenizer(said, add_special_tokens=False, verbose=False)["input_ids"]) if said else []
        )

    def window(
        self,
        before: Sequence[list[int]],
        targets: Sequence[list[int]],
        after: Sequence[list[int]],
        questions: Sequence[list[int]] = (),
    ) -> Window:
        """One sequence of utterances that are tokens already; targets are cut only where they do not fit.

        Args:
            questions: one a target, as ``question`` gives them, or none at all.
        """
        asked = [question for question in questions if question] or [[]] * len(targets)
        row, spans, masks = [*self._opening], [], []
        closing = len(self._closing)
        room = self._limit - len(row) - closing * len(targets)
        room -= sum(len(question) + closing for question in asked if question)
        kept = []
        for own in targets:
            kept.append(own[: max(0, room)])
            room -= len(kept[-1])
        earlier = [i for said in before for i in (*said, *self._closing)]
        later = [i for said in after for i in (*said, *self._closing)]
        # Each side may have half of what is left, and what the other leaves of its half.
        room = max(0, room)
        share = max(room - room // 2, room - len(later))
        earlier = earlier[max(0, len(earlier) - share) :]
        later = later[: room - len(earlier)]
        row += earlier
        for own, question in zip(kept, asked, strict=True):
            spans.append((len(row), len(own)))
            row += [*own, *self._closing]
            if question:
                masks.append(len(row) + question.index(self._tokenizer.mask_token_id))
                row += [*question, *self._closing]
        return Window([*row, *later], spans, masks)

    def pad(self, windows: Sequence[Window]) -> dict[str, Tensor]:
        """The windows' tokens [B, L], padded."""
        # On the right whatever the tokenizer's habit, so that the spans hold.
        tokens = self._tokenizer.pad(
            {"input_ids": [window.ids for window in windows]}, return_tensors="pt", padding_side="right"
        )
        return dict(tokens)


def longest(wanted: int, tokenizer: Any, encoder: torch.nn.Module) -> int:
    """Tokens in a sequence, at most: as many as wanted, or as tokenizer and encoder have places for."""
    # Many a tokenizer names no length.
    lengths = [wanted, tokenizer.model_max_length]
    for name, module in encoder.named_modules():
        if name.endswith(("position_embeddings", "wpe")) and isinstance(module, torch.nn.Embedding):
            # RoBERTa and its like count on from the row of padding.
            unused = 0 if module.padding_idx is None else module.padding_idx + 1
            lengths.append(module.num_embeddings - unused)
    return min(lengths)


def own_tokens(windows: Sequence[Window], length: int) -> Tensor:
    """Which tokens [T, B * length] are each target's own, targets in order; windows are ``length`` long."""
    return _within([window.spans for window in windows], length)


def at_masks(windows: Sequence[Window], length: int) -> Tensor:
    """Which token [T, B * length] is the mask of each target's question, targets in order."""
    return _within([[(at, 1) for at in window.masks] for window in windows], length)


def _within(places: Sequence[Sequence[tuple[int, int]]], length: int) -> Tensor:
    spans = [(row * length + start, count) for row, part in enumerate(places) for start, count in part]
    start, count = torch.tensor(spans).T[..., None]
    position = torch.arange(len(places) * length)
    return (position >= start) & (position < start + count)


def pooled(hidden: Tensor, own: Tensor) -> Tensor:
    """The mean [T, H] of states [B, L, H] over each target's own tokens [T, B * L]; zeros without any."""
    weight = own.to(hidden.dtype)
    return (weight @ hidden.flatten(0, 1)) / weight.sum(1, keepdim=True).clamp(min=1)
