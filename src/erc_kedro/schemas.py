"""The tables that the stages hand to each other, as pandera schemas.

The catalog names these schemas as ``validator``; Kedro checks a table whenever it is saved.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import pandera.pandas as pa

SPLITS = ("train", "val", "test")
MODALITIES = ("text", "audio", "visual")
# Single, pair and trimodal representations in the paper's notation; the prediction is "tav".
HEADS = ("t", "a", "v", "ta", "tv", "av", "tav")


def heads_of(modalities: Iterable[str]) -> list[str]:
    """The heads that rest on at least one of these modalities."""
    letters = {modality[0] for modality in modalities}
    return [head for head in HEADS if letters & set(head)]


def empty(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """A table of that schema without rows."""
    return pd.DataFrame({name: pd.Series(dtype=column.dtype.type) for name, column in schema.columns.items()})


def _positions_count_from_zero(table: pd.DataFrame) -> bool:
    ordered = table.sort_values(["dialogue_id", "position"])
    return bool((ordered["position"] == ordered.groupby("dialogue_id").cumcount()).all())


def _one_split_per_dialogue(table: pd.DataFrame) -> bool:
    return bool((table.groupby("dialogue_id")["split"].nunique() <= 1).all())


def _text(nullable: bool = False, **options: Any) -> pa.Column:
    return pa.Column(str, nullable=nullable, coerce=True, **options)


utterances = pa.DataFrameSchema(
    {
        "utterance_id": _text(unique=True),
        "dialogue_id": _text(),
        "position": pa.Column("int64", pa.Check.ge(0)),
        "speaker": _text(),
        "text": _text(),
        "label": _text(nullable=True),
        "split": _text(checks=pa.Check.isin(SPLITS)),
        # Seconds on the conversation's own clock; null where the corpus does not say.
        "start_s": pa.Column("float64", nullable=True),
        "end_s": pa.Column("float64", nullable=True),
        # The media file that holds the utterance; null where there is none.
        "clip": _text(nullable=True),
        # The utterance's span inside `clip`, in seconds; null where the clip is the utterance.
        "clip_start_s": pa.Column("float64", nullable=True),
        "clip_end_s": pa.Column("float64", nullable=True),
        # A separate sound file of just this utterance, where the corpus has one.
        "wav": _text(nullable=True),
        # The half of the clip's frame in which the speaker is seen.
        "frame_side": _text(nullable=True, checks=pa.Check.isin(("left", "right"))),
        # The fold in which the utterance is test (``folds.views``); `split` is then that of the first fold.
        "fold": _text(nullable=True, required=False),
    },
    checks=[
        pa.Check(_positions_count_from_zero, error="positions count 0, 1, 2, … in each dialogue"),
        pa.Check(_one_split_per_dialogue, error="a dialogue lies in one split"),
        pa.Check(lambda table: len(table) > 0, error="a corpus has at least one utterance"),
    ],
    strict=True,
    ordered=True,
    name="utterances",
)

# A recording's utterances: as those of a corpus, all of them in test.
recorded = utterances.add_columns(
    {
        # The transcript's turn, from 0; utterances that were split from one turn share it.
        "turn": pa.Column("int64", pa.Check.ge(0)),
        # The channel of `clip` that is this speaker's alone.
        "channel": _text(nullable=True, checks=pa.Check.isin(("left", "right"))),
    }
)
recorded.name = "recorded"

features = pa.DataFrameSchema(
    {
        "utterance_id": _text(),
        # One row of a fixed-size list of float32.
        "vector": pa.Column(object),
        "present": pa.Column(bool),
        # "ok", or why the modality is absent: no_media, unreadable, silent, no_face, …
        "reason": _text(),
        # Where the extractor was fitted on each fold's training: the fold whose models read the row.
        "fold": _text(required=False),
    },
    checks=pa.Check(
        lambda table: ~table.duplicated([name for name in ("utterance_id", "fold") if name in table]),
        error="an utterance has two rows, of one fold",
    ),
    strict=True,
    name="features",
)

clips = pa.DataFrameSchema(
    {
        "utterance_id": _text(),
        "split": _text(checks=pa.Check.isin(SPLITS)),
        "modality": _text(checks=pa.Check.isin(("audio", "visual"))),
        # As in the features; a table row for each modality that was extracted from clips.
        "reason": _text(),
        # More about the reason, for a person; where it is ok, what was done with the file, if anything.
        "detail": _text(),
        # Decoded duration of the sound, and the share of its samples that are at full scale.
        "seconds": pa.Column("float64", nullable=True),
        "clipped": pa.Column("float64", nullable=True),
        # Frames that were looked at, and those that show the speaker's face.
        "frames": pa.Column("float64", nullable=True),
        "with_face": pa.Column("float64", nullable=True),
        # Kinds of decoding errors, counted, such as "InvalidDataError 3".
        "errors": _text(),
    },
    strict=True,
    unique=["utterance_id", "modality"],
    name="clips",
)

metrics = pa.DataFrameSchema(
    {
        "seed": pa.Column("int64"),
        "split": _text(checks=pa.Check.isin(SPLITS)),
        "head": _text(checks=pa.Check.isin(HEADS)),
        "metric": _text(),
        "value": pa.Column("float64", nullable=True),
    },
    strict=True,
    name="metrics",
)

predictions = pa.DataFrameSchema(
    {
        "seed": pa.Column("int64"),
        "utterance_id": _text(),
        "split": _text(checks=pa.Check.isin(SPLITS)),
        "head": _text(checks=pa.Check.isin(HEADS)),
        "label": _text(nullable=True),
        # None where the corpus has no labels.
        "p_.+": pa.Column("float32", pa.Check.in_range(0, 1), regex=True, required=False),
    },
    strict=True,
    # With folds, an utterance is validation in one and test in another.
    unique=["seed", "utterance_id", "head", "split"],
    name="predictions",
)

contributions = pa.DataFrameSchema(
    {
        "seed": pa.Column("int64"),
        "utterance_id": _text(),
        # gate: how far the source strengthens the target. balance: the pair's first member against its
        # second. product: how much of the pair's guided product enters. fusion: the share of all three.
        "kind": _text(checks=pa.Check.isin(("gate", "balance", "product", "fusion"))),
        # "audio>text" (source > target) for gates; t, a, v, ta, tv, av elsewhere.
        "part": _text(),
        # The mean over channels; null where a modality that the part needs is absent.
        "weight": pa.Column("float32", pa.Check.in_range(0, 1.0001), nullable=True),
    },
    strict=True,
    unique=["seed", "utterance_id", "kind", "part"],
    name="contributions",
)

degraded = pa.DataFrameSchema(
    {
        "seed": pa.Column("int64"),
        # missing: `amount` is the share of test utterances that lose the modality. noise: `amount` is the
        # deviation of the added noise, in those of the training features.
        "kind": _text(checks=pa.Check.isin(("missing", "noise"))),
        "modality": _text(checks=pa.Check.isin(MODALITIES)),
        "amount": pa.Column("float64", pa.Check.ge(0)),
        "utterance_id": _text(),
        "label": _text(nullable=True),
        "predicted": _text(),
    },
    strict=True,
    name="degraded",
)

layout = pa.DataFrameSchema(
    {
        "utterance_id": _text(),
        "head": _text(checks=pa.Check.isin(HEADS)),
        "label": _text(),
        "x": pa.Column("float32"),
        "y": pa.Column("float32"),
    },
    strict=True,
    unique=["utterance_id", "head"],
    name="layout",
)


def _share(regex: bool = False) -> pa.Column:
    return pa.Column("float64", pa.Check.in_range(0, 1), nullable=True, regex=regex)


comparison = pa.DataFrameSchema(
    {
        "experiment": _text(unique=True),
        # Those that predictions rest on, of those that the corpus has features of.
        "modalities": _text(),
        # Of each of them what made its vectors, how training scales them, and a digest of the vectors.
        "made_of": _text(),
        "seeds": pa.Column("int64"),
        # Means over seeds, and their standard deviation, on test.
        "(accuracy|weighted_f1|macro_f1|uar|ece)(_std)?": _share(regex=True),
        # Only of a corpus whose papers leave its majority class out of F1.
        "(micro|macro)_f1_without_majority(_std)?": pa.Column(
            "float64", pa.Check.in_range(0, 1), nullable=True, regex=True, required=False
        ),
        # 95 % interval of weighted_f1 over units, what these are, and how many of them are in test.
        "low": _share(),
        "high": _share(),
        "unit": _text(checks=pa.Check.isin(("dialogue", "speaker", "fold"))),
        "units": pa.Column("int64", pa.Check.ge(0)),
        "val_weighted_f1": _share(),
        # Against the reference: weighted F1, paired permutation test over units, Holm's correction.
        "difference": pa.Column("float64", nullable=True),
        # The difference's 95 % interval over units, and in pooled deviations over seeds
        # (Cohen's d; null for fewer than three seeds).
        "difference_(low|high)": pa.Column("float64", nullable=True, regex=True),
        "effect": pa.Column("float64", nullable=True),
        "p": _share(),
        "p_corrected": _share(),
        # What validation chose of the settings that every experiment was tried with.
        "settings": _text(),
        "note": _text(),
        # What is and what is not shown, in a sentence.
        "verdict": _text(),
    },
    strict=True,
    name="comparison",
)

transfer = pa.DataFrameSchema(
    {
        "arm": _text(unique=True),
        # The target's training dialogues that it is given; null: none, or all.
        "dialogues": pa.Column("float64", nullable=True),
        "trained_on": _text(),
        "selected_on": _text(),
        # As in `comparison`, on the target's test; differences are to the arm that is trained on all of it.
        "seeds": pa.Column("int64"),
        "(accuracy|weighted_f1|macro_f1|uar|ece)(_std)?": _share(regex=True),
        "low": _share(),
        "high": _share(),
        "val_weighted_f1": _share(),
        "difference": pa.Column("float64", nullable=True),
        "difference_(low|high)": pa.Column("float64", nullable=True, regex=True),
        "p": _share(),
        "p_corrected": _share(),
        # Of weighted F1 over an arm that is trained on the same dialogues from random weights.
        "gain": pa.Column("float64", nullable=True),
        "gain_(low|high)": pa.Column("float64", nullable=True, regex=True),
        "gain_p": _share(),
        # As in `comparison`.
        "unit": _text(),
        "units": pa.Column("int64"),
        "note": _text(),
    },
    strict=True,
    name="transfer",
)

# The reference of a comparison against its subsets of modalities (``evaluation.modalities``).
compared_modalities = pa.DataFrameSchema(
    {
        "split": _text(checks=pa.Check.isin(("val", "test"))),
        "comparison": _text(checks=pa.Check.isin(("added", "shown", "alone", "subset"))),
        # Empty for `subset`, which may lack several.
        "modality": _text(checks=pa.Check.isin(("", *MODALITIES))),
        "experiment": _text(),
        # Weighted F1, means over the seeds that both have, and the reference's less the experiment's.
        "(reference_)?score": _share(regex=True),
        "difference": pa.Column("float64"),
        "difference_(low|high)": pa.Column("float64", nullable=True, regex=True),
        "p": _share(),
        "p_corrected": _share(),
        "note": _text(),
    },
    strict=True,
    unique=["split", "comparison", "modality", "experiment"],
    name="compared_modalities",
)

# Who felt what when in a recording, an utterance a row, in order.
timeline = pa.DataFrameSchema(
    {
        "recording": _text(),
        # As in `recorded`.
        "turn": pa.Column("int64", pa.Check.ge(0)),
        "utterance_id": _text(unique=True),
        "position": pa.Column("int64", pa.Check.ge(0)),
        "speaker": _text(),
        # Seconds from the recording's beginning; null where the transcript has no times.
        "start_s": pa.Column("float64", nullable=True),
        "end_s": pa.Column("float64", nullable=True),
        "text": _text(),
        # The most probable label; null for an utterance of which nothing was read, heard or seen ("empty").
        "emotion": _text(nullable=True),
        # unsure: its confidence is below the threshold that validation gave for the accuracy asked for.
        "status": _text(checks=pa.Check.isin(("decided", "unsure", "empty"))),
        # The calibrated probability of `emotion`.
        "confidence": _share(),
        "runner_up": _text(nullable=True),
        # The share of seeds whose own first choice is another.
        "disagreement": _share(),
        # Calibrated probabilities, the mean over seeds.
        "p_.+": _share(regex=True),
        # "ok", or why there is nothing of a modality; not_used: the model does not read it.
        "(text|audio|visual)_reason": _text(regex=True),
        # The share of validation utterances that lie nearer to training; null where there is nothing.
        "(text|audio|visual)_distance": _share(regex=True),
        # The modalities that lie farther from training than 99 % of validation, such as "audio, visual".
        "far_from_training": _text(),
        # As the transcript has it, in the model's words.
        "label": _text(nullable=True),
    },
    strict=True,
    name="timeline",
)


@dataclass(frozen=True)
class TrackedRun:
    """An ended MLflow run of one experiment on one corpus.

    Attributes:
        started: in UTC.
        predictions: what the run keeps of its trimodal head's predictions of validation and test, or None.
    """

    id: str
    name: str
    started: datetime
    status: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    predictions: pd.DataFrame | None
