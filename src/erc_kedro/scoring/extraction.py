"""A recording's features by the very extractors that made training's."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from erc_kedro import extractors
from erc_kedro.extractors import finetuned, runner, text
from erc_kedro.extractors.base import ExtractionError, Metadata
from erc_kedro.extractors.cache import feature_table, matrix
from erc_kedro.parameters import (
    AudioParameters,
    RunnerParameters,
    TextParameters,
    VisualParameters,
    WorkerParameters,
)
from erc_kedro.parameters.base import Modality
from erc_kedro.scoring import bundle
from erc_kedro.scoring.bundle import BundleError, Card, ExtractorCard

# Without worker processes.
ALONE = WorkerParameters(n_jobs=1, backend="loky", address=None)
_PARAMETERS: dict[str, Any] = {"text": TextParameters, "audio": AudioParameters, "visual": VisualParameters}


class Features(NamedTuple):
    """What was made of some utterances.

    Attributes:
        tables: by modality, ``schemas.features``.
        keys: by utterance, under which the cache has what was read, heard and seen.
    """

    tables: dict[str, pd.DataFrame]
    keys: dict[str, tuple[str, ...]]


class Extraction:
    """The extractors of one bundle, checked against what it says of them."""

    def __init__(self, folder: Path, card: Card, allow: Collection[str]) -> None:
        """Makes every extractor that the bundle's model is shown.

        Raises:
            BundleError: one differs from training's, or is code that nobody allowed.
        """
        self._folder, self._card = folder, card
        self._loaded: dict[Any, Any] = {}
        self._settings: dict[str, Any] = {}
        self._finetuned: finetuned.FineTuned | None = None
        for modality in card.modalities:
            made = card.extractors[modality]
            if made.kind in ("extracted", "finetuned"):
                self._check_allowed(modality, made, allow)
                self._settings[modality] = self._parameters(modality, made)
                try:
                    self._make(modality, made)
                except ExtractionError as error:
                    raise BundleError(
                        f"{folder}: its {modality} extractor {made.name} cannot be made here ({error}); "
                        f"{self._mend()}"
                    ) from error

    @property
    def modalities(self) -> list[str]:
        """Those that a recording can have features of."""
        return [*self._settings]

    def _check_allowed(self, modality: str, made: ExtractorCard, allow: Collection[str]) -> None:
        named = made.settings.get("extractor")
        for name in [named] if isinstance(named, str) else (named or []):
            bundle.check_allowed(self._folder, f"{modality} extractor", name, allow)

    def _parameters(self, modality: str, made: ExtractorCard) -> Any:
        kind = _PARAMETERS[modality]
        # Provenance tells more than the parameters: of what fine-tuning left, say.
        own_settings = {name: value for name, value in made.settings.items() if name in kind.model_fields}
        # Text had no published vectors once, so that older bundles do not say that these are none.
        settings = {"path": None, "field": None, **own_settings}
        own = self._folder / bundle.EXTRACTORS / modality
        if own.is_dir():
            settings["encoder" if modality == "text" else "model"] = str(own)
        if modality == "visual" and (self._folder / bundle.DETECTOR).is_file():
            settings["detector_model"] = str(self._folder / bundle.DETECTOR)
        return kind(**settings)

    def _make(self, modality: str, made: ExtractorCard) -> None:
        asked = self._settings[modality]
        if made.kind == "finetuned":
            # Its weights are in the bundle, whose files were compared.
            self._finetuned = finetuned.find(asked.encoder, Path(asked.encoder))
            if self._finetuned is None:
                raise BundleError(
                    f"{self._folder}: its text encoder is not there; copy the whole bundle again"
                )
            return
        if modality == "text":
            self._loaded[asked] = extractor = self._text(asked)
            found = extractor.metadata
        else:
            found = runner.metadata(self._runner(ALONE, **{modality: asked}))[modality]
        self._compare(modality, made, found)

    def _text(self, asked: TextParameters) -> Any:
        if asked.extractor == "tfidf":
            facts = json.loads((self._folder / bundle.WORDS).read_text("utf-8"))
            return text.TfidfSvd.from_state(bundle.arrays(self._folder, bundle.TFIDF), facts)
        return extractors.build("text", asked, training=[])

    def _compare(self, modality: str, made: ExtractorCard, found: Metadata) -> None:
        if found.dimension != made.dimension:
            raise BundleError(
                f"{self._folder}: its {modality} extractor {made.name} gives {found.dimension} numbers here, "
                f"and gave {made.dimension} in training; {self._mend()}"
            )
        if found.version != made.version:
            raise BundleError(
                f"{self._folder}: its {modality} extractor {made.name} is another version here (weights, "
                f"library or settings) than in training; {self._mend()}"
            )

    def _mend(self) -> str:
        here = bundle.requirements()
        other = [f"{name}=={was}" for name, was in self._card.requirements.items() if here.get(name) != was]
        if other:
            return f"install what it was made with: pip install {' '.join(other)}"
        return "all packages are those that it was made with: a model's weights are missing, or others"

    def features(self, utterances: pd.DataFrame, cache: Path, workers: WorkerParameters) -> Features:
        """Of every utterance; the reason is ``not_used`` where the model reads none of a modality."""
        keys: list[tuple[str, ...]] = [()] * len(utterances)
        ids, count = utterances["utterance_id"], len(utterances)
        tables = {
            name: feature_table(ids, np.zeros((count, width), np.float32), [self._reason(name)] * count)
            for name, width in zip(_PARAMETERS, self._card.dimensions, strict=True)
        }
        if "text" in self._settings:
            made = text.extract(utterances, self._settings["text"], cache, self._finetuned, self._loaded)
            said = utterances["text"].str.strip() != ""
            tables["text"] = feature_table(ids, made.vectors, said.map({True: "ok", False: "no_text"}))
            keys = [*made.keys]
        media = {name: asked for name, asked in self._settings.items() if name != "text"}
        if media:
            seen = utterances.assign(shared_frame=_shares_frame(utterances))
            made_of = runner.extract(seen, self._runner(workers, **media), cache)
            for modality, (metadata, results) in made_of.items():
                vectors = matrix(results, metadata.dimension)
                tables[modality] = feature_table(ids, vectors, [result.reason for result in results])
                keys = [
                    own if result.key is None else (*own, result.key)
                    for own, result in zip(keys, results, strict=True)
                ]
        return Features(tables, dict(zip(utterances["utterance_id"], keys, strict=True)))

    def _reason(self, modality: str) -> str:
        if modality not in self._card.modalities:
            return "not_used"
        return "no_extractor" if modality not in self._settings else "no_media"

    def _runner(
        self,
        workers: WorkerParameters,
        audio: AudioParameters | None = None,
        visual: VisualParameters | None = None,
    ) -> runner.Settings:
        asked: dict[Modality, Any] = {"audio": audio, "visual": visual}
        # What was extracted of words, or published, says nothing of clips.
        longest = max(self._card.extractors[name].longest_s for name in asked if asked[name] is not None)
        return runner.Settings(audio, visual, RunnerParameters(**workers.model_dump(), longest_s=longest))


def _shares_frame(utterances: pd.DataFrame) -> pd.Series:
    """Whether a file shows several speakers, so that a face in it need not be the one who speaks."""
    speakers = utterances.groupby("clip", dropna=False)["speaker"].transform("nunique")
    return (speakers > 1) & utterances["clip"].notna() & utterances["frame_side"].isna()
