"""Which files are to be played, for which utterances, and what is known of them already."""

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import av
import pandas as pd

from erc_kedro.extractors import media
from erc_kedro.extractors.base import fingerprint
from erc_kedro.extractors.cache import Cache, Result, status
from erc_kedro.extractors.worker import Job, Request, Results, Settings
from erc_kedro.progress import bar as progress_bar

# Where there are fewer files than workers, a recording that is longer than this, in seconds, is shared out;
# not in more parts, since each of them decodes the sound before it again.
PART_S, MOST_PARTS = 600.0, 8
_COLUMNS = ["clip", "clip_start_s", "clip_end_s", "wav", "frame_side", "channel", "shared_frame"]


@dataclass(frozen=True)
class _Wanted:
    """An utterance's place in a file, and the modalities that come from there."""

    row: int
    span: media.Span
    modalities: tuple[str, ...]


def jobs(
    utterances: pd.DataFrame, settings: Settings, versions: dict[str, str], workers: int, kept: Cache
) -> tuple[list[Job], Results, dict[tuple[int, str], str]]:
    """What has to be done.

    Args:
        versions: of the modalities that are wanted, what their results depend on besides the file.
        workers: how many processes there are for the work.

    Returns:
        the jobs; the results that are known without them; the key of every result that comes from a file.
    """
    wanted, results = _wanted(utterances, versions)

    def refuse(path: Path, result: Result) -> None:
        results.update({(one.row, modality): result for one in wanted[path] for modality in one.modalities})

    files = {}
    for path in wanted:
        try:
            files[path] = media.check(path)
        except media.Unusable as unusable:
            refuse(path, Result(unusable.reason, unusable.detail))
    keys: dict[tuple[int, str], str] = {}
    todo: list[Job] = []
    with progress_bar(len(files), "Fingerprints of media files", "file") as bar:
        for path, digest in kept.digests(files, os.cpu_count() or 1):
            bar.update()
            if digest is None:
                refuse(path, Result("unreadable", "the file cannot be read"))
                continue
            requests = tuple(
                Request(
                    one.row,
                    one.span,
                    {m: _key(digest, one.span, m, settings, versions) for m in one.modalities},
                )
                for one in wanted[path]
            )
            whole = Job(path, status(files[path]), digest, requests)
            keys |= whole.keys
            known = kept.get(whole.keys.values())
            results |= {item: known[key] for item, key in whole.keys.items() if key in known}
            left = tuple(filter(None, (_without(request, known) for request in requests)))
            if left:
                todo.append(replace(whole, requests=left))
    # Each file is played once, as long as that leaves nobody idle.
    parts = math.ceil(workers / max(1, len(todo)))
    return (
        [replace(job, requests=part) for job in todo for part in _parts(job.requests, parts)],
        results,
        keys,
    )


def _wanted(utterances: pd.DataFrame, versions: dict[str, str]) -> tuple[dict[Path, list[_Wanted]], Results]:
    """What is wanted of each file; and the results of utterances that have none."""
    wanted: dict[Path, list[_Wanted]] = {}
    results: Results = {}
    rows = utterances.reindex(columns=_COLUMNS).astype(object)
    rows = rows.where(rows.notna(), None)
    for row, (clip, start, end, wav, side, channel, shared) in enumerate(rows.itertuples(False, None)):
        modalities = [m for m in ("audio", "visual") if m in versions]
        if wav is not None and "audio" in versions:
            wanted.setdefault(Path(wav), []).append(_Wanted(row, media.Span(), ("audio",)))
            modalities.remove("audio")
        if clip is None:
            named_none = Result("no_media", "the corpus names no file")
            results |= {(row, modality): named_none for modality in modalities}
        elif modalities:
            span = media.Span(start, end, side, channel=channel, shared=bool(shared) and side is None)
            wanted.setdefault(Path(clip), []).append(_Wanted(row, span, tuple(modalities)))
    return wanted, results


def _without(request: Request, known: dict[str, Result]) -> Request | None:
    """What is left of a request; None if nothing is."""
    keys = {m: key for m, key in request.keys.items() if key not in known}
    if not keys:
        return None
    shared = request.span.shared and "visual" in keys
    # Whose face it is, the voice tells.
    span = replace(request.span, sound="audio" in keys or shared, frames="visual" in keys, shared=shared)
    return Request(request.row, span, keys)


def _parts(requests: tuple[Request, ...], most: int) -> list[tuple[Request, ...]]:
    """A file's requests, in as many parts as it is played for, each from the part's first to its last."""
    length = max(PART_S, max((r.span.start_s or 0.0 for r in requests), default=0.0) / min(most, MOST_PARTS))
    parts: dict[tuple[bool, int], list[Request]] = {}
    for request in requests:
        at = min(int((request.span.start_s or 0.0) // length), min(most, MOST_PARTS) - 1)
        # Of a shared frame, other pictures are decoded.
        parts.setdefault((request.span.shared, at), []).append(request)
    return [tuple(parts[part]) for part in sorted(parts)]


def _key(digest: str, span: media.Span, modality: str, settings: Settings, versions: dict[str, str]) -> str:
    side = span.side if modality == "visual" else None
    where = f"{span.start_s} {span.end_s} {side} {settings.runner.longest_s}"
    decoding = f"{media.VERSION} PyAV {av.__version__}"
    parts = [digest, modality, where, decoding, versions[modality]]
    if span.channel is not None and (modality == "audio" or span.shared):
        parts.append(f"channel {span.channel}")
    if span.shared and modality == "visual":
        from erc_kedro.extractors.visual import speaking

        parts.append(f"shared frame {speaking.VERSION}")
    return fingerprint(*parts)
