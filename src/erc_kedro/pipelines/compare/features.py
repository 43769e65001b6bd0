"""What each experiment of a comparison is trained on: the corpus's own tables, or others made beside them."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from erc_kedro.errors import PlainError
from erc_kedro.escaping import line
from erc_kedro.folds import views
from erc_kedro.parameters import CompareParameters, FeatureParameters, FinetuneParameters
from erc_kedro.schemas import MODALITIES

logger = logging.getLogger(__name__)


class EncoderError(PlainError, ValueError):
    """Experiments whose fine-tuned encoder is not there; the message has the command that makes it."""


class ExperimentTables(NamedTuple):
    """What an experiment is trained on.

    Attributes:
        tables: by modality, ``schemas.features``.
        audit: of these tables, as ``audit_features`` makes it.
    """

    tables: dict[str, pd.DataFrame]
    audit: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Made:
    """One modality's table, its provenance, and what became of its clips."""

    table: pd.DataFrame
    record: dict[str, Any]
    clips: pd.DataFrame


def experiment_tables(
    utterances: pd.DataFrame,
    text: pd.DataFrame,
    audio: pd.DataFrame,
    visual: pd.DataFrame,
    description: dict[str, Any],
    clips: pd.DataFrame,
    audit: dict[str, Any],
    features_audit: dict[str, Any],
    cache: Path,
    encoders: Path,
    kept: Path,
    parameters: CompareParameters,
) -> dict[str, ExperimentTables]:
    """By experiment, the vectors that its parameters ask for; those of equal parameters are one table.

    The corpus's own tables serve whoever asks for what they were made of. Others are made as the features
    pipeline makes them, which extracts what its cache lacks, and are left in ``kept``.

    Args:
        encoders: where fine-tuning leaves this corpus's encoder.
        kept: gets a folder a table that is not the corpus's own, and one an audit of it beside others.
    Raises:
        EncoderError: experiments need fine-tuned encoders that are not there; nothing was made.
    """
    records = features_audit.get("provenance") or {}
    tables = {"text": text, "audio": audio, "visual": visual}
    own = {
        modality: _Made(table, records.get(modality) or {}, clips[clips["modality"] == modality])
        for modality, table in tables.items()
    }
    maker = _Maker(utterances, description, cache, encoders, kept, own)
    maker.check_encoders(parameters)
    experiments, audited = {}, {tuple(own.values()): ExperimentTables(tables, features_audit)}
    for name, features in parameters.features.items():
        made = tuple(
            maker.made(name, modality, features, parameters.finetune[name]) for modality in MODALITIES
        )
        if made not in audited:
            audited[made] = _audited(made, utterances, audit, encoders, kept)
        experiments[name] = audited[made]
    return experiments


