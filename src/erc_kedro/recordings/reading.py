"""A recording read: its transcript as utterances with their places in the media, and what is odd in it."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.tables import utterance_table
from erc_kedro.extractors.media import Unusable, check
from erc_kedro.parameters import ScoreParameters
from erc_kedro.recordings import alignment, cleaning, labels, rttm, splitting
from erc_kedro.recordings.base import Recording, RecordingError, Source, Turn
from erc_kedro.recordings.finding import SOUND, VIDEO, language_of
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.sound import Media, look
from erc_kedro.recordings.times import clock
from erc_kedro.recordings.transcripts import parse
from erc_kedro.recordings.transcripts.files import in_our_words
from erc_kedro.sentences import few

logger = logging.getLogger(__name__)

# Who speaks where the transcript does not say.
UNKNOWN = "unknown"
# Of a transcript with at least so many turns, this share beyond the media's end is another recording's.
_LEAST_TURNS, _OTHER_SHARE = 3, 0.5


def read(source: Source, options: ScoreParameters) -> Recording:
    """Reads a recording's transcript, and its sound once for its length and level.

    Turns are split into utterances where they are long; a manifest's rows are utterances already.

    Raises:
        RecordingError: it cannot be scored; whatever goes wrong has a reason.
    """
    if source.fault is not None:
        raise source.fault
    try:
        return _from_rows(source, options) if source.rows is not None else _from_files(source, options)
    except (RecordingError, MemoryError):
        raise
    except CorpusError as error:
        raise RecordingError("unreadable", in_our_words(error)) from error
    except Exception as error:
        # What nobody thought of ends one recording, not all of them.
        logger.debug("%s cannot be read", source.name, exc_info=True)
        where = source.transcript or source.media or source.name
        what = f"{type(error).__name__}: {error}"[:300]
        raise RecordingError("unreadable", f"{where}: cannot be read as it stands ({what})") from error


def _from_files(source: Source, options: ScoreParameters) -> Recording:
    if source.transcript is None:
        raise _without_transcript(source)
    remarks = _begun(source)
    transcript = parse(source.transcript, options.encoding, source.media is not None, remarks)
    turns = cleaning.cleaned(transcript.turns, transcript.format, remarks)
    if not turns:
        raise RecordingError(
            "no_speech", f"{source.transcript}: none of its {len(transcript.turns)} turns says anything"
        )
    media = look(source.media) if source.media else None
    seconds = media.seconds if media else None
    if media and seconds is not None:
        _refuse_other(source.transcript, turns, media, seconds)
    turns = cleaning.timed(turns, seconds, remarks)
    if not turns:
        raise RecordingError("no_speech", f"{source.transcript}: none of its turns lies within the recording")
    if media:
        _list_media(turns, media, remarks)
    turns = _spoken(turns, source, media, options, remarks)
    cleaning.list_overlaps(turns, remarks)
    if any(turn.start_s is not None for turn in turns):
        cleaning.list_gaps(turns, seconds, remarks)
    cleaning.list_names_alike(turns, remarks)
    table = _table(source.name, turns, media, options, remarks)
    language = options.language or transcript.language or language_of(source)
    return _recording(source, source.transcript, table, transcript.format, language, media, remarks)


def _without_transcript(source: Source) -> RecordingError:
    if source.media is None:
        return RecordingError("no_transcript", f"{source.name}: neither media nor transcript is named")
    try:
        check(source.media)
    except Unusable as unusable:
        reason = "not_found" if unusable.reason == "no_media" else "unreadable_media"
        return RecordingError(reason, f"{source.media}: {unusable.detail}; name a recording")
    if source.media.suffix.lower() not in (*VIDEO, *SOUND):
        return RecordingError(
            "wrong_extension",
            f"{source.media}: by its name neither media nor transcript (.vtt, .srt, .json, .TextGrid, .eaf, "
            ".csv, .tsv, .txt); name the file as what it is",
        )
    stem = source.media.stem
    return RecordingError(
        "no_transcript",
        f"{source.media}: no transcript lies beside it, and there is no speech recognition yet. Put "
        f"{stem}.vtt, .srt, .json (of whisper or whisperX), .TextGrid, .eaf or .csv there",
    )


def _begun(source: Source) -> Remarks:
    remarks = Remarks()
    for kind, place in source.notes:
        remarks.add(kind, place)
    for path in source.others:
        remarks.add("other_files", path.name)
    return remarks


def _refuse_other(path: Path, turns: Sequence[Turn], media: Media, seconds: float) -> None:
    starts = [turn.start_s for turn in turns if turn.start_s is not None]
    beyond = sum(start >= seconds for start in starts)
    if len(starts) < _LEAST_TURNS or beyond <= _OTHER_SHARE * len(starts):
        return
    what = f"{beyond} of its {len(starts)} turns begin after the media's end ({clock(seconds)})"
    if media.breaks_off:
        raise RecordingError(
            "truncated_media",
            f"{media.path}: breaks off at {clock(seconds)} of {clock(media.stated_s)}; copy it again. "
            f"Of {path.name}, {what}",
        )
    raise RecordingError("other_recording", f"{path}: {what}; it seems to be of another recording")


def _list_media(turns: Sequence[Turn], media: Media, remarks: Remarks) -> None:
    if media.breaks_off:
        remarks.add("breaks_off", f"at {clock(media.seconds)} of {clock(media.stated_s)}")
    if not media.channels:
        remarks.add("no_audio", media.path.name)
    for turn in turns:
        if turn.start_s is None:
            remarks.add("no_times", f"“{turn.text[:40]}”")
    alignment.list_misfits(turns, media, remarks)


def _spoken(
    turns: list[Turn], source: Source, media: Media | None, options: ScoreParameters, remarks: Remarks
) -> list[Turn]:
    """Turns each of which has a speaker, under the name that is wanted."""
    if source.rttm is not None:
        stem = (source.media or source.rttm).stem
        turns = rttm.with_speakers(turns, rttm.read(source.rttm, stem, options.encoding, remarks), remarks)
    turns = [replace(turn, speaker=options.speakers.get(turn.speaker, turn.speaker)) for turn in turns]
    if media and options.channels and media.channels == 2 and not media.alike:
        channels = {str(side): speaker for side, speaker in options.channels.items()}
        turns = alignment.with_channel_speakers(turns, media, channels, remarks)
    made = []
    for turn in turns:
        if not turn.speaker:
            at = "" if turn.start_s is None else f"at {clock(turn.start_s)} "
            remarks.add("unnamed_speaker", f"{at}“{turn.text[:40]}”")
            turn = replace(turn, speaker=options.speakers.get(UNKNOWN, UNKNOWN))
        made.append(turn)
    return made


def _table(
    name: str, turns: Sequence[Turn], media: Media | None, options: ScoreParameters, remarks: Remarks
) -> pd.DataFrame:
    parts: list[Turn] = []
    numbers: list[int] = []
    for number, turn in enumerate(turns):
        made = splitting.split(turn, options.longest_turn_s, options.longest_turn_words)
        if len(made) > 1:
            remarks.add("split", f"at {clock(turn.start_s)} into {len(made)}")
        numbers += [number] * len(made)
        parts += made
    order = cleaning.order(parts)
    words = labels.mapping(options.labels)
    rows = [_row(name, position, parts[at], media, words) for position, at in enumerate(order)]
    table = utterance_table(rows)
    table["turn"] = pd.Series([numbers[at] for at in order], dtype="int64")
    return _with_sides(table, media, options, remarks)


def _row(name: str, position: int, turn: Turn, media: Media | None, words: dict[str, str]) -> dict[str, Any]:
    start, end = (None if at is None else round(at, 3) for at in (turn.start_s, turn.end_s))
    row: dict[str, Any] = {
        "utterance_id": f"{name}_{position}",
        "dialogue_id": name,
        "position": position,
        "speaker": turn.speaker,
        "text": turn.text,
        "label": labels.mapped(turn.label, words),
        "split": "test",
        "start_s": start,
        "end_s": end,
    }
    # Without times, an utterance would be all of the file.
    if media and start is not None:
        row |= {"clip": os.path.abspath(media.path), "clip_start_s": start, "clip_end_s": end}
    return row


def _with_sides(
    table: pd.DataFrame, media: Media | None, options: ScoreParameters, remarks: Remarks
) -> pd.DataFrame:
    """The table with the side of the frame and the channel that are a speaker's."""
    speakers = set(table["speaker"])
    frame_side = {**options.frame_side} if media and media.video else {}
    if frame_side and not speakers & {*frame_side}:
        remarks.add("frame_side_unused", f"{few(frame_side)}; the speakers are {few(sorted(speakers))}")
    channel: dict[str, str] = {}
    if media and options.channels:
        if media.channels != 2:
            remarks.add("one_channel", f"{media.channels} channels in {media.path.name}")
        elif media.alike:
            remarks.add("channels_alike", media.path.name)
        else:
            channel = {speaker: side for side, speaker in options.channels.items()}
            if not speakers & {*channel}:
                remarks.add("channels_unused", f"{few(channel)}; the speakers are {few(sorted(speakers))}")
    own = table["speaker"].map(frame_side).astype("str")
    table["frame_side"] = own.where(table["clip"].notna() & table["frame_side"].isna(), table["frame_side"])
    if "channel" not in table:
        table["channel"] = pd.Series(None, index=table.index, dtype="str")
    own = table["speaker"].map(channel).astype("str")
    table["channel"] = own.where(table["clip"].notna() & table["channel"].isna(), table["channel"])
    return table


