"""Where recordings lie: files, folders, patterns, tables of recordings, manifests."""

import glob
import logging
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from erc_kedro.parameters import ScoreParameters
from erc_kedro.recordings import labels, manifests
from erc_kedro.recordings.base import RecordingError, Source
from erc_kedro.recordings.transcripts import SUFFIXES, table
from erc_kedro.recordings.transcripts.files import lines_of

logger = logging.getLogger(__name__)

VIDEO = (
    ".mp4",
    ".mkv",
    ".webm",
    ".mov",
    ".avi",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".wmv",
    ".flv",
    ".3gp",
)
SOUND = (
    ".wav",
    ".mp3",
    ".m4a",
    ".flac",
    ".ogg",
    ".opus",
    ".aac",
    ".wma",
    ".aif",
    ".aiff",
    ".amr",
    ".au",
    ".caf",
)
RTTM = ".rttm"
_PATTERN = re.compile(r"[*?\[]")
# What programs put behind a recording's name: call1.transcript.json, call1.en.vtt.
_MARKS = ("transcript", "transcription", "whisper", "whisperx", "diarized", "aligned", "subtitles")
_LANGUAGE = re.compile(r"[a-z]{2}(?:-[a-z]{2,4})?", re.IGNORECASE)
# Names that Windows gives to devices.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)
# File systems take 255 bytes, of which what lies beside a file needs some; one character may be four.
_LONGEST_NAME, _LONGEST_BYTES = 80, 120


def find(where: str | Sequence[str], options: ScoreParameters) -> list[Source]:
    """Lists the recordings; nothing is read but tables of recordings and manifests.

    A media file and the transcripts that begin with its name (``call1.wav``, ``call1.en.vtt``) are one
    recording, as is an RTTM file of that name; so is a transcript without media.

    Args:
        where: a file, a folder (with all folders in it), a pattern such as ``calls/*.wav``, a CSV with the
            columns media, transcript and perhaps name and rttm, a manifest of which each dialogue is a
            recording, or several of these.

    Returns:
        the recordings, each with a name of its own. Files that are named and not there are listed, too.

    Raises:
        RecordingError: there is nothing there, or a table or ``score.labels`` cannot be read.
    """
    labels.mapping(options.labels)
    found: list[Source] = []
    files: list[Path] = []
    for one in [where] if isinstance(where, str) else where:
        path = Path(os.path.abspath(Path(one).expanduser()))
        if path.is_dir():
            own = [*_below(path)]
            if not own:
                raise RecordingError("not_found", f"{path}: no media, transcript or table in this folder")
            files += own
        elif os.path.lexists(path):
            files.append(path)
        elif _PATTERN.search(one):
            matched = [Path(os.path.abspath(name)) for name in sorted(glob.glob(str(path), recursive=True))]
            if not matched:
                raise RecordingError("not_found", f"{one}: no file is called so; correct the pattern")
            for name in matched:
                files += _below(name) if name.is_dir() else [name]
        elif isinstance(where, str):
            raise RecordingError("not_found", f"{path}: there is no such file or folder; correct the path")
        else:
            found.append(_missing(path))
    files = list(dict.fromkeys(files))
    claimed: set[Path] = set()
    alone = len(files) == 1
    for path in [path for path in files if path.suffix.lower() in (".csv", ".tsv", ".parquet")]:
        listed = _listed(path, options, alone)
        if listed is not None:
            found += listed
            claimed |= {path, *_named(listed)}
    found += _paired([path for path in files if path not in claimed], claimed, options.language)
    if not found:
        raise RecordingError(
            "not_found", f"{where}: neither media nor transcripts; name a recording, or a folder"
        )
    return _with_names(found)


def _missing(path: Path) -> Source:
    transcript = path.suffix.lower() in SUFFIXES
    return Source(path.stem, None if transcript else path, path if transcript else None)


def _named(sources: Iterable[Source]) -> Iterator[Path]:
    for source in sources:
        yield from filter(None, (source.media, source.transcript, source.rttm))
        if source.rows is not None:
            for column in ("clip", "wav"):
                yield from (Path(os.path.abspath(name)) for name in source.rows[column].dropna().unique())


def _below(folder: Path) -> Iterator[Path]:
    """Files of a folder that may be recordings, of all folders in it; what is hidden apart."""
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            suffix = Path(name).suffix.lower()
            known = suffix in (*VIDEO, *SOUND, *SUFFIXES, RTTM)
            if known and not name.startswith("."):
                yield Path(place, name)


def _unreadable(error: OSError) -> None:
    logger.warning("%s cannot be looked into (%s); what is in it is left out", error.filename, error.strerror)


