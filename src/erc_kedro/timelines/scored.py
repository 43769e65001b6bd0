"""A folder of scored recordings: what is there, what is left to do, and what could not be done."""

import json
import logging
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

from erc_kedro import files, recordings, timelines
from erc_kedro.errors import PlainError
from erc_kedro.evaluation.metrics import SCORES, class_columns, class_names, classification_metrics
from erc_kedro.extractors import runner
from erc_kedro.extractors.base import UnreachableError
from erc_kedro.extractors.cache import Cache
from erc_kedro.parameters import ScoreParameters
from erc_kedro.progress import bar
from erc_kedro.recordings import Recording, RecordingError, Source
from erc_kedro.scoring import Model
from erc_kedro.scoring.card import notes
from erc_kedro.scoring.extraction import Features
from erc_kedro.sentences import few
from erc_kedro.surroundings import writing
from erc_kedro.timelines import pages
from erc_kedro.timelines.formats.tables import csv
from erc_kedro.timelines.keys import key_of, media_of

logger = logging.getLogger(__name__)

# What a recording's folder says of itself; written last.
FACTS = "score.json"
PAGE = "page.html"
TIMELINE = "timeline.parquet"
# Over all recordings of a model.
INDEX = "index.parquet"
# Without these, such a file is not ours, or damaged.
_NEEDED = {"recording", "media", "transcript", "model", "counts", "key", "keep", "files", "keys"}
# Recordings that are decoded together, for each worker: an interruption costs no more than these.
_TOGETHER = 4


@dataclass(frozen=True)
class Scored:
    """One recording, scored or not.

    Attributes:
        facts: what pages show of it; with ``error`` (reason and detail) if it was not scored.
        folder: of its results; None if it was not scored.
        new: whether this run scored it.
    """

    facts: dict[str, Any]
    folder: Path | None
    new: bool


def score_all(
    found: Sequence[Source], model: Model, parameters: ScoreParameters, folder: Path, cache: Path
) -> list[Scored]:
    """Scores recordings, and writes a folder of results for each; what is done and unchanged is left.

    Args:
        folder: of this model's results.
        cache: of features, for ``keep: features`` and ``all``.

    Raises:
        PlainError: nothing can be written to the folder, or no Dask scheduler answers.
    """
    with writing(folder):
        # What forbids it is to be known before hours of work.
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    done: list[Scored] = []
    workers = runner.workers(parameters.runner)
    together = _TOGETHER * workers
    with bar(len(found), f"Scoring with {model.card.name}", "recording") as progress:
        waiting, kept_before = [], []
        for source in found:
            key = key_of(source, model, parameters)
            own = folder / source.name
            known = facts_of(own)
            if (
                known is not None
                and known["key"] == key
                and all((own / name).is_file() for name in (TIMELINE, PAGE))
            ):
                done.append(Scored(known, own, new=False))
                progress.update()
            else:
                waiting.append((source, key))
                if known is not None and known["keep"] != "nothing":
                    kept_before.append(known)
        if parameters.keep == "nothing" and kept_before:
            # At once, since the cache is written anew each time.
            uncache(kept_before, cache)
        for first in range(0, len(waiting), together):
            part = waiting[first : first + together]
            # Decoding, which most of the reading is, leaves the interpreter to other threads.
            read = Parallel(workers, "threading")(delayed(_read)(source, parameters) for source, _ in part)
            done += [one for one in read if isinstance(one, Scored)]
            progress.update(sum(isinstance(one, Scored) for one in read))
            recorded = [
                (one, key) for one, (_, key) in zip(read, part, strict=True) if isinstance(one, Recording)
            ]
            for scored in _scored(recorded, model, parameters, folder, cache):
                done.append(scored)
                progress.update()
    return done


def _read(source: Source, parameters: ScoreParameters) -> Recording | Scored:
    """A recording that is to be scored, or why it cannot be."""
    try:
        return recordings.read(source, parameters)
    except RecordingError as error:
        return _failed(source.name, source, error.reason, error.detail)
    except Exception as error:
        logger.debug("%s", source, exc_info=True)
        return _failed(source.name, source, "failed", _why(error))


def place(facts: dict[str, Any]) -> tuple[str | None, str | None, str]:
    """The files of a recording; of a manifest, which has several, its dialogue as well."""
    dialogue = facts["recording"] if facts.get("format") == "manifest" else ""
    return facts["media"], facts["transcript"], dialogue


