"""All that a report shows of one corpus, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from erc_kedro.evaluation.units import counted, few_units
from erc_kedro.report.scaling import scaling_note


@dataclass(frozen=True)
class CorpusSection:
    """What was made of a corpus so far; what is None leaves a sentence in its place.

    Attributes:
        name: the corpus's namespace, as in ``kedro run --namespaces=<name>``.
        description: facts of the corpus: ``name`` (as printed), ``protocol``, ``synthetic`` (bool),
            ``labels``, ``notes`` (sentences), ``fingerprint``, ``groups`` (``name``, and ``of``: speaker
            to group); each may be missing.
        predictions: seed, utterance_id, split, head, label, ``p_<class>`` (``schemas.predictions``).
        metrics: the long metrics table (``schemas.metrics``).
        history: seed, epoch, train_loss, val_weighted_f1, selected, optionally val_loss.
        audit: the audit of the utterances, ``erc_kedro.audit``.
        features_audit: the audit of the features, ``erc_kedro.audit``.
        utterances: the utterance table (``schemas.utterances``); intervals need its units.
        contributions, degraded, layout: of the trained networks, by their schemas.
        comparison: experiments compared on this corpus (``schemas.comparison``).
        training: how the networks were trained: ``parameters``, ``extractors``, ``git_revision``, …
        options: what a command needs beside the pipeline and the corpus, such as `` --env=demo``.
        results: what was computed of these tables, by name (``evaluation.results``).
    """

    name: str
    description: Mapping[str, Any] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    metrics: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    audit: Mapping[str, Any] | None = None
    features_audit: Mapping[str, Any] | None = None
    utterances: pd.DataFrame | None = None
    contributions: pd.DataFrame | None = None
    degraded: pd.DataFrame | None = None
    layout: pd.DataFrame | None = None
    comparison: pd.DataFrame | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    options: str = ""
    results: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def absent(self) -> list[str]:
        """The modalities of which the networks were given no features at all."""
        made = self.training.get("extractors") or {}
        return [name for name, extractor in made.items() if (extractor or {}).get("name") == "none"]

    @property
    def in_conversation(self) -> bool:
        """Whether any dialogue is known to have more than one utterance, or none is known at all."""
        return self.utterances is None or bool((self.utterances["position"] > 0).any())

    @property
    def title(self) -> str:
        """The name as printed, wherever it is printed: a synthetic corpus never passes for a real one."""
        name = str(self.description.get("name") or self.name)
        return f"{name} (synthetic)" if self.synthetic else name

    @property
    def scaling_note(self) -> str:
        """What the networks' scaling reads beside training; empty where it reads nothing more."""
        return scaling_note(self.training.get("parameters"), self.absent)

    @property
    def synthetic(self) -> bool:
        """Whether a program made the corpus up."""
        return bool(self.description.get("synthetic"))

    @property
    def release(self) -> str | None:
        """``meld`` or ``iemocap`` if it is that release; None for a synthetic corpus and for a user's own.

        By the description that its reader wrote: a namespace or a manifest may have any name.
        """
        name = str(self.description.get("name")).lower()
        own = self.synthetic or self.description.get("protocol") == "manifest"
        return name if name in ("meld", "iemocap") and not own else None

    @property
    def scored(self) -> bool:
        """Whether the trimodal head predicted labelled test utterances."""
        return "classes" in self.results

    @property
    def over(self) -> str:
        """What the interval is over, such as ``31 dialogues``; ``dialogues`` where it is not known."""
        count, kind = self._units()
        return counted(count, kind) if count else "dialogues"

    @property
    def few(self) -> str:
        """That test has too few units for its interval to be trusted; empty where it has enough."""
        return few_units(*self._units())

    def _units(self) -> tuple[int, str]:
        headline = self.results.get("headline")
        if headline is None or headline.empty:
            return 0, "dialogue"
        row = headline.sort_values("units").iloc[-1]
        return int(row["units"]), str(row["unit"])

    @property
    def caution(self) -> str:
        """What belongs beside test scores that may look better than they are, else empty."""
        said = [str(caution) for caution in self.training.get("cautions") or []]
        if self.scored:
            classes = self.results["classes"].query("support > 0")["class"]
            if len(classes) == 1:
                only = f"All labelled test utterances are {classes.iloc[0]}"
                said.append(f"{only}: test scores say nothing of telling classes apart.")
        return " ".join(said)


@dataclass(frozen=True)
class Table:
    """A table as it is kept: numbers as they are, to be printed by ``tables.printed``.

    Attributes:
        title: its caption.
        frame: scores in 0 to 1; ``<score>_std`` beside ``<score>`` is its deviation over seeds.
        kind: ``scores``: columns go by the names that this project gives them. ``counts``, ``shares`` and
            ``weights``: columns are called what the data call them, and mean nothing by their names.
    """

    title: str
    frame: pd.DataFrame
    kind: Literal["scores", "counts", "shares", "weights"] = "scores"
