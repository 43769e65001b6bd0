"""Dialogues as windows of tokens to learn from, in batches of similar length."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.extractors.text import shown_speakers
from erc_kedro.extractors.windows import Window, Windows
from erc_kedro.parameters import FinetuneParameters


@dataclass(frozen=True)
class Example:
    """A window, and the class of each of its targets (-1: unlabelled)."""

    window: Window
    labels: tuple[int, ...]


class Dialogues:
    """A corpus's dialogues as tokens, tokenised once.

    Args:
        utterances: the table's rows that are learned from or validated on, with all of their dialogues.
    """

    def __init__(
        self,
        utterances: pd.DataFrame,
        classes: Sequence[str],
        tokenizer: Any,
        limit: int,
        parameters: FinetuneParameters,
    ) -> None:
        self._windows = Windows(tokenizer, limit)
        self._parameters = parameters
        code = {name: index for index, name in enumerate(classes)}
        table = utterances.sort_values(["dialogue_id", "position"])
        speakers = shown_speakers(table, parameters.speaker_names)
        tokens = [self._windows.tokens(*said) for said in zip(speakers, table["text"], strict=True)]
        labels = table["label"].map(code).fillna(-1).astype(int).to_numpy()
        self._said: dict[str, list[tuple[list[int], int]]] = {}
        for dialogue, own, label in zip(table["dialogue_id"], tokens, labels, strict=True):
            self._said.setdefault(dialogue, []).append((own, int(label)))

    @property
    def count(self) -> int:
        """Utterances."""
        return sum(map(len, self._said.values()))

    def examples(self, targets: int = 1, draw: np.random.Generator | None = None) -> list[Example]:
        """Windows of up to ``targets`` neighbouring utterances each, which together cover every dialogue.

        A window holds fewer where they would not fit with at least as many tokens of context.

        Args:
            draw: where given, where the first window of a dialogue ends is drawn, so that epochs differ.
        """
        made = []
        for said in self._said.values():
            first = 0
            most = targets if draw is None else int(draw.integers(1, targets + 1))
            while first < len(said):
                last = first + 1
                taken = len(said[first][0])
                while last < min(len(said), first + most):
                    taken += len(said[last][0])
                    if 2 * taken > self._windows.room:
                        break
                    last += 1
                example = self._example(said, first, last)
                # Without a label, or a word, there is nothing to learn.
                if any(
                    label >= 0 and count
                    for label, (_, count) in zip(example.labels, example.window.spans, strict=True)
                ):
                    made.append(example)
                first, most = last, targets
        return made

    def _example(self, said: list[tuple[list[int], int]], first: int, last: int) -> Example:
        before = said[max(0, first - self._parameters.context) : first]
        after = said[last : last + self._parameters.following]
        window = self._windows.window(
            *([own for own, _ in part] for part in (before, said[first:last], after))
        )
        return Example(window, tuple(label for _, label in said[first:last]))

    def tensors(self, examples: Sequence[Example]) -> tuple[dict[str, Any], Any, Any]:
        """Tokens [B, L], each target's own tokens [T, B * L], and its class [T]."""
        import torch

        tokens, own = self._windows.batch([example.window for example in examples])
        labels = torch.tensor([label for example in examples for label in example.labels])
        return tokens, own, labels.masked_fill(~own.any(1), -1)


def batches(
    examples: Sequence[Example], utterances: int, tokens: int, draw: np.random.Generator | None = None
) -> list[list[Example]]:
    """Examples in batches of similar length, which hold so many utterances, or tokens with padding, at most.

    Args:
        draw: where given, who is together with whom, and the order of batches, are drawn.
    """
    order: Iterable[int] = range(len(examples))
    # Sorted whole, batches would be the same in every epoch; pools of some dozens differ and pad little.
    pool = len(examples) if draw is None else 50 * utterances
    if draw is not None:
        order = draw.permutation(len(examples))
    mixed = [examples[index] for index in order]
    made: list[list[Example]] = []
    for first in range(0, len(mixed), max(1, pool)):
        batch: list[Example] = []
        held = 0
        for example in sorted(mixed[first : first + pool], key=lambda one: len(one.window.ids)):
            count = len(example.labels)
            # Sorted, the newest is the longest.
            too_long = (len(batch) + 1) * len(example.window.ids) > tokens
            if batch and (held + count > utterances or too_long):
                made.append(batch)
                batch, held = [], 0
            batch.append(example)
            held += count
        if batch:
            made.append(batch)
    if draw is not None:
        made = [made[index] for index in draw.permutation(len(made))]
    return made