def _scored(
    waiting: Sequence[tuple[Recording, str]],
    model: Model,
    parameters: ScoreParameters,
    folder: Path,
    cache: Path,
) -> Iterator[Scored]:
    if not waiting:
        return
    utterances = pd.concat([recording.utterances for recording, _ in waiting], ignore_index=True)
    try:
        with _kept(cache, parameters.keep) as own:
            features = model.features(utterances, own, parameters.runner)
        timeline = model.timeline(utterances, features.tables, parameters.accuracy)
    except UnreachableError:
        # It would be said of every recording, after a wait for each.
        raise
    except Exception as error:
        if len(waiting) == 1:
            [(recording, _)] = waiting
            logger.debug("%s", recording.name, exc_info=True)
            yield _failed(recording.name, recording, "failed", _why(error))
            return
        # One of them stops all; each by itself, it stops only itself.
        for one in waiting:
            yield from _scored([one], model, parameters, folder, cache)
        return
    each = dict(list(timeline.groupby("recording", sort=False)))
    for recording, key in waiting:
        rows = each[recording.name].reset_index(drop=True)
        try:
            facts = _write(recording, key, model, rows, features, parameters, folder / recording.name)
        except Exception as error:
            logger.debug("%s", recording.name, exc_info=True)
            yield _failed(recording.name, recording, "failed", _why(error))
        else:
            yield Scored(facts, folder / recording.name, new=True)


@contextmanager
def _kept(cache: Path, keep: str) -> Iterator[Path]:
    if keep != "nothing":
        yield cache
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _write(
    recording: Recording,
    key: str,
    model: Model,
    timeline: pd.DataFrame,
    features: Features,
    parameters: ScoreParameters,
    folder: Path,
) -> dict[str, Any]:
    """Writes all results of one recording, whole or not at all."""
    known = facts_of(folder)
    if known is not None and place(known) != place(recording.facts):
        logger.warning(
            "%s replaces the results of another recording of that name, %s",
            folder,
            known["media"] or known["transcript"],
        )
    facts = facts_of_scoring(model, recording.facts, timeline, parameters.accuracy)
    files_used = {*media_of(recording.utterances)}
    keys = {key for one in timeline["utterance_id"] for key in features.keys[one]}
    if known is not None and "nothing" not in (known["keep"], parameters.keep):
        # What an earlier transcript or model left in the cache is to be forgotten with it.
        files_used, keys = files_used | {*known["files"]}, keys | {*known["keys"]}
    own = {"key": key, "keep": parameters.keep, "files": sorted(files_used), "keys": sorted(keys)}
    with files.replacing_folder(folder) as beside:
        timelines.write(timeline, facts, beside)
        if parameters.keep == "all":
            for modality, table in features.tables.items():
                rows = table[table["utterance_id"].isin(timeline["utterance_id"])]
                rows.to_parquet(beside / f"features_{modality}.parquet", index=False)
        (beside / PAGE).write_text(pages.recording_page(timeline, facts, folder), "utf-8")
        (beside / FACTS).write_text(json.dumps(facts | own, indent=1) + "\n", "utf-8")
    return facts


def facts_of_scoring(
    model: Model, recording: dict[str, Any], timeline: pd.DataFrame, accuracy: float
) -> dict[str, Any]:
    """What pages and formats show of a recording and of the model that scored it."""
    card, threshold = model.card, model.threshold(accuracy)
    foreign = timeline.loc[~timeline["label"].isin([*card.labels, None]), "label"].dropna()
    absent = [name for name in card.modalities if not (timeline[f"{name}_reason"] == "ok").any()]
    remarks = list(recording["remarks"])
    if len(foreign):
        words = few(foreign.unique())
        detail = f"{words}: not the model's ({few(card.labels)}); score.labels maps them"
        remarks.append({"kind": "unknown_label", "count": len(foreign), "detail": detail})
    return {
        **recording,
        "remarks": remarks,
        "model": {
            **{
                name: getattr(card, name) for name in ("name", "corpus", "experiment", "labels", "modalities")
            },
            **{name: getattr(card, name) for name in ("languages", "synthetic", "speech", "validation")},
            "seeds": len(card.seeds),
            "digest": card.digest,
        },
        "accuracy": accuracy,
        "threshold": threshold.value,
        "answered": threshold.answered,
        "scaling": model.scaling,
        "notes": notes(card, recording, absent),
        "counts": pages.counts(timeline),
        "emotions": pages.shares(timeline),
        "scores": scores(timeline),
    }


def scores(timeline: pd.DataFrame) -> dict[str, float | None] | None:
    """How right the model is where the transcript has labels, that of the decided ones apart; else None.

    Labels that the model does not know count in nothing. A score that there is none of, such as the F1 of a
    class that never occurs, is None: JSON has no NaN.
    """
    columns, classes = class_columns(timeline), class_names(timeline)
    rows = timeline[timeline["label"].isin(classes) & (timeline["status"] != "empty")]
    if rows.empty:
        return None
    made = classification_metrics(rows["label"], rows[columns].to_numpy(), classes)
    decided = rows[rows["status"] == "decided"]
    right = float((decided["label"] == decided["emotion"]).mean()) if len(decided) else None
    known = {name: None if math.isnan(value) else value for name, value in made.items()}
    return {"utterances": len(rows), **known, "decided": len(decided), "accuracy_of_decided": right}


