"""Dialogues as windows of tokens to learn from, in batches of similar length."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.extractors.text import shown_speakers
from erc_kedro.extractors.windows import Window, Windows, at_masks, own_tokens
from erc_kedro.parameters import FinetuneParameters


@dataclass(frozen=True)
class Example:
    """A window, and the class of each of its targets (-1: unlabelled)."""

    window: Window
    labels: tuple[int, ...]


class TokenizedDialogues:
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
        self._windows = Windows(tokenizer, limit, parameters)
        self._parameters = parameters
        code = {name: index for index, name in enumerate(classes)}
        table = utterances.sort_values(["dialogue_id", "position"])
        speakers = shown_speakers(table, parameters.speaker_names)
        tokens = [self._windows.tokens(*said) for said in zip(speakers, table["text"], strict=True)]
        questions = [self._windows.question(speaker) for speaker in speakers]
        # A name that is shown is no word of its own.
        labels = table["label"].where(table["text"].str.strip() != "").map(code).fillna(-1).astype(int)
        self._said: dict[str, list[_Said]] = {}
        for dialogue, own, question, label in zip(
            table["dialogue_id"], tokens, questions, labels, strict=True
        ):
            self._said.setdefault(dialogue, []).append(_Said(own, question, int(label)))

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
                taken = said[first].size
                while last < min(len(said), first + most):
                    taken += said[last].size
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

    def _example(self, said: "list[_Said]", first: int, last: int) -> Example:
        earlier = said[max(0, first - self._parameters.context) : first]
        targets = said[first:last]
        later = said[last : last + self._parameters.following]
        before, own, after = ([one.own for one in part] for part in (earlier, targets, later))
        window = self._windows.window(before, own, after, [one.question for one in targets])
        return Example(window, tuple(one.label for one in targets))

    def tensors(self, examples: Sequence[Example]) -> tuple[dict[str, Any], Any, Any]:
        """Of T labelled targets: tokens [B, L], what the head reads of each [T, B * L], and its class [T]."""
        import torch

        windows = [example.window for example in examples]
        tokens = self._windows.pad(windows)
        length = tokens["input_ids"].shape[1]
        own = own_tokens(windows, length)
        labels = torch.tensor([label for example in examples for label in example.labels])
        # Without a word there is nothing to learn.
        seen = (labels >= 0) & own.any(1)
        read = own if self._parameters.asked is None else at_masks(windows, length)
        return tokens, read[seen], labels[seen]


@dataclass(frozen=True)
class _Said:
    """An utterance's tokens, its question's, and its class's number (-1: unlabelled)."""

    own: list[int]
    question: list[int]
    label: int

    @property
    def size(self) -> int:
        return len(self.own) + len(self.question)


def window_batches(
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