def _listed(path: Path, options: ScoreParameters, alone: bool) -> list[Source] | None:
    """The recordings of a table or manifest; None for a file that is neither.

    Args:
        alone: whether the file was asked for by itself, so that what is wrong with it is an error.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return manifests.sources(path, options.encoding)
        header = table.header_of(lines_of(path, options.encoding))
    except RecordingError:
        if alone:
            raise
        # What is wrong will be said when it is read.
        return None
    try:
        if {"dialogue_id", "position", "speaker", "text"} <= set(header):
            return manifests.sources(path, options.encoding)
        if "text" not in header and manifests.is_list(path, header, options.encoding):
            return _completed(manifests.listed(path, header, options.encoding), options.language)
    except RecordingError as error:
        if alone:
            raise
        return [Source(path.stem, None, path, fault=error)]
    return None


def _completed(listed: list[Source], language: str | None) -> list[Source]:
    """Listed recordings, with the transcripts that lie beside their media where the table names none."""
    alone = [source.media for source in listed if source.transcript is None and source.media is not None]
    found = _paired([path for path in alone if path.is_file()], set(), language)
    beside = {path: one for one in found for path in (one.media, *one.others) if path is not None}
    made = []
    for source in listed:
        if source.transcript is None and source.media in beside:
            one = beside[source.media]
            source = replace(one, name=source.name, media=source.media, rttm=source.rttm or one.rttm)
        made.append(source)
    return made


def _paired(files: list[Path], claimed: set[Path], language: str | None) -> list[Source]:
    """Media with what lies beside them, then transcripts that have no media."""
    beside = {folder: _folder(folder) for folder in dict.fromkeys(path.parent for path in files)}
    made: list[Source] = []
    taken: set[Path] = {*claimed}
    wanted = set(files)
    for names in beside.values():
        media = [path for path in names if path.suffix.lower() in (*VIDEO, *SOUND) and path not in claimed]
        texts = [path for path in names if path.suffix.lower() in (*SUFFIXES, RTTM) and path not in claimed]
        groups: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(media, key=_media_order):
            groups[path.stem].append(path)
        folded = {stem.casefold(): stem for stem in groups}
        mine: dict[str, list[Path]] = defaultdict(list)
        for path in texts:
            mine[_named_after(path, groups, folded) or _stem(path)].append(path)
        for stem in dict.fromkeys([*groups, *mine]):
            own = [*groups[stem], *mine[stem]]
            if not wanted & set(own):
                continue
            written = [path for path in mine[stem] if path.suffix.lower() != RTTM]
            # A transcript that was asked for by its name is the one that is used.
            written.sort(key=lambda path: (path not in wanted, _order(path, stem, language)))
            spoken = [path for path in mine[stem] if path.suffix.lower() == RTTM]
            first = [*groups[stem][:1], *written[:1], *spoken[:1]]
            taken |= set(own)
            if groups[stem] or written:
                made.append(
                    Source(
                        stem,
                        next(iter(groups[stem]), None),
                        next(iter(written), None),
                        next(iter(spoken), None),
                        others=tuple(path for path in own if path not in first),
                    )
                )
    # A file of any other name, which was asked for: its reader will say what is wrong with it.
    made += [
        Source(path.stem, path, None) for path in files if path not in taken and path.suffix.lower() != RTTM
    ]
    return made


def _folder(folder: Path) -> list[Path]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError as error:
        raise RecordingError("unreadable", f"{folder}: cannot be looked into ({error.strerror})") from error
    return [folder / name for name in names]


def _media_order(path: Path) -> tuple[bool, str]:
    # Of a video and its sound apart, the video.
    return path.suffix.lower() not in VIDEO, path.name


def _named_after(path: Path, stems: Mapping[str, list[Path]], folded: Mapping[str, str]) -> str | None:
    """Whose name a file begins with: call1.vtt, call1.en.vtt and call1.wav.vtt with that of call1.wav."""
    parts = path.name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        begun = ".".join(parts[:end])
        if begun in stems or begun.casefold() in folded:
            return begun if begun in stems else folded[begun.casefold()]
    return None


def _stem(path: Path) -> str:
    stem = path.stem
    while (mark := Path(stem).suffix[1:].lower()) in _MARKS:
        stem = stem[: -len(mark) - 1]
    return stem


def _order(path: Path, stem: str, language: str | None) -> tuple[bool, bool, int, str]:
    """What a recording's transcripts are preferred by: the name itself, or the language, and the kind."""
    between = path.stem[len(stem) :].casefold().split(".")
    exact = _stem(path).casefold() == stem.casefold()
    first = language.casefold() in between if language else exact
    return not first, not exact, SUFFIXES.index(path.suffix.lower()), path.name


def language_of(source: Source) -> str | None:
    """The language in a transcript's name (call1.en.vtt), where a media file shows that it is one."""
    if source.media is None or source.transcript is None:
        return None
    between = source.transcript.stem[len(source.media.stem) :].strip(".").split(".")
    return next((part.lower() for part in between if _LANGUAGE.fullmatch(part)), None)


def _with_names(found: list[Source]) -> list[Source]:
    """The recordings under names that no two share, and that any file system takes."""
    names = [safe(source.name) for source in found]
    for depth in range(1, 4):
        counts = Counter(name.casefold() for name in names)
        for at, source in enumerate(found):
            path = source.media or source.transcript
            if counts[names[at].casefold()] > 1 and path is not None and source.rows is None:
                above = [parent.name for parent in path.parents[:depth]][::-1]
                names[at] = safe("_".join([*filter(None, above), source.name]))
    taken: set[str] = set()
    for at, name in enumerate(names):
        number = 1
        while names[at].casefold() in taken:
            number += 1
            names[at] = f"{name}_{number}"
        taken.add(names[at].casefold())
    return [replace(source, name=name) for source, name in zip(found, names, strict=True)]


def safe(name: str) -> str:
    """A name that is a folder's on any system, and goes into an id."""
    kept = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).strip("._-")[:_LONGEST_NAME]
    kept = kept.encode()[:_LONGEST_BYTES].decode(errors="ignore").rstrip("._-")
    return f"_{kept}" if _DEVICES.match(kept) else kept or "recording"