def _from_rows(source: Source, options: ScoreParameters) -> Recording:
    """A manifest's dialogue: its rows as they are, under the recording's name."""
    assert source.rows is not None
    assert source.transcript is not None
    remarks = _begun(source)
    media = None
    if source.media is not None:
        try:
            media = look(source.media)
        except RecordingError as error:
            # Its utterances say so when they are extracted.
            remarks.add("manifest", error.detail)
    words = labels.mapping(options.labels)
    rows = source.rows
    numbers = range(len(rows))
    table = rows.assign(
        utterance_id=[f"{source.name}_{at}" for at in numbers],
        dialogue_id=source.name,
        position=pd.Series(numbers, index=rows.index, dtype="int64"),
        speaker=[options.speakers.get(speaker, speaker) for speaker in rows["speaker"]],
        label=pd.Series(
            [None if pd.isna(label) else labels.mapped(label, words) for label in rows["label"]],
            index=rows.index,
            dtype="str",
        ),
        split="test",
        turn=pd.Series(numbers, index=rows.index, dtype="int64"),
    )
    table = _with_sides(table, media, options, remarks)
    channel = table.pop("channel")
    table["channel"] = channel
    return _recording(source, source.transcript, table, "manifest", options.language, media, remarks)


def _recording(
    source: Source,
    transcript: Path,
    table: pd.DataFrame,
    kind: str,
    language: str | None,
    media: Media | None,
    remarks: Remarks,
) -> Recording:
    facts = {
        "recording": source.name,
        "media": os.path.abspath(source.media) if source.media else None,
        "transcript": os.path.abspath(transcript),
        "format": kind,
        "language": language,
        "seconds": None if media is None or media.seconds is None else round(media.seconds, 3),
        "sample_rate": media.sample_rate if media else None,
        "video": bool(media and media.video),
        "speakers": list(dict.fromkeys(table["speaker"])),
        "remarks": remarks.facts(),
    }
    return Recording(source.name, source.media, transcript, table, facts)
