"""What a fine-tuned text encoder knows of the dialogues that its vectors are to be judged on."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from erc_kedro.schemas import SPLITS
from erc_kedro.sentences import few


def contents(utterances: pd.DataFrame) -> dict[str, str]:
    """Each dialogue and a hash of the words said in it, in order."""
    table = utterances.sort_values(["dialogue_id", "position"])
    return {
        str(dialogue): hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
        for dialogue, texts in table.groupby("dialogue_id", sort=False)["text"]
    }


def encoder_errors(
    facts: Mapping[str, Any],
    utterances: pd.DataFrame,
    corpus: str,
    dropped: Iterable[Mapping[str, Any]] = (),
) -> list[str]:
    """What forbids the vectors of a fine-tuned encoder: it learned from what it is to be judged on.

    A dialogue is known by its name in its corpus, and anywhere by its words. Words that training holds, too,
    are the corpus's own repetition or a coincidence, and no error of the encoder.

    Args:
        facts: ``corpus``, and ``trained_on`` and ``selected_on``: dialogue to hash (``contents``).
        corpus: the name of the one that the utterances are of.
        dropped: utterances that ingestion left out of it, with their ``dialogue_id``.
    """
    if not facts["trained_on"]:
        return [
            "The text encoder is a bundle's, which does not say what it learned from; name the folder that "
            "fine-tuning wrote, such as data/06_models/encoders/meld."
        ]
    said = {split: contents(utterances[utterances["split"] == split]) for split in SPLITS}
    errors = []
    for what, how, judged in (
        ("trained_on", "was fine-tuned on", ("val", "test")),
        ("selected_on", "was selected on", ("test",)),
    ):
        of_encoder: Mapping[str, str] = facts[what]
        # What the splits that the encoder may know hold themselves.
        repeated = {words for split, own in said.items() if split not in judged for words in own.values()}
        words_known = set(of_encoder.values()) - repeated
        for split in judged:
            seen = [
                dialogue
                for dialogue, words in said[split].items()
                if (dialogue in of_encoder and facts["corpus"] == corpus) or words in words_known
            ]
            if seen:
                errors.append(f"The text encoder {how} {len(seen)} dialogues of {split}: {few(seen)}.")
    now = {dialogue: words for own in said.values() for dialogue, words in own.items()}
    learned = {**facts["selected_on"], **facts["trained_on"]}
    whole = {
        dialogue
        for dialogue in (str(row["dialogue_id"]) for row in dropped)
        if facts["corpus"] == corpus and learned.get(dialogue, now.get(dialogue)) != now.get(dialogue)
    }
    if whole:
        errors.append(
            f"The text encoder was fine-tuned before utterances of {few(sorted(whole))} were left out "
            "(drop_leaks); `kedro run --pipeline=finetune` fits it anew."
        )
    return errors


def text_errors(
    made_by: Mapping[Any, Any], utterances: pd.DataFrame, corpus: str, causal: bool = False, fold: str = ""
) -> list[str]:
    """What forbids a table of text vectors for these utterances.

    Args:
        made_by: the table's ``provenance``.
        utterances: as the fold of this name has them, if there are folds.
        causal: whether the model that reads them may not look ahead.
    """
    encoder = made_by.get("encoder_of_fold", {}).get(fold, made_by["encoder"])
    errors = encoder_errors(encoder, utterances, corpus) if encoder else []
    following = made_by["extractor"].get("settings", {}).get("following", 0)
    if causal and following:
        errors.append(
            f"The model is causal, but its text vectors know the {following} utterances that follow; "
            "extract them, or fine-tune their encoder, with following: 0."
        )
    return errors