class _Maker:
    """Makes each table once, in the order in which experiments ask."""

    def __init__(
        self,
        utterances: pd.DataFrame,
        description: dict[str, Any],
        cache: Path,
        encoders: Path,
        kept: Path,
        own: dict[str, _Made],
    ) -> None:
        from erc_kedro.audit.provenance import said

        self._utterances, self._description, self._cache = utterances, description, cache
        self._encoders, self._kept, self._own = encoders, kept, own
        self._said = said(utterances)
        self._known: dict[str, _Made] = {}

    def check_encoders(self, parameters: CompareParameters) -> None:
        """Raise EncoderError with every experiment whose vectors can neither be made nor were kept."""
        from erc_kedro.config import chosen_env

        env = f" --env={chosen_env()}" if chosen_env() != "local" else ""
        corpus = self._encoders.name
        refused = []
        for name, features in parameters.features.items():
            finetune = parameters.finetune[name]
            why = self._why_other(finetune) if _reads_finetuned(features) else ""
            if why and self._from_gone_encoder(finetune) is None:
                refused.append(
                    f"{name} reads vectors of an encoder that was fine-tuned as it says, but {why}; "
                    f"`kedro run{env} --pipeline=finetune --namespaces={corpus} --params=experiment={name}` "
                    "makes it"
                )
        if refused:
            raise EncoderError(f"experiments: {'. '.join(refused)}.")

    def made(
        self, name: str, modality: str, features: FeatureParameters, finetune: FinetuneParameters
    ) -> _Made:
        """The table of a modality that an experiment asks for."""
        from erc_kedro.pipelines.features.nodes import asked_of

        tuned = modality == "text" and _reads_finetuned(features)
        if tuned and self._why_other(finetune):
            gone = self._from_gone_encoder(finetune)
            assert gone is not None, "check_encoders let it pass"
            return gone
        asked = asked_of(modality, features, self._description, self._encoders)
        key = _key(modality, asked)
        if key not in self._known:
            own = self._own[modality]
            if own.record.get("asked") == asked:
                self._known[key] = own
            else:
                folder = self._folder(modality, {"finetune": asked["finetune"]} if tuned else asked)
                # Before they are made, so that whoever reads of a failure knows whose they are.
                corpus = self._encoders.name
                logger.info("%s: %s vectors of %s, in %s", corpus, modality, name, folder)
                self._known[key] = self._make(modality, features, folder)
        return self._known[key]

    def _make(self, modality: str, features: FeatureParameters, folder: Path) -> _Made:
        from erc_kedro.datasets import Json, Table
        from erc_kedro.pipelines.features.nodes import of_clips, text_features

        if modality == "text":
            table, _, record = text_features(
                self._utterances, self._description, self._cache, self._encoders, features
            )
            clips = self._own["text"].clips
        else:
            made, clips = of_clips(self._utterances, self._description, self._cache, features, [modality])
            table, record = made[modality]
        provenance = Json(filepath=str(folder / f"{modality}_provenance.json"))
        # As JSON has it, like the records of the corpus's own tables.
        record = json.loads(json.dumps(record))
        if not (provenance.exists() and provenance.load() == record):
            Table(filepath=str(folder / f"{modality}.parquet")).save(table)
            provenance.save(record)
        return _Made(table, record, clips)

    def _from_gone_encoder(self, finetune: FinetuneParameters) -> _Made | None:
        """Vectors of an encoder that was fine-tuned as asked and is gone, if they are still here."""
        from erc_kedro.audit.provenance import provenance_errors
        from erc_kedro.datasets import Json, Table

        asked = finetune.learned
        key = _key("text", {"finetune": asked})
        if key not in self._known:
            found = [self._own["text"]]
            folder = self._folder("text", {"finetune": asked})
            table, record = folder / "text.parquet", folder / "text_provenance.json"
            if table.is_file() and record.is_file():
                loaded = Table(filepath=str(table)).load(), Json(filepath=str(record)).load()
                found.append(_Made(*loaded, self._own["text"].clips))
            for one in found:
                own = one.record.get("asked") or {}
                errors, changed = provenance_errors(
                    {"text": one.record}, {"text": one.table}, self._utterances
                )
                if own.get("finetune") == asked and not errors and not changed:
                    self._known[key] = one
        return self._known.get(key)

    def _why_other(self, finetune: FinetuneParameters) -> str:
        """Why the fine-tuned encoders that are there are not those that are asked for; empty if they are."""
        folders = [self._encoders / view.folder for view in views(self._utterances)]
        return next(filter(None, (_why_other(folder, finetune) for folder in folders)), "")

    def _folder(self, modality: str, asked: dict[str, Any]) -> Path:
        return self._kept / _key(modality, asked, self._said)


def _audited(
    made: tuple[_Made, ...], utterances: pd.DataFrame, audit: dict[str, Any], encoders: Path, kept: Path
) -> ExperimentTables:
    """Tables that stand together for the first time with their audit, which is made once."""
    from erc_kedro import sources
    from erc_kedro.datasets import Json
    from erc_kedro.evaluation.comparison import digest
    from erc_kedro.extractors.base import fingerprint
    from erc_kedro.pipelines.features.nodes import audit_features

    records = [one.record for one in made]
    key = fingerprint(json.dumps(records, sort_keys=True), digest(utterances), sources.version("audit/*.py"))
    findings = Json(filepath=str(kept / key[:16] / "features_audit.json"))
    if not findings.exists():
        clips = pd.concat([one.clips for one in made], ignore_index=True)
        given: list[Any] = [*(one.table for one in made), *records, clips, utterances, audit, encoders]
        findings.save(audit_features(*given)[0])
    return ExperimentTables(
        {modality: one.table for modality, one in zip(MODALITIES, made, strict=True)}, findings.load()
    )


def _key(*parts: Any) -> str:
    from erc_kedro.extractors.base import fingerprint

    return fingerprint(json.dumps(parts, sort_keys=True))[:16]


def _reads_finetuned(features: FeatureParameters) -> bool:
    text = features.text
    return text.path is None and text.extractor == "transformers" and text.encoder == "finetuned"


def _why_other(encoders: Path, finetune: FinetuneParameters) -> str:
    """Why the fine-tuned encoder that is there is not the one that is asked for; empty where it is."""
    from erc_kedro.extractors import finetuned
    from erc_kedro.extractors.base import ExtractionError

    try:
        there = finetuned.find("finetuned", encoders)
    except ExtractionError as error:
        return str(error).removeprefix("features.text.encoder: finetuned, but ").split(";")[0]
    assert there is not None, "find raises where none is there"
    asked = finetune.learned
    if len(there.learned) != len(asked):
        return f"{encoders} holds {len(there.learned)} beside each other, not {len(asked)}"
    for one, other in zip(asked, there.learned, strict=True):
        for key in one:
            if one[key] != other.get(key):
                return (
                    f"{encoders} holds one with finetune.{key}={line(other.get(key), 60)}, "
                    f"not {line(one[key], 60)}"
                )
    return ""