def facts_of(folder: Path) -> dict[str, Any] | None:
    """What a recording's folder says of itself; None where it holds no whole result."""
    # What is hidden was left by a run that was killed.
    if folder.name.startswith("."):
        return None
    try:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) and facts.keys() >= _NEEDED else None


def uncache(recordings: Sequence[dict[str, Any]], cache: Path) -> int:
    """Removes the features of recordings that lie in the cache, by what their folders say; how many."""
    played = {Path(name) for facts in recordings for name in facts["files"]}
    with Cache(cache) as kept:
        return kept.forget(played, {key for facts in recordings for key in facts["keys"]})


def write_index(done: Sequence[Scored], folder: Path, forgotten: str | None = None) -> Path:
    """Writes the page and the table over all recordings of a model, those of earlier runs included.

    One that failed stays listed until it is scored, or is the one that is ``forgotten``.
    """
    now = {one.facts["recording"] for one in done}
    every = [one.facts | {"page": _page(one.folder)} for one in done]
    failed = [one for one in failures(folder) if one["recording"] not in {*now, forgotten}]
    every += [one | {"page": None} for one in failed]
    now |= {one["recording"] for one in failed}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        earlier = None if path.name in now else facts_of(path)
        if earlier is not None:
            every.append(earlier | {"page": _page(path)})
    rows = [
        {
            "recording": one["recording"],
            "media": one["media"],
            "transcript": one["transcript"],
            "seconds": one.get("seconds"),
            **{name: one.get("counts", {}).get(name) for name in pages.COUNTS},
            **{name: (one.get("scores") or {}).get(name) for name in ("accuracy", "weighted_f1")},
            "reason": (one.get("error") or {}).get("reason", ""),
            "detail": (one.get("error") or {}).get("detail", ""),
            "page": one["page"],
        }
        for one in every
    ]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    table = table.astype({"detail": "str", "reason": "str", **dict.fromkeys(pages.COUNTS, "Int64")})
    with files.replacing(folder / INDEX) as path:
        table.to_parquet(path, index=False)
    with files.replacing(folder / "index.csv") as path:
        path.write_bytes(csv(table))
    page = folder / "index.html"
    with files.replacing(page) as path:
        path.write_text(pages.index_page(every), "utf-8")
    return page


def failures(folder: Path) -> list[dict[str, Any]]:
    """What could not be scored, by a model's index: facts with ``error``."""
    try:
        table = pd.read_parquet(folder / INDEX).astype(object)
    except (OSError, ValueError):
        return []
    table = table.where(table.notna(), None)
    return [
        {name: row[name] for name in ("recording", "media", "transcript")}
        | {"error": {name: row[name] for name in ("reason", "detail")}}
        for row in table.to_dict("records")
        if row["reason"]
    ]


_COLUMNS = [
    *("recording", "media", "transcript", "seconds", *pages.COUNTS),
    *("accuracy", "weighted_f1", "reason", "detail", "page"),
]


def _page(folder: Path | None) -> str | None:
    return None if folder is None else f"{folder.name}/{PAGE}"


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, PlainError) else f"{type(error).__name__}: {error}"


def _failed(name: str, of: Source | Recording, reason: str, detail: str) -> Scored:
    # Whoever scores says so at the end, each reason once.
    logger.debug("%s: not scored (%s): %s", name, reason, detail)
    facts = {
        "recording": name,
        "media": str(of.media) if of.media else None,
        "transcript": str(of.transcript) if of.transcript else None,
        "error": {"reason": reason, "detail": detail},
    }
    return Scored(facts, None, new=False)


def totals(done: Sequence[Scored]) -> dict[str, float]:
    """Counts over recordings, and scores over all labelled utterances, if there are any."""
    total: dict[str, float] = {"recordings": len(done), "failed": sum(one.folder is None for one in done)}
    total |= {name: sum(one.facts.get("counts", {}).get(name, 0) for one in done) for name in pages.COUNTS}
    labelled = [one.folder for one in done if one.folder is not None and one.facts.get("scores")]
    if labelled:
        made = scores(pd.concat([pd.read_parquet(folder / TIMELINE) for folder in labelled]))
        assert made is not None
        total |= {"labelled": made["utterances"] or 0}
        total |= {name: made[name] or 0.0 for name in SCORES}
    return total
