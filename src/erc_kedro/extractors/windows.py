"""Utterances in their context as one sequence of an encoder's tokens, and the pooling of an utterance's own.

A sequence is: opening, the utterances before, the targets, the utterances after, each closed by the
tokenizer's separator. What does not fit is cut off at the far ends of the context.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Said = tuple[str, str]


@dataclass(frozen=True)
class Window:
    """A sequence of tokens, and where each target's own tokens lie in it: (start, length)."""

    ids: list[int]
    spans: list[tuple[int, int]]


class Windows:
    """Makes sequences for one tokenizer.

    Args:
        tokenizer: of ``transformers``.
        limit: tokens in a sequence, at most.
    """

    def __init__(self, tokenizer: Any, limit: int) -> None:
        self._tokenizer, self._limit = tokenizer, limit
        self._opening = [i for i in (tokenizer.cls_token_id, tokenizer.bos_token_id) if i is not None][:1]
        self._closing = [i for i in (tokenizer.sep_token_id, tokenizer.eos_token_id) if i is not None][:1]

    @property
    def room(self) -> int:
        """Tokens that a lone utterance may have."""
        return self._limit - len(self._opening) - len(self._closing)

    def tokens(self, speaker: str, text: str) -> list[int]:
        """An utterance's own tokens; with a speaker, ``speaker: text``."""
        said = f"{speaker}: {text}" if speaker else text
        return list(self._tokenizer(said, add_special_tokens=False, verbose=False)["input_ids"])

    def window(
        self, before: Sequence[list[int]], targets: Sequence[list[int]], after: Sequence[list[int]]
    ) -> Window:
        """One sequence of utterances that are tokens already; targets are cut only where they do not fit."""
        row, spans = [*self._opening], []
        closing = len(self._closing)
        room = self._limit - len(row) - closing * len(targets)
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
        for own in kept:
            spans.append((len(row), len(own)))
            row += [*own, *self._closing]
        return Window([*row, *later], spans)

    def batch(self, windows: Sequence[Window]) -> tuple[dict[str, Tensor], Tensor]:
        """Padded tokens [B, L], and which tokens [T, B * L] are each target's own, targets in order."""
        # Padded on the right whatever the tokenizer's habit, so that the spans hold.
        tokens = self._tokenizer.pad(
            {"input_ids": [window.ids for window in windows]}, return_tensors="pt", padding_side="right"
        )
        length = tokens["input_ids"].shape[1]
        spans = [
            (row * length + start, count)
            for row, window in enumerate(windows)
            for start, count in window.spans
        ]
        start, count = torch.tensor(spans).T[..., None]
        position = torch.arange(len(windows) * length)
        return dict(tokens), (position >= start) & (position < start + count)


def pooled(hidden: Tensor, own: Tensor) -> Tensor:
    """The mean [T, H] of states [B, L, H] over each target's own tokens [T, B * L]; zeros without any."""
    weight = own.to(hidden.dtype)
    return (weight @ hidden.flatten(0, 1)) / weight.sum(1, keepdim=True).clamp(min=1)
